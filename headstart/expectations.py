"""What is expected of the data: one list, and the columns and sentences that its entries need.

To add an expectation, add one `Check` to CHECKS. An entry names a Great Expectations class, the column it looks at, its arguments, how bad a
failure is, what is expected in words, why, and what to do. A column the manifest lacks is computed by the entry's `values`.
Nothing here imports Great Expectations: the list is data, headstart/validation.py runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("train", "validation", "test")
PLAIN_MODES = ("RGB", "L")
MAX_ASPECT = 4.0  # longer side / shorter side; beyond it, a square network input keeps little of the image
NAMED = 5  # classes or files that a sentence names before it says "and N more"


@dataclass(frozen=True)
class Limits:
    """The parameters of validate_data: images, share (0-1), ratio, pixels."""

    min_images_per_class: int
    max_unreadable_share: float
    max_imbalance: float
    min_side: int


@dataclass(frozen=True)
class Check:
    """One expectation.

    `values(frame)` gives the column to look at, one value a manifest row, null where the row does not count; without it the manifest's own
    column is used. `found(failing, frame)` says in plain words what was found, given the failing rows (all rows where no single row is at fault).
    `together` names a column whose equal values are listed side by side, so that copies of one image stand beside each other.
    """

    name: str
    severity: Literal["critical", "warning"]
    expectation: str
    column: str
    expected: Callable[[Limits], str]
    why: str
    found: Callable[[pd.DataFrame, pd.DataFrame], str]
    remedy: str
    arguments: Callable[[Limits], dict[str, Any]]
    values: Callable[[pd.DataFrame], pd.Series] | None = None
    together: str | None = None


# --- columns -------------------------------------------------------------------------------------------------------------------------------


def spread(key: str, across: str) -> Callable[[pd.DataFrame], pd.Series]:
    """Over how many different values of `across` the usable images with this row's `key` are spread. Null for unusable rows."""

    def values(frame: pd.DataFrame) -> pd.Series:
        pairs = frame.loc[frame["readable"], [key, across]].drop_duplicates()
        return frame[key].where(frame["readable"]).map(pairs[key].value_counts()).astype("float64")

    return values


def images_of_class(frame: pd.DataFrame) -> pd.Series:
    """How many usable images the class of this row has; a class whose files are all unreadable has 0."""
    return frame["label"].map(frame.loc[frame["readable"], "label"].value_counts()).fillna(0).astype("int64")


def splits_lacking(frame: pd.DataFrame) -> pd.Series:
    """How many of the three splits hold no usable image of this row's class. Null for unusable rows."""
    return len(SPLITS) - spread("label", "split")(frame)


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


# --- sentences -----------------------------------------------------------------------------------------------------------------------------


