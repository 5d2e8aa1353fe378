"""What a folder of labelled images looks like: class/file, or split/class/file.

Finds every file, its label and its split.

Whatever is doubtful is refused with a DataError that names it: a wrong label costs more than a message.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from headstart.machinery.errors import DataError
from headstart.words import lists

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
FOLDERS = {"train": "train", "validation": "val", "test": "test"}  # how the canonical layout names the splits
SHAPE = "CLASS/FILE, or train/CLASS/FILE with val/ and test/ beside train/"
_HIDDEN = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "@eadir"}


class Item(NamedTuple):
    """One file: its path below the root (posix), its label, and the split its folder gives ("" if none)."""

    path: str
    label: str
    split: str


class Contents(NamedTuple):
    """What a labelled folder contains.

    The files, sorted by path; the paths of files beside the class folders; and the class folders without a file.
    """

    items: list[Item]
    beside: list[str]
    empty: list[str]


def scan(root: Path, *, shown: str = "", links_within: Path | None = None) -> Contents:
    """Find every file below `root`, hidden ones left out (.DS_Store, Thumbs.db, __MACOSX and the like).

    `shown` names the folder in messages. Links to files are followed (`links_within`: only to files below that folder); links to folders
    never are. Raises DataError for a mixed or too deep layout, a split given twice or without train, names that are not UTF-8, and links
    that lead nowhere or astray. Too few classes are for `check` to refuse.
    """
    return _Reader(root, shown or str(root), links_within and links_within.resolve()).read()


def check(contents: Contents, where: str) -> None:
    """Raise DataError if there is no file, fewer than two classes, or labels that differ only in case."""
    labels = sorted({item.label for item in contents.items})
    if not labels:
        raise DataError(f"{where} holds no images; import some with `headstart import PATH` (a folder {SHAPE})")
    check_labels(labels)
    if len(labels) == 1:
        raise DataError(f"{where} has one class, {labels[0]!r}, so there is nothing to tell apart; give at least two class folders")


def check_labels(labels: Iterable[str]) -> None:
    """Raise DataError for labels that differ only in case or in how their accents are encoded."""
    seen: dict[str, str] = {}
    for label in sorted(set(labels)):
        other = seen.setdefault(folded(label), label)
        if other != label:
            raise DataError(
                f"the labels {other!r} and {label!r} differ only in case; if they are one class, give them one name, else two clearer ones"
            )


def check_label(label: str) -> str:
    """What makes `label` unfit to be the name of a class folder, "" if nothing does."""
    if not label.strip():
        return "is empty"
    if label != label.strip():
        return "begins or ends with a space"
    if "/" in label or "\\" in label:
        return "holds a slash"
    if is_hidden(label):
        return "would be a hidden folder"
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in label):
        return "holds a control character"
    return "is longer than 200 bytes" if len(label.encode()) > 200 else ""


def folded(name: str) -> str:
    """A name as file systems that ignore case see it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is bookkeeping of some system rather than data."""
    return name.startswith(".") or name.lower() in _HIDDEN


def check_name(name: str) -> None:
    """Raise DataError for a path that is not valid UTF-8 (DVC cannot track it)."""
    try:
        name.encode()
    except UnicodeEncodeError:
        escaped = os.fsencode(name).decode(errors="backslashreplace")
        raise DataError(
            f"the name {escaped} is not valid UTF-8; rename it, for example with convmv -f latin1 -t utf8 -r --notest FOLDER"
        ) from None


@dataclass
class _Folder:
    """What lies directly in a folder, sorted, hidden things left out."""

    path: str  # below the root, "" for the root itself
    folders: list[str]  # names
    files: list[str]  # paths below the root


@dataclass
class _Reader:
    root: Path
    shown: str
    within: Path | None

    def read(self) -> Contents:
        top = self._open("")
        inner = {name: self._open(name) for name in top.folders}
        given = [name for name, folder in inner.items() if name.lower() in SPLITS and folder.folders]
        if not given:
            items, empty = self._classes(list(inner.values()), "")
            self._refuse_splits_without_classes({item.label for item in items})
            return Contents(sorted(items), top.files, empty)
        others = [name for name, folder in inner.items() if name not in given and (folder.folders or folder.files)]
        if others:
            raise DataError(
                f"{self.shown} mixes layouts: {lists.named(given)} hold(s) class folders, {lists.named(others)} not; make it {SHAPE}"
            )
        self._check_splits(given)
        contents = Contents([], list(top.files), [])
        for name in given:
            classes = [self._open(f"{name}/{label}") for label in inner[name].folders]
            items, empty = self._classes(classes, SPLITS[name.lower()])
            contents.items.extend(items)
            contents.beside.extend(inner[name].files)
            contents.empty.extend(empty)
        return Contents(sorted(contents.items), sorted(contents.beside), sorted(contents.empty))

    def _classes(self, folders: list[_Folder], split: str) -> tuple[list[Item], list[str]]:
        items: list[Item] = []
        for folder in folders:
            label = folder.path.rpartition("/")[2]
            if folder.folders:
                deep = f"{folder.path}/{folder.folders[0]}"
                raise DataError(f"{self.shown}: the folder {deep} lies inside a class folder, so its label is in doubt; make it {SHAPE}")
            if problem := check_label(label):
                raise DataError(f"{self.shown}: the name of the class folder {folder.path!r} {problem}; rename it")
            items += [Item(path, label, split) for path in folder.files]
        return items, [folder.path for folder in folders if not folder.files]

    def _refuse_splits_without_classes(self, labels: set[str]) -> None:
        if labels and {label.lower() for label in labels} <= SPLITS.keys():
            found = lists.named(sorted(labels))
            raise DataError(f"{self.shown}: {found} hold(s) files but no class folders, so nothing gives the labels; make it {SHAPE}")

    def _check_splits(self, names: list[str]) -> None:
        meanings: dict[str, str] = {}
        for name in names:
            other = meanings.setdefault(SPLITS[name.lower()], name)
            if other != name:
                raise DataError(f"{self.shown}: the folders {other!r} and {name!r} both mean {SPLITS[name.lower()]}; merge them")
        if "train" not in meanings:
            raise DataError(f"{self.shown} has {lists.named(names)} but no train folder; make it {SHAPE}")

    def _open(self, path: str) -> _Folder:
        shown = f"{self.shown}/{path}" if path else self.shown
        try:
            with os.scandir(self.root / path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            raise DataError(f"there is no folder {shown}; import images with `headstart import PATH`") from None
        except NotADirectoryError:
            raise DataError(f"{shown} is not a folder; it should be {SHAPE}") from None
        except PermissionError:
            raise DataError(f"no permission to read the folder {shown}; allow it with chmod u+rx") from None
        folder = _Folder(path, [], [])
        for entry in found:
            if not is_hidden(entry.name):
                self._sort(entry, f"{path}/{entry.name}" if path else entry.name, folder)
        return folder

    def _sort(self, entry: os.DirEntry[str], path: str, folder: _Folder) -> None:
        check_name(path)
        if entry.is_symlink():
            self._check_link(Path(entry.path), path)
            folder.files.append(path)
        elif entry.is_dir():
            folder.folders.append(entry.name)
        elif entry.is_file():
            folder.files.append(path)
        else:
            raise DataError(f"{self.shown}/{path} is neither a file nor a folder; remove it")

    def _check_link(self, link: Path, path: str) -> None:
        """Refuse a link that does not lead to a file within the folder that links must stay in.

        That is a link that leads nowhere, round in a circle, to a folder, or out of that folder.
        """
        advice = "replace it by what it points to (cp -rL copies a folder with its links resolved) or remove it"
        try:
            target = link.resolve(strict=True)
            kind = target.stat().st_mode
        except (OSError, RuntimeError):
            raise DataError(f"{self.shown}/{path} is a link that leads nowhere, or nowhere that may be read; {advice}") from None
        if not stat.S_ISREG(kind):
            what = "a folder" if stat.S_ISDIR(kind) else "something that is no file"
            raise DataError(f"{self.shown}/{path} is a link to {what}; {advice}")
        if self.within and not target.is_relative_to(self.within):
            raise DataError(f"{self.shown}/{path} is a link that points outside the folder; {advice}")
