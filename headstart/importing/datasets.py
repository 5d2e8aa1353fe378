"""Fill a fresh folder with a data set in the canonical layout, from wherever it comes.

The canonical layout is class/file, or train|val|test/class/file.

A source is a folder, a .zip or .tar, either of them with a CSV of labels, `torchvision:NAME`, or an example (examples.py) by name.
Nothing is written outside the target, and nothing is left there if the source is refused.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from headstart.data import images
from headstart.importing import archives, labels_file
from headstart.importing.examples import EXAMPLES as EXAMPLES
from headstart.indexing import layout
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from headstart.machinery.progress import Progress
from headstart.words import lists

TORCHVISION = "torchvision:"
KINDS = f"a folder, a .zip or .tar(.gz, .bz2, .xz), torchvision:NAME, {' or '.join(EXAMPLES)}"
_FICLONE = 0x40049409


@dataclass
class Summary:
    """What was imported.

    Files, class names, files per split ({} if the source gives none), and what was left out or renamed.
    """

    files: int
    classes: list[str]
    splits: dict[str, int]
    skipped: list[str] = field(default_factory=list)  # paths of files that no class folder or label covers
    renamed: int = 0  # files given a suffix because their name was taken
    terms: str = ""  # of their use, as far as they are known: a licence and who made them

    def __str__(self) -> str:
        text = f"{self.files} files in {len(self.classes)} classes"
        if self.splits:
            text += " (" + ", ".join(f"{number} {name}" for name, number in self.splits.items()) + ")"
        if self.renamed:
            text += f"; {self.renamed} renamed because their name was taken"
        if self.skipped:
            text += f"; left out, as they have no label: {lists.named(self.skipped, 5)}"
        return text


def import_dataset(source: str, target: Path, *, labels: Path | None = None, current: Path = Path("data/images")) -> Summary:
    """Fill the fresh folder `target` from `source`, and return what it holds.

    `labels` is a CSV file path,label[,split]. `current` is the data set in use, which a source must not overlap. Raises DataError for
    a source that is refused, ParamsError for one that is unknown, HeadstartError for a failed download or a full disk; `target` is then
    removed.
    """
    if target.exists() and any(target.iterdir()):
        raise HeadstartError(f"{target} is not empty; an import needs a fresh folder")
    try:
        target.mkdir(parents=True, exist_ok=True)
        return _fill(source, target, labels, current)
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, OSError):
            raise _explained(error) from error
        raise


def _fill(source: str, target: Path, labels: Path | None, current: Path) -> Summary:
    shelf = _Shelf(target)
    skipped: list[str] = []
    if source in EXAMPLES or source.startswith(TORCHVISION):
        if labels is not None:
            raise ParamsError(f"--labels goes with a folder or an archive; {source} has labels of its own")
        samples = EXAMPLES[source].samples if source in EXAMPLES else partial(_public, source)
        _save(samples(target / ".downloads"), shelf)
    else:
        skipped = _take(_existing(source, target, current), shelf, labels)
    for scratch in (".downloads", ".unpacked"):
        shutil.rmtree(target / scratch, ignore_errors=True)
    contents = layout.scan(target, shown=source)
    layout.check(contents, source)
    splits = Counter(item.split for item in contents.items if item.split)
    order = [split for split in layout.FOLDERS if split in splits]
    return Summary(
        len(contents.items),
        sorted({item.label for item in contents.items}),
        {split: splits[split] for split in order},
        skipped,
        shelf.renamed,
        EXAMPLES[source].terms if source in EXAMPLES else "",
    )


def _existing(source: str, target: Path, current: Path) -> Path:
    """The path of a source that is there, of a kind we take, and apart from the data set in use."""
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(f"there is no {source}; give {KINDS}")
    if path.is_file() and not archives.is_archive(path):
        raise DataError(f"{source} is a file, and no archive Headstart knows; give {KINDS}")
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{source} is neither a file nor a folder; give {KINDS}")
    real = path.resolve()
    for other in (current.resolve(), target.resolve()):
        if real.is_relative_to(other) or other.is_relative_to(real):
            raise DataError(
                f"{source} overlaps {current}, where the imported data set lives; copy it elsewhere first, or give another folder"
            )
    return path


def _take(path: Path, shelf: _Shelf, labels: Path | None) -> list[str]:
    """Put the files of a folder or an archive on the shelf; returns the paths of files left out."""
    unpacked = path.is_file()
    given = path
    if unpacked:
        given = shelf.target / ".unpacked"
        given.mkdir()
        archives.unpack(path, given)
    if labels is not None:
        items, skipped = labels_file.read(labels, given, shown=str(path))
        root = given
    else:
        root = _unwrap(given)
        items, skipped = _scan(root, given, str(path))
    layout.check(layout.Contents(items, [], []), str(path))
    if not any(images.looks_readable(root / item.path) for item in items):
        raise DataError(f"none of the {len(items)} files in {path} is an image that can be read; give a folder {layout.SHAPE}")
    splits = {item.split for item in items} - {"", "train"}
    put = _move if unpacked else _Cloner().clone
    with Progress(len(items), "copying images") as progress:
        for item in items:
            put(root / item.path, shelf.place(item.label, item.split if splits else "", Path(item.path).name))
            progress.step()
    return skipped


def _unwrap(root: Path) -> Path:
    """The folder that holds the classes or splits: a single folder around them is passed by."""
    while True:
        visible = [entry for entry in _listing(root) if not layout.is_hidden(entry.name)]
        folders = [entry for entry in visible if entry.is_dir(follow_symlinks=False)]
        loose = [entry for entry in visible if entry not in folders and Path(entry.name).suffix.lower() in images.SUFFIXES]
        if len(folders) != 1 or loose or not any(entry.is_dir(follow_symlinks=False) for entry in _listing(Path(folders[0].path))):
            return root
        root = Path(folders[0].path)


def _listing(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _scan(root: Path, given: Path, shown: str) -> tuple[list[layout.Item], list[str]]:
    contents = layout.scan(root, shown=shown, links_within=given)
    loose = [path for path in contents.beside if Path(path).suffix.lower() in images.SUFFIXES]
    if loose:
        raise DataError(f"{len(loose)} image(s) lie beside the class folders of {shown} and have no label: {lists.named(loose)}; move them")
    if contents.empty and not any(item.split for item in contents.items):
        raise DataError(f"{shown}: no file in the class folder(s) {lists.named(contents.empty)}; fill or remove them")
    return contents.items, contents.beside


def _save(samples: Iterable[tuple[str, str, str, Any]], shelf: _Shelf) -> None:
    """Put samples (split, label, file name, file or PIL image) on the shelf."""
    cloner = _Cloner()
    for split, label, name, image in samples:
        path = shelf.place(label, split, name)
        if isinstance(image, Path):
            cloner.clone(image, path)
        else:
            image.save(path)


def _public(source: str, root: Path) -> Iterator[tuple[str, str, str, Any]]:
    from headstart.importing import public_sets

    for number, sample in enumerate(public_sets.load(source.removeprefix(TORCHVISION), root)):
        name = sample.image.name if isinstance(sample.image, Path) else f"{number:06d}.png"
        yield sample.split, sample.label, name, sample.image


class _Shelf:
    """Gives each file its place in the canonical layout, under a name that is free.

    The name is free whether or not the file system tells upper from lower case.
    """

    def __init__(self, target: Path) -> None:
        self.target, self.renamed = target, 0
        self._taken: dict[Path, set[str]] = {}

    def place(self, label: str, split: str, name: str) -> Path:
        folder = self.target / layout.FOLDERS[split] / label if split else self.target / label
        if folder not in self._taken:
            folder.mkdir(parents=True, exist_ok=True)
            self._taken[folder] = set()
        taken, free, number = self._taken[folder], name, 1
        while layout.folded(free) in taken:
            number += 1
            free = f"{Path(name).stem}_{number}{Path(name).suffix}"
        self.renamed += free != name
        taken.add(layout.folded(free))
        return folder / free


def _move(source: Path, target: Path) -> None:
    source.replace(target)


class _Cloner:
    """Copies files, sharing their blocks if the file system can (Btrfs, XFS and others on Linux)."""

    def __init__(self) -> None:
        self.shares = sys.platform == "linux"

    def clone(self, source: Path, target: Path) -> None:
        if not (self.shares and self._share(source, target)):
            shutil.copyfile(source, target)

    def _share(self, source: Path, target: Path) -> bool:
        import fcntl

        with source.open("rb") as reader, target.open("wb") as writer:
            try:
                fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
            except OSError as error:
                self.shares = error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.ENOSYS)
                return False
        return True


def _explained(error: OSError) -> HeadstartError:
    """What the user can do about a failed system call."""
    if isinstance(error, PermissionError):
        return DataError(f"no permission: {error.filename}; allow reading the source and writing here with chmod")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HeadstartError("the disk is full; make room and import again")
    return HeadstartError(f"the import failed: {error}")