def count(n: int, one: str, many: str = "") -> str:
    """A number and its noun: 1 image, 2 images, 1,000 images."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """A share (0-1) as a percentage with three digits at most."""
    return f"{100 * share:.3g}%"


def listing(words: Iterable[str], named: int = NAMED, conjunction: str = "and") -> str:
    """Words as people list them: a, b and c; after `named` of them: and N more."""
    words = list(words)
    if len(words) > named:
        words = [*words[:named], f"{len(words) - named:,} more"]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def _missing(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    present = {label: set(rows) for label, rows in failing.groupby("label")["split"].unique().items()}
    cases = [f"class {label!r} has no usable image in {listing([s for s in SPLITS if s not in held])}" for label, held in present.items()]
    return listing(cases)


def _few(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    def case(label: object, readable: pd.Series) -> str:
        usable, broken = int(readable.sum()), int((~readable).sum())
        return f"class {label!r} has {count(usable, 'usable image')}" + (f" ({count(broken, 'file')} unreadable)" if broken else "")

    return listing([case(label, readable) for label, readable in failing.groupby("label")["readable"]])


def _copies(across: str, key: str, what: str) -> Callable[[pd.DataFrame, pd.DataFrame], str]:
    """Say how many sets of `what`, images of equal `key`, span several values of `across`, and show two of the first."""

    def found(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
        first = failing[failing[key] == failing[key].iloc[0]].drop_duplicates(across)
        example = " and ".join(f"{path} ({value})" for path, value in zip(first["path"][:2], first[across][:2], strict=True))
        sets = count(failing[key].nunique(), f"set of {what} spans", f"sets of {what} span")
        return f"{sets} more than one {across} ({count(len(failing), 'file')}), for example {example}"

    return found


def _spellings(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    labels = failing["label"].drop_duplicates()
    alike = [listing([repr(label) for label in same]) for _, same in labels.groupby(labels.str.casefold())]
    return "labels differ only in upper and lower case: " + "; ".join(alike[:NAMED])


def _imbalance(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    usable = frame.loc[frame["readable"], "label"].value_counts()
    small = failing["label"].drop_duplicates().map(usable).set_axis(failing["label"].drop_duplicates()).sort_values(kind="stable")
    cases = [f"class {label!r} has {count(int(n), 'image')}" for label, n in small.items()]
    return f"{listing(cases)}, where the largest, {usable.index[0]!r}, has {int(usable.iloc[0]):,}"


def _unreadable(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    reasons = failing["reason"].value_counts()
    kinds = listing([f"{reason} ({n:,})" for reason, n in sorted(reasons.items(), key=lambda item: (-item[1], str(item[0])))])
    return f"{len(failing):,} of {count(len(frame), 'file')} ({percent(len(failing) / len(frame))}) cannot be read: {kinds}"


def _classes(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    labels = sorted(set(frame.loc[frame["readable"], "label"]))
    return f"usable images belong to {len(labels)} class{'' if len(labels) == 1 else 'es'}" + (f": {labels[0]!r}" if labels else "")


def _none(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    return f"none of {count(len(frame), 'file')} is a usable image" if len(frame) else "there are no files"


def _sides(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    smallest = failing.loc[failing[["width", "height"]].min(axis=1).idxmin()]
    size = f"{smallest['width']}x{smallest['height']}"
    return f"{count(len(failing), 'image is', 'images are')} small; the smallest, {smallest['path']}, has {size} pixels"


def _long(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    longest = failing.loc[(failing[["width", "height"]].max(axis=1) / failing[["width", "height"]].min(axis=1)).idxmax()]
    size = f"{longest['width']}x{longest['height']}"
    return f"{count(len(failing), 'image is', 'images are')} very long or tall; the most, {longest['path']}, has {size} pixels"


def _modes(failing: pd.DataFrame, frame: pd.DataFrame) -> str:
    modes = failing["mode"].value_counts()
    kinds = listing([f"{mode} ({n:,})" for mode, n in sorted(modes.items(), key=lambda item: (-item[1], str(item[0])))])
    return f"{count(len(failing), 'image has', 'images have')} an unusual colour mode: {kinds}"


# --- the list ------------------------------------------------------------------------------------------------------------------------------

CHECKS: list[Check] = [
    Check(
        name="usable_images",
        severity="critical",
        expectation="ExpectColumnDistinctValuesToContainSet",
        column="readable",
        arguments=lambda limits: {"value_set": [True]},
        expected=lambda limits: "at least one file is a usable image",
        why="an empty table would pass every other check",
        found=_none,
        remedy="Import a folder of images: headstart import PATH.",
    ),
    Check(
        name="two_classes",
        severity="critical",
        expectation="ExpectColumnUniqueValueCountToBeBetween",
        column="usable_label",
        values=usable_label,
        arguments=lambda limits: {"min_value": 2},
        expected=lambda limits: "usable images belong to two classes or more",
        why="with one class there is nothing to tell apart",
        found=_classes,
        remedy="Give each class a folder of its own: data/images/CLASS/FILE.",
    ),
    Check(
        name="images_per_class",
        severity="critical",
        expectation="ExpectColumnValuesToBeBetween",
        column="images_of_class",
        values=images_of_class,
        arguments=lambda limits: {"min_value": limits.min_images_per_class},
        expected=lambda limits: (
            f"every class has at least {count(limits.min_images_per_class, 'usable image')} (validate_data.min_images_per_class)"
        ),
        why="fewer cannot be spread over three splits and still teach or prove anything",
        found=_few,
        remedy="Add images to these classes, merge them into others, or remove their folders.",
    ),
    Check(
        name="classes_in_every_split",
        severity="critical",
        expectation="ExpectColumnValuesToBeBetween",
        column="splits_lacking",
        values=splits_lacking,
        arguments=lambda limits: {"max_value": 0},
        expected=lambda limits: f"every class has usable images in {listing(SPLITS)}",
        why="a class that a split lacks is not learned, not tuned for, or not measured",
        found=_missing,
        remedy="Add images of these classes to those splits, or leave the split folders out and have the splits cut for you.",
    ),
    Check(
        name="labels_that_differ",
        severity="critical",
        expectation="ExpectColumnValuesToBeBetween",
        column="spellings",
        values=spellings,
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "no two labels differ only in upper and lower case",
        why="they are most likely one class, and they collide on file systems that ignore case",
        found=_spellings,
        remedy="Merge the folders, or give them different names.",
    ),
    Check(
        name="same_pixels_in_two_splits",
        severity="critical",
        expectation="ExpectColumnValuesToBeBetween",
        column="splits_of_pixels",
        values=spread("pixels_sha256", "split"),
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "no image lies in two splits (same decoded pixels)",
        why="an image that is trained on and tested on makes the test result too good",
        found=_copies("split", "pixels_sha256", "identical images"),
        remedy="Keep each image in one split and delete the copies.",
        together="pixels_sha256",
    ),
    Check(
        name="same_pixels_under_two_labels",
        severity="critical",
        expectation="ExpectColumnValuesToBeBetween",
        column="labels_of_pixels",
        values=spread("pixels_sha256", "label"),
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "no image lies under two labels (same decoded pixels)",
        why="at least one of the labels is wrong, and no model can satisfy both",
        found=_copies("label", "pixels_sha256", "identical images"),
        remedy="Keep each image under its right label and delete the other copies.",
        together="pixels_sha256",
    ),
    Check(
        name="unreadable_share",
        severity="critical",
        expectation="ExpectColumnValuesToBeInSet",
        column="readable",
        # the billionth keeps 1 - 0.7 = 0.30000000000000004 from refusing a share that is exactly allowed
        arguments=lambda limits: {"value_set": [True], "mostly": max(0.0, 1 - limits.max_unreadable_share - 1e-9)},
        expected=lambda limits: (
            f"at most {percent(limits.max_unreadable_share)} of the files are unreadable (validate_data.max_unreadable_share)"
        ),
        why="more means a broken copy or a folder that holds something else",
        found=_unreadable,
        remedy="Copy the data again, remove what is no image, or raise validate_data.max_unreadable_share.",
    ),
    Check(
        name="unreadable_files",
        severity="warning",
        expectation="ExpectColumnValuesToBeInSet",
        column="readable",
        arguments=lambda limits: {"value_set": [True]},
        expected=lambda limits: "every file is readable",
        why="unreadable files are set aside and listed, never silently dropped",
        found=_unreadable,
        remedy="They are left out; replace or remove them.",
    ),
    Check(
        name="near_duplicates_in_two_splits",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="splits_of_group",
        values=spread("group", "split"),
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "near-duplicates lie in one split",
        why="a test image that looks like a training image is easier than a new one, so the test result may be too good",
        found=_copies("split", "group", "near-duplicates"),
        remedy="Look at them; where they show the same scene, keep them in one split.",
        together="group",
    ),
    Check(
        name="near_duplicates_under_two_labels",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="labels_of_group",
        values=spread("group", "label"),
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "near-duplicates have one label",
        why="one of the labels may be wrong",
        found=_copies("label", "group", "near-duplicates"),
        remedy="Look at them and correct the labels.",
        together="group",
    ),
    Check(
        name="balance",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="behind_largest",
        values=behind_largest,
        arguments=lambda limits: {"max_value": limits.max_imbalance},
        expected=lambda limits: (
            f"the largest class has at most {limits.max_imbalance:g} times the images of any other (validate_data.max_imbalance)"
        ),
        why="rare classes are learned less well, and accuracy hides it",
        found=_imbalance,
        remedy="Add images of the rare classes, or set class_weights to balanced; read balanced accuracy and macro-F1.",
    ),
    Check(
        name="sides",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="shorter_side",
        values=shorter_side,
        arguments=lambda limits: {"min_value": limits.min_side},
        expected=lambda limits: f"the shorter side of every image has at least {count(limits.min_side, 'pixel')} (validate_data.min_side)",
        why="small images are blown up to the network's input and show little",
        found=_sides,
        remedy="Use larger originals where there are any.",
    ),
    Check(
        name="aspect",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="aspect",
        values=aspect,
        arguments=lambda limits: {"max_value": MAX_ASPECT},
        expected=lambda limits: f"the longer side is at most {MAX_ASPECT:g} times the shorter",
        why="the network sees a square, so little of a very long image is left",
        found=_long,
        remedy="Crop them to what matters.",
    ),
    Check(
        name="modes",
        severity="warning",
        expectation="ExpectColumnValuesToBeInSet",
        column="usable_mode",
        values=usable_mode,
        arguments=lambda limits: {"value_set": list(PLAIN_MODES)},
        expected=lambda limits: "every image is plain colour (RGB) or grey (L)",
        why="other modes (palette, transparency, CMYK, 16 bit) are converted, which may change how they look",
        found=_modes,
        remedy="Check that they look right; convert them if not.",
    ),
]
