"""What people and other tools call the splits of a data set, and what Headstart calls them."""

from __future__ import annotations

import re
from collections.abc import Iterable

SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "devel", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
    "vld": "validation",
    "minival": "validation",
    "trainval": "train",
    "eval": "validation",  # validation or test: see `meanings`
    "evaluation": "validation",
    "holdout": "test",
    "heldout": "test",
}
FOLDERS = {"train": "train", "validation": "val", "test": "test"}  # how the canonical layout names the splits
UNLABELLED = ("pred", "prediction", "predict", "unlabelled", "unlabeled", "unlabel", "nolabel", "unsup", "inference")
_EITHER = frozenset(["eval", "evaluation", "holdout", "heldout"])  # they give way where another folder has their meaning
_FILLERS = frozenset(
    ["set", "sets", "data", "dataset", "datasets", "split", "seg", "image", "images", "img", "imgs", "photos", "pictures", "folder"]
    + [
        "files",
        "samples",
        "raw",
        "clean",
        "final",
        "new",
        "cls",
        "classification",
        "x",
        "my",
        "copy",
        "kopie",
        "copie",
        "public",
        "private",
    ]
    + ["small", "large", "full", "mini", "tiny", "v", "version", "official", "original", "augmented", "cropped", "resized", "processed"]
    + ["rgb", "jpg", "jpeg", "png", "seen", "unseen", "i"]
)


def word(name: str) -> str:
    """The word that makes a name that of a split, "" if none does: train of seg_train, TrainSet, `training data`, train2017."""
    if name.lower() in SPLITS:  # teST
        return name.lower()
    parts = re.findall(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]+", re.sub(r"(?i)(hold|held)[ _-]*(?=out)", r"\1", name))
    joined = [part.lower() for part in parts if part.lower() not in _FILLERS]
    parts = ["trainval"] if joined == ["train", "val"] else parts
    left = [part for part in (_without_set(part.lower()) for part in parts) if part not in _FILLERS]
    rest = re.sub(r"[A-Za-z0-9 _.()-]", "", name)
    return left[0] if len(left) == 1 and not rest and (left[0] in SPLITS or left[0] in UNLABELLED) else ""


def _without_set(part: str) -> str:
    """trainset -> train."""
    shorter = part.removesuffix("sets").removesuffix("set").removesuffix("data")
    return shorter if shorter in SPLITS else part


def of(name: str) -> str:
    """The split that a name means: train, validation or test; "" if it means none."""
    return SPLITS.get(word(name), "")


def meanings(names: Iterable[str]) -> dict[str, str]:
    """The split of each of these names, as they stand beside each other; names that mean none are left out.

    eval means validation, or test where another name means validation; holdout means test, or validation where another means test.
    Words that all names share say nothing (pets_train, pets_test), if what is left of each is the name of a split.
    """
    names = list(names)
    found = {name: of(name) for name in names if of(name)}
    if not found:
        short = _without_shared(names)
        meant = meanings(short) if short and all(map(of, short)) else {}
        return {name: meant[left] for name, left in zip(names, short, strict=True)} if meant else {}
    for name in sorted(found):
        others = {split for other, split in found.items() if other != name}
        other = {"validation": "test", "test": "validation"}.get(found[name], "")
        if word(name) in _EITHER and found[name] in others and other and other not in others:
            found[name] = other
    return found


def _without_shared(names: list[str]) -> list[str]:
    """Names without the words that all begin and end with; none of them if these are fewer than two, or all words of one."""
    words = [re.split(r"[ _.-]+", name) for name in names]
    shortest = min(map(len, words), default=0)
    first = next((place for place in range(shortest) if len({parts[place] for parts in words}) > 1), shortest)
    last = next((place for place in range(shortest - first) if len({parts[-1 - place] for parts in words}) > 1), shortest - first)
    if len(names) < 2 or first + last >= shortest or not first + last:
        return []
    return [" ".join(parts[first : len(parts) - last]) for parts in words]
