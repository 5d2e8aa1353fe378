"""What a failed check has found, in plain words.

Each function gets the failing rows and the whole manifest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
from headstart.checks import columns
from headstart.data import manifest
from headstart.words import formats, lists


def missing(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    present = {label: set(rows) for label, rows in failing.groupby("label")["split"].unique().items()}
    cases = [
        f"class {label!r} has no usable image in {lists.listing([s for s in columns.SPLITS if s not in held])}"
        for label, held in present.items()
    ]
    return lists.listing(cases)


def untested(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    labels = sorted(set(failing["label"]))
    return f"{formats.count(len(labels), 'class has', 'classes have')} too few images for a test: {lists.listing([repr(label) for label in labels])}"


def cut_groups(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    groups = failing["together"].nunique()
    whole = frame.loc[frame["readable"] & (frame["together"] != ""), "together"].nunique()
    test = failing[failing["split"] == "test"]
    tested = int((frame["readable"] & (frame["split"] == "test")).sum())
    return (
        f"{groups:,} of {formats.count(whole, 'group')} lie in more than one split ({lists.listing(sorted(map(repr, set(failing['together']))))}); "
        f"{len(test):,} of {formats.count(tested, 'test image')} belong to them"
    )


def few(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    def case(label: object, readable: pd.Series) -> str:
        usable, broken = int(readable.sum()), int((~readable).sum())
        return f"class {label!r} has {formats.count(usable, 'usable image')}" + (
            f" ({formats.count(broken, 'file')} unreadable)" if broken else ""
        )

    return lists.listing([case(label, readable) for label, readable in failing.groupby("label")["readable"]])


def copies(across: str, key: str, what: str) -> Callable[[pd.DataFrame, pd.DataFrame], str]:
    """Say how many sets of `what` span several values of `across`, and show two of the first.

    A set is images of equal `key`.
    """

    def found(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
        first = failing[failing[key] == failing[key].iloc[0]].drop_duplicates(across)
        example = " and ".join(f"{path} ({value})" for path, value in zip(first["path"][:2], first[across][:2], strict=True))
        sets = formats.count(failing[key].nunique(), f"set of {what} spans", f"sets of {what} span")
        return f"{sets} more than one {across} ({formats.count(len(failing), 'file')}), for example {example}"

    return found


def spellings(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    labels = failing["label"].drop_duplicates()
    alike = [lists.listing([repr(label) for label in same]) for _, same in labels.groupby(labels.str.casefold())]
    return "labels differ only in upper and lower case: " + "; ".join(alike[: lists.NAMED])


def imbalance(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    usable = frame.loc[frame["readable"], "label"].value_counts()
    small = failing["label"].drop_duplicates().map(usable).set_axis(failing["label"].drop_duplicates()).sort_values(kind="stable")
    cases = [f"class {label!r} has {formats.count(int(n), 'image')}" for label, n in small.items()]
    return f"{lists.listing(cases)}, where the largest, {usable.index[0]!r}, has {int(usable.iloc[0]):,}"


def unreadable(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    reasons = failing["reason"].value_counts()
    kinds = lists.listing([f"{reason} ({n:,})" for reason, n in sorted(reasons.items(), key=lambda item: (-item[1], str(item[0])))])
    return f"{len(failing):,} of {formats.count(len(frame), 'file')} ({formats.percent_of_data(len(failing) / len(frame))}) cannot be read: {kinds}"


def classes(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    labels = sorted(set(frame.loc[frame["readable"], "label"]))
    return f"usable images belong to {formats.count(len(labels), 'class', 'classes')}" + (f": {labels[0]!r}" if labels else "")


def none(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    return f"none of {formats.count(len(frame), 'file')} is a usable image" if len(frame) else "there are no files"


def sides(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    smallest = failing.loc[failing[["width", "height"]].min(axis=1).idxmin()]
    size = f"{smallest['width']}x{smallest['height']}"
    return f"{formats.count(len(failing), 'image is', 'images are')} small; the smallest, {smallest['path']}, has {size} pixels"


def long(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    longest = failing.loc[(failing[["width", "height"]].max(axis=1) / failing[["width", "height"]].min(axis=1)).idxmax()]
    size = f"{longest['width']}x{longest['height']}"
    return f"{formats.count(len(failing), 'image is', 'images are')} very long or tall; the most, {longest['path']}, has {size} pixels"


def modes(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    modes = failing["mode"].value_counts()
    kinds = lists.listing([f"{mode} ({n:,})" for mode, n in sorted(modes.items(), key=lambda item: (-item[1], str(item[0])))])
    cut = int((failing["mode"].str.endswith(";16") & (manifest.completed(failing)["white"] == 0)).sum())  # the others have a scale
    said = f". Of {cut:,} with 16 bits a colour the upper 8 are used, so values below 256 are black" if cut else ""
    return f"{formats.count(len(failing), 'image has', 'images have')} an unusual colour mode: {kinds}{said}"
