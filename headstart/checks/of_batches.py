"""What is expected of images that came in batches: entries of CHECKS in expectations.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headstart.checks.check import Check
from headstart.words import formats, lists

if TYPE_CHECKING:
    import pandas as pd


def batches_of_class(frame: pd.DataFrame) -> pd.Series:
    """In how many batches the class of this row came. Null if there are fewer than two batches, and for unusable rows."""
    return _number(frame, "label", "batch")


def classes_of_batch(frame: pd.DataFrame) -> pd.Series:
    """How many classes the batch of this row has. Null if there are fewer than two batches, and for unusable rows."""
    return _number(frame, "batch", "label")


def _number(frame: pd.DataFrame, of: str, what: str) -> pd.Series:
    counted = frame["readable"] & (frame["batch"] != "")
    numbers = frame.loc[counted, [of, what]].drop_duplicates()[of].value_counts()
    several = frame.loc[counted, "batch"].nunique() > 1
    return frame[of].map(numbers).where(counted & several).astype("float64")


def _one_batch(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    first = failing.groupby("label")["batch"].first()
    cases = lists.listing([f"{label!r} in {batch}" for label, batch in first.items()])
    return f"{formats.count(len(first), 'class comes', 'classes come')} in one batch alone: {cases}"


def _one_class(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    first = failing.groupby("batch")["label"].first()
    cases = lists.listing([f"{batch} holds {label!r} alone" for batch, label in first.items()])
    return f"{formats.count(len(first), 'batch has', 'batches have')} one class: {cases}"


CHECKS: list[Check] = [
    Check(
        name="classes_of_one_batch",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="batches_of_class",
        values=batches_of_class,
        arguments=lambda limits: {"min_value": 2},
        expected=lambda limits: "every class comes in two batches or more, if there are several",
        why="a model may know a class by the look of its batch, its camera or its light, and the test images come from that batch too",
        found=_one_batch,
        remedy="If the batches look different, add images of these classes that were taken as the others are.",
    ),
    Check(
        name="batches_of_one_class",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="classes_of_batch",
        values=classes_of_batch,
        arguments=lambda limits: {"min_value": 2},
        expected=lambda limits: "every batch has two classes or more, if there are several batches",
        why="in a batch of one class, what the class looks like cannot be told from what the batch looks like",
        found=_one_class,
        remedy="If there is a reason, such as a class that is new, go on; else look whether labels of the batch were lost.",
    ),
]
