"""Leave out of an import what cannot be used, and say what it was: unreadable files, copies, classes that are too small."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from headstart.base.cores import in_order
from headstart.data import images
from headstart.importing.labels_file import LeftOut
from headstart.indexing import inspection
from headstart.indexing.layout import Item
from headstart.machinery.errors import DataError
from headstart.machinery.progress import Progress
from headstart.words import lists


def readable(root: Path, items: list[Item]) -> tuple[list[Item], list[LeftOut]]:
    """The items below `root` that can be decoded in full, and the others with the reason."""

    def reason(item: Item) -> str:
        try:
            images.open_image(root / item.path, near=64)
            return ""
        except images.Unreadable as error:
            return str(error)

    with Progress(len(items), "reading images") as progress:
        reasons = []
        for said in in_order(reason, items):
            reasons.append(said)
            progress.step()
    kept = [item for item, said in zip(items, reasons, strict=True) if not said]
    return kept, [LeftOut(item.path, item.label, 0, said) for item, said in zip(items, reasons, strict=True) if said]


def distinct(root: Path, items: list[Item], skip_bad: bool = False) -> tuple[list[Item], list[LeftOut]]:
    """One of each set of images with the same pixels, the first of the split that teaches most, and the others.

    Images that lie under two labels: at least one of these is wrong, and only people can say which. `skip_bad` leaves out all of them,
    else DataError is raised.
    """
    order = {"": 0, "train": 0, "validation": 1, "test": 2}
    with Progress(len(items), "looking for copies") as progress:
        same: dict[str, list[Item]] = defaultdict(list)
        found = in_order(lambda item: inspection.inspect(root / item.path), items)
        for number, (item, row) in enumerate(zip(items, found, strict=True)):
            same[row["pixels_sha256"] or str(number)].append(item)
            progress.step()
    torn = [these for these in same.values() if len({item.label for item in these}) > 1]
    if torn and not skip_bad:
        shown = "; ".join(" and ".join(f"{item.path} ({item.label})" for item in these[:2]) for these in torn[:5])
        rows = [(item.path, item.label, 0, f"the same image as {these[0].path}") for these in torn for item in these]
        raise DataError(
            f"{len(torn)} image(s) lie under two labels, so no copy can be dropped: {shown}; keep each under its right label, or leave all of them out with "
            "--skip-bad",
            rows,
        )
    left: list[LeftOut] = []
    kept: set[str] = set()
    for these in same.values():
        if these in torn:
            labels = lists.listing(sorted({repr(item.label) for item in these}))
            left += [LeftOut(item.path, item.label, 0, f"the same image under several labels: {labels}") for item in these]
            continue
        first, *others = sorted(these, key=lambda item: (order.get(item.split, 0), item.path))
        kept.add(first.path)
        left += [LeftOut(item.path, item.label, 0, f"copy of {first.path}") for item in others]
    return [item for item in items if item.path in kept], left


def large_enough(items: list[Item], least: int) -> tuple[list[Item], list[LeftOut]]:
    """The items of classes with at least `least` of them, and the others."""
    sizes = Counter(item.label for item in items)
    reason = "its class has {} image(s), fewer than the {} of validate_data.min_images_per_class"
    left = [LeftOut(item.path, item.label, 0, reason.format(sizes[item.label], least)) for item in items if sizes[item.label] < least]
    return [item for item in items if sizes[item.label] >= least], left


def small(items: list[Item], least: int) -> list[str]:
    """The classes with fewer than `least` items, sorted."""
    return sorted(label for label, number in Counter(item.label for item in items).items() if number < least)
