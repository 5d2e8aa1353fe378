"""Find the labelled files of a folder that people give, and say what it looks like instead if it is no such folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from headstart.data import clutter, images, photos
from headstart.indexing import layout
from headstart.indexing.layout import Contents, Item
from headstart.machinery.errors import DataError
from headstart.words import lists

TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xlsx", ".xls", ".ods", ".xml")  # what may be a table of labels
_READ = (".csv", ".tsv", ".txt")  # those that are read
_WORDS = re.compile(r"label|annotation|class|train|test|target|meta|ground.?truth|instances", re.IGNORECASE)
_NO_FILE = "without a file"


def find(
    given: Path, shown: str, recursive: bool, skip_bad: bool = False, known: Sequence[str] = (), unlabelled: bool = False
) -> tuple[Path, Contents]:
    """The folder that holds the classes or splits, and what lies there.

    `shown` names what was given in messages. `known`: names of folders that are classes, whatever lies in them.
    `unlabelled`: images beside the class folders may lack a label. Raises DataError for a layout that leaves a label in doubt, images without a label, and
    classes without an image.
    """
    root, passed = _unwrap(given, known)
    contents = layout.scan(root, shown=shown, links_within=given, recursive=recursive, skip_bad=skip_bad)
    contents = contents._replace(notes=[*contents.notes, *(f"left out the folder {path}: no photo is in it" for path in passed)])
    loose = [path for path in contents.beside if Path(path).suffix.lower() in images.SUFFIXES]
    tables = _tables([*contents.beside, *contents.sidecars])
    if (loose and not (unlabelled and contents.items)) or (tables and len({item.label for item in contents.items}) < 2):
        raise DataError(_without_labels(contents, loose, tables, shown), [(path, "", 0, "in no class folder") for path in loose])
    if not contents.items:
        _refuse_what_holds_no_photo(root, contents, shown)
    if contents.hollow:
        reasons = {path: _hollow(path, contents.sidecars) for path in contents.hollow}
        rows = [(path, layout.name_of(path), 0, f"a class folder {reason}") for path, reason in reasons.items()]
        if skip_bad:
            return root, contents._replace(bad=[*contents.bad, *((path, reason) for path, _, _, reason in rows)])
        told = [path if reason == _NO_FILE else f"{path} ({reason})" for path, reason in reasons.items()]
        raise DataError(
            f"{shown}: no file in the class folder(s) {lists.named(told)}; fill or remove them, or leave them out with --skip-bad", rows
        )
    return root, contents


def _refuse_what_holds_no_photo(root: Path, contents: Contents, shown: str) -> None:
    """Raise DataError if there are other files: archives, tables of pictures, text."""
    sidecars = [path for path in contents.beside if photos.is_sidecar(root / path)]
    others = [Item(path, "", "") for path in contents.beside if path not in sidecars]
    if others and len(check_readable(root, others, shown)) < len(others):
        raise DataError(_without_labels(contents, [item.path for item in others], [], shown))
    if sidecars or contents.sidecars:
        raise DataError(f"{shown} holds no photo, but {clutter.kinds([*sidecars, *contents.sidecars])}; give a folder {layout.SHAPE}")


def _hollow(folder: str, sidecars: Sequence[str]) -> str:
    """What a class folder holds that has no photo."""
    inside = [path for path in sidecars if path.startswith(f"{folder}/")]
    return f"with no photo but {clutter.kinds(inside)}" if inside else _NO_FILE


def check_readable(root: Path, items: list[Item], shown: str) -> list[tuple[str, str]]:
    """The files that do not even start like an image, and why. Raises DataError if all are such: with the reason, if it is one."""
    bad = [(item.path, reason) for item in items if (reason := images.why_not(root / item.path))]
    if len(bad) < len(items) or not items:
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
        read = next((path for path in tables if path.lower().endswith(_READ)), "")
        what = (
            f"add --labels {read}"
            if read
            else f"save it as CSV, with a column of file names and one of labels, and add --labels {Path(tables[0]).stem}.csv"
        )
        return f"{shown} holds {lists.named(tables, 3)} beside its images or folders, which is a table of labels, it seems: {what}"
    if not contents.items:
        return (
            f"the {len(loose):,} image(s) of {shown} lie in no class folder, so nothing gives their labels; if they are one class, give the "
            f"folder above, with a folder per class; or name a table of labels with --labels FILE.csv; if their names say the class, move them "
            f"into a folder per class; if there are no labels, add --no-labels"
        )
    return f"{len(loose)} image(s) lie beside the class folders of {shown} and have no label: {lists.named(loose)}; move them, or keep them as images without labels: --unlabelled"


def _tables(paths: Sequence[str]) -> list[str]:
    """Those of these files that may be tables of labels, the likeliest first: CSV, and others whose names say so."""
    found = [path for path in paths if path.lower().endswith(TABLES)]
    sure = [path for path in found if path.lower().endswith((".csv", ".tsv")) or _WORDS.search(Path(path).stem)]
    rank = {".csv": 0, ".tsv": 1, ".txt": 2}
    return sorted(sure, key=lambda path: (rank.get(Path(path).suffix.lower(), 3), "submission" in path.lower(), path.count("/"), path))


def _unwrap(root: Path, known: Sequence[str]) -> tuple[Path, list[str]]:
    """The folder that holds the classes or splits, and folders without a photo that lie outside: a single folder around it is passed by."""
    given, passed = root, list[str]()
    while True:
        visible = [entry for entry in _listing(root) if not clutter.is_bookkeeping(entry.name)]
        folders = [entry for entry in visible if entry.is_dir(follow_symlinks=False)]
        loose = [entry for entry in visible if entry not in folders and Path(entry.name).suffix.lower() in images.SUFFIXES]
        full = [entry for entry in folders if len(folders) == 1 or photos.holds_any(Path(entry.path))]
        if len(full) != 1 or loose or layout.name_of(full[0].name) in known or not _has_folders(Path(full[0].path)):
            return root, passed
        passed += [Path(entry.path).relative_to(given).as_posix() for entry in folders if entry not in full]
        root = Path(full[0].path)


def _has_folders(folder: Path) -> bool:
    return any(entry.is_dir(follow_symlinks=False) and not clutter.is_bookkeeping(entry.name) for entry in _listing(folder))


def _listing(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)
