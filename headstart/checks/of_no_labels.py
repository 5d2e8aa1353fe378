"""What is expected of images that have no labels: checks beside those of expectations.py that are about images alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headstart.checks.check import Check
from headstart.words import formats

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 20  # usable images


def usable_path(frame: pd.DataFrame) -> pd.Series:
    """The path of this row; null for unusable rows."""
    return frame["path"].where(frame["readable"])


def copies(frame: pd.DataFrame) -> pd.Series:
    """How many usable images have the pixels of this row. Null for unusable rows."""
    return _alike(frame, "pixels_sha256")


def lookalikes(frame: pd.DataFrame) -> pd.Series:
    """How many usable images look like this row's, other ones with the same pixels left out. Null for unusable rows."""
    usable = frame[frame["readable"]].drop_duplicates("pixels_sha256")
    return frame["lookalike"].map(usable["lookalike"].value_counts()).where(frame["readable"]).astype("float64")


def _alike(frame: pd.DataFrame, key: str) -> pd.Series:
    numbers = frame.loc[frame["readable"], key].value_counts()
    return frame[key].map(numbers).where(frame["readable"]).astype("float64")


def _few(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    return f"there are {formats.count(int(frame['readable'].sum()), 'usable image')}"


def _sets(key: str, what: str) -> Callable[[pd.DataFrame, pd.DataFrame], str]:
    def found(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
        first = failing[failing[key] == failing[key].iloc[0]]["path"]
        sets = formats.count(failing[key].nunique(), f"set of {what}", f"sets of {what}")
        return f"{sets} ({formats.count(len(failing), 'file')}), for example {' and '.join(first.iloc[:2])}"

    return found


CHECKS: list[Check] = [
    Check(
        name="enough_images",
        severity="critical",
        expectation="ExpectColumnUniqueValueCountToBeBetween",
        column="usable_path",
        values=usable_path,
        arguments=lambda limits: {"min_value": FEWEST},
        expected=lambda limits: f"there are at least {FEWEST} usable images",
        why="groups of fewer images are drawn by luck",
        found=_few,
        remedy="Add images.",
    ),
    Check(
        name="identical_images",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="copies",
        values=copies,
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "every image is there once (same decoded pixels)",
        why="copies make a group of their own",
        found=_sets("pixels_sha256", "identical images"),
        remedy="They count once when groups are found; `headstart import PATH --no-labels --drop-duplicates` keeps one of each.",
        together="pixels_sha256",
    ),
    Check(
        name="near_duplicates",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="lookalikes_there",
        values=lookalikes,
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "no two images look alike (perceptual hash, index_images.duplicate_distance)",
        why="many photos of one scene look like a group of their own",
        found=_sets("lookalike", "near-duplicates"),
        remedy="They count once when groups are found, so nothing needs to be done.",
        together="lookalike",
    ),
]
