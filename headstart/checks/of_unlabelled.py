"""What is expected of images without labels that lie beside labelled ones: of the same kind, or of another domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headstart.checks.check import Check
from headstart.checks.of_no_labels import copies, usable_path
from headstart.words import formats, lists

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 30  # usable images
HELD_OUT = "split_of_lookalike"  # of a labelled image that looks like this one; null for none


def _few(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    return f"there are {formats.count(int(frame['readable'].sum()), 'usable image')} without labels"


def _unreadable(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    return f"{len(failing):,} of {formats.count(len(frame), 'file')} without labels cannot be read"


def _copies(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    return f"{formats.count(len(failing), 'image')} without labels are there more than once"


def _held_out(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    splits = failing[HELD_OUT].value_counts()
    told = lists.listing([f"{number:,} like one of {split}" for split, number in splits.items()])
    return f"{formats.count(len(failing), 'image')} without labels look like held-out images: {told}"


CHECKS: list[Check] = [
    Check(
        name="enough_unlabelled",
        severity="warning",
        expectation="ExpectColumnUniqueValueCountToBeBetween",
        column="usable_path",
        values=usable_path,
        arguments=lambda limits: {"min_value": FEWEST},
        expected=lambda limits: f"there are at least {FEWEST} usable images without labels",
        why="fewer teach nothing, and show nothing of another domain",
        found=_few,
        remedy="Add images without labels, or import without them.",
    ),
    Check(
        name="unlabelled_readable",
        severity="warning",
        expectation="ExpectColumnValuesToBeInSet",
        column="readable",
        arguments=lambda limits: {"value_set": [True], "mostly": max(0.0, 1 - limits.max_unreadable_share - 1e-9)},
        expected=lambda limits: (
            f"at most {limits.max_unreadable_share:.0%} of the files without labels are unusable (validate_data.max_unreadable_share)"
        ),
        why="more broken files mean a broken copy",
        found=_unreadable,
        remedy="Copy them anew; those that cannot be read are left out.",
    ),
    Check(
        name="unlabelled_copies",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="copies",
        values=copies,
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "every image without a label is there once (same decoded pixels)",
        why="copies count several times",
        found=_copies,
        remedy="Keep one of each (--drop-duplicates leaves out the others of --unlabelled).",
        together="pixels_sha256",
    ),
    Check(
        name="unlabelled_like_held_out",
        severity="warning",
        expectation="ExpectColumnValuesToBeNull",
        column=HELD_OUT,
        arguments=lambda limits: {},
        expected=lambda limits: "no image without a label looks like a validation or test image (index_images.duplicate_distance)",
        why="what has seen a test image is judged too well by it",
        found=_held_out,
        remedy="Those teach nothing that is judged by such an image, so nothing needs to be done.",
    ),
]


def beside(without: pd.DataFrame, labelled: pd.DataFrame) -> pd.DataFrame:
    """The manifest of images without labels, with the split of a held-out labelled image that looks like each, if one does.

    Groups of both manifests are in one numbering (indexing/partly.py).
    """
    held = labelled[labelled["readable"] & labelled["split"].isin(["validation", "test"])]
    found = without["group"].map(dict(zip(held["group"], held["split"], strict=True))).where(without["readable"])
    return without.assign(**{HELD_OUT: found.astype(object).where(found.notna(), None)})
