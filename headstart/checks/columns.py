"""Columns that checks look at and the manifest does not have: each function gives one value per row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


SPLITS = ("train", "validation", "test")


def spread(key: str, across: str) -> Callable[[pd.DataFrame], pd.Series]:
    """Over how many values of `across` the usable images with this row's `key` are spread.

    Null for unusable rows.
    """

    def values(frame: pd.DataFrame) -> pd.Series:
        pairs = frame.loc[frame["readable"], [key, across]].drop_duplicates()
        return frame[key].where(frame["readable"]).map(pairs[key].value_counts()).astype("float64")

    return values


def images_of_class(frame: pd.DataFrame) -> pd.Series:
    """How many usable images the class of this row has; a class whose files are all unreadable has 0."""
    return frame["label"].map(frame.loc[frame["readable"], "label"].value_counts()).fillna(0).astype("int64")


def splits_lacking(frame: pd.DataFrame) -> pd.Series:
    """How many of the three splits hold no usable image of this row's class. Null for unusable rows.

    A class with fewer images than splits has none for the test; that is for `untested` to tell.
    """
    return len(SPLITS) - spread("label", "split")(frame) - untested(frame)


def untested(frame: pd.DataFrame) -> pd.Series:
    """1 if this row's class has fewer usable images than there are splits and none of them in test, else 0. Null for unusable rows."""
    tested = set(frame.loc[frame["readable"] & (frame["split"] == "test"), "label"])
    few = (images_of_class(frame) < len(SPLITS)) & ~frame["label"].isin(tested)
    return few.astype("float64").where(frame["readable"])


def lookalike(frame: pd.DataFrame) -> pd.Series:
    """The set of look-alikes of this row if its pixels do not confirm the hash: no two of its images are near-duplicates. Else null."""
    return frame["lookalike"].where(frame["readable"] & (frame["lookalike"] >= 0) & (spread("lookalike", "twin")(frame) > 1))


def labels_of_lookalikes(frame: pd.DataFrame) -> pd.Series:
    """Over how many labels a set of look-alikes is spread that its pixels do not confirm. Null for all others."""
    return spread("lookalike", "label")(frame).where(lookalike(frame).notna() & (spread("twin", "label")(frame) == 1))


def splits_of_together(frame: pd.DataFrame) -> pd.Series:
    """Over how many splits the images that belong together with this row's are spread. Null for rows without a group."""
    return spread("together", "split")(frame).where(frame["together"] != "")


def behind_largest(frame: pd.DataFrame) -> pd.Series:
    """Images in the largest class / images in this row's class. Null for unusable rows."""
    images = images_of_class(frame).where(frame["readable"])
    return images.max() / images


def spellings(frame: pd.DataFrame) -> pd.Series:
    """How many labels there are that differ from this row's only in upper and lower case, itself included."""
    labels = frame["label"].drop_duplicates()
    counts = labels.str.casefold().value_counts()
    return frame["label"].map(dict(zip(labels, labels.str.casefold().map(counts), strict=True))).astype("float64")


def usable_label(frame: pd.DataFrame) -> pd.Series:
    """The label of a usable image, null for others."""
    return frame["label"].where(frame["readable"])


def shorter_side(frame: pd.DataFrame) -> pd.Series:
    """Shorter side (pixels). Null for unusable rows."""
    return frame[["width", "height"]].min(axis=1).where(frame["readable"]).astype("float64")


def aspect(frame: pd.DataFrame) -> pd.Series:
    """Longer side / shorter side. Null for unusable rows."""
    return frame[["width", "height"]].max(axis=1).astype("float64") / shorter_side(frame)


def usable_mode(frame: pd.DataFrame) -> pd.Series:
    """The colour mode of a usable image, null for others."""
    return frame["mode"].where(frame["readable"])
