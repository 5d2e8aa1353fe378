"""Find the labelled files of a folder that people give, and say what it looks like instead if it is no such folder."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from headstart.data import clutter, images
from headstart.indexing import layout
from headstart.indexing.layout import Contents, Item
from headstart.machinery.errors import DataError
from headstart.words import lists

TABLES = (".csv", ".tsv")


def find(given: Path, shown: str, recursive: bool) -> tuple[Path, Contents]:
    """The folder that holds the classes or splits, and what lies there.

    `shown` names what was given in messages. Raises DataError for a layout that leaves a label in doubt, images without a label, and
    classes without an image.
    """
    root = _unwrap(given)
    contents = layout.scan(root, shown=shown, links_within=given, recursive=recursive)
    loose = [path for path in contents.beside if Path(path).suffix.lower() in images.SUFFIXES]
    tables = [path for path in (*contents.beside, *contents.sidecars) if Path(path).suffix.lower() in TABLES]
    if loose or (tables and len({item.label for item in contents.items}) < 2):
        raise DataError(_without_labels(contents, loose, tables, shown), [(path, "", 0, "in no class folder") for path in loose])
    if contents.hollow:
        rows = [(path, layout.name_of(path), 0, "a class folder without a file") for path in contents.hollow]
        raise DataError(f"{shown}: no file in the class folder(s) {lists.named(contents.hollow)}; fill or remove them", rows)
    return root, contents


def check_readable(root: Path, items: list[Item], shown: str) -> list[tuple[str, str]]:
    """The files that do not even start like an image, and why. Raises DataError if all are such: with the reason, if it is one."""
    bad = [(item.path, reason) for item in items if (reason := images.why_not(root / item.path))]
    if len(bad) < len(items):
        return bad
    reasons = Counter(reason for _, reason in bad).most_common()
    told = reasons[0][0] if len(reasons) == 1 else "; ".join(f"{number:,} of them: {reason}" for reason, number in reasons[:5])
    if reasons[0][0] == "not an image":
        told += f"; give a folder {layout.SHAPE}"
    rows = [(path, "", 0, reason) for path, reason in bad]
    raise DataError(f"none of the {len(items):,} files in {shown} is an image that can be read: {told}", rows)


def _without_labels(contents: Contents, loose: list[str], tables: list[str], shown: str) -> str:
    """What to say of images that no class folder labels."""
    if tables:
        return f"{shown} holds {lists.named(tables, 3)} beside its images or folders, which is a table of labels, it seems: add --labels {tables[0]}"
    if not contents.items:
        return (
            f"the {len(loose):,} image(s) of {shown} lie in no class folder, so nothing gives their labels; if they are one class, give the "
            f"folder above, with a folder per class; or name a table of labels with --labels FILE.csv"
        )
    return f"{len(loose)} image(s) lie beside the class folders of {shown} and have no label: {lists.named(loose)}; move them"


def _unwrap(root: Path) -> Path:
    """The folder that holds the classes or splits: a single folder around them is passed by."""
    while True:
        visible = [entry for entry in _listing(root) if not clutter.is_bookkeeping(entry.name)]
        folders = [entry for entry in visible if entry.is_dir(follow_symlinks=False)]
        loose = [entry for entry in visible if entry not in folders and Path(entry.name).suffix.lower() in images.SUFFIXES]
        if len(folders) != 1 or loose or not _has_folders(Path(folders[0].path)):
            return root
        root = Path(folders[0].path)


def _has_folders(folder: Path) -> bool:
    return any(entry.is_dir(follow_symlinks=False) and not clutter.is_bookkeeping(entry.name) for entry in _listing(folder))


def _listing(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)
