"""What a folder of labelled images looks like: class/file, or split/class/file.

Finds every file, its label and its split.

Whatever is doubtful is refused with a DataError that names it: a wrong label costs more than a message.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from headstart.data import clutter, photos
from headstart.data.clutter import is_bookkeeping as is_hidden
from headstart.indexing import listing, split_names
from headstart.indexing.listing import SHAPE as SHAPE
from headstart.indexing.listing import check_name as check_name
from headstart.indexing.split_names import FOLDERS as FOLDERS
from headstart.indexing.split_names import SPLITS as SPLITS
from headstart.machinery.errors import DataError
from headstart.words import lists


class Item(NamedTuple):
    """One file: its path below the root (posix), its label, and the split its folder gives ("" if none)."""

    path: str
    label: str
    split: str


class Contents(NamedTuple):
    """What a labelled folder contains.

    The files, sorted by path; the paths of files beside the class folders; the class folders without a file; sidecars in class folders;
    folders of a split without class folders, hence without labels, with their number of files; what a reader should know besides; and
    what is no file that may be read, with the reason.
    """

    items: list[Item]
    beside: list[str]
    empty: list[str]
    sidecars: Sequence[str] = ()
    unlabelled: Sequence[tuple[str, int]] = ()
    notes: Sequence[str] = ()
    bad: Sequence[tuple[str, str]] = ()

    @property
    def hollow(self) -> list[str]:
        """The class folders whose class has no file at all, in no split."""
        labels = {item.label for item in self.items}
        return [path for path in self.empty if name_of(path) not in labels]


def scan(root: Path, *, shown: str = "", links_within: Path | None = None, recursive: bool = False, skip_bad: bool = False) -> Contents:
    """Find every file below `root`; bookkeeping is passed over (.DS_Store, Thumbs.db, @eaDir, #recycle: headstart/data/clutter.py).

    `shown` names the folder in messages. Links to files are followed. `links_within`: what is imported; links are followed only to files
    and folders below that folder, and a split without class folders is left out, as it has no labels. Otherwise links to folders are
    refused, and so is such a split. `recursive`: files of sub-folders belong to the class folder above them. `skip_bad`: links that lead
    nowhere or astray, pipes and devices are left out.

    Raises DataError for a mixed or too deep layout, a split given twice or without train, names that are not UTF-8, and, unless `skip_bad`,
    for all that it would leave out. Too few classes are for `check` to refuse.
    """
    contents = _Reader(root, shown or str(root), links_within and links_within.resolve(), recursive).read()
    if contents.bad and not skip_bad:
        raise listing.refusal(shown or str(root), contents.bad)
    return contents


def name_of(path: str) -> str:
    """The label that a class folder gives: its name, in the one form of Unicode that all spellings of it share."""
    return unicodedata.normalize("NFC", path.rpartition("/")[2])


def class_names(root: Path) -> list[str]:
    """The labels that the folders below `root` give, sorted, by their names alone: no file is looked at, and nothing is refused."""
    names = _folders(root)
    splits = {name: _folders(root / name) for name in split_names.meanings(names)}
    found = [label for labels in splits.values() for label in labels]
    if any(split_names.of(label) for label in found):  # a split inside a split, or something else that only `scan` can tell
        return []
    return sorted({name_of(label) for label in found or names})


def _folders(root: Path) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return [entry.name for entry in entries if not is_hidden(entry.name) and entry.is_dir()]
    except OSError:
        return []


def check(contents: Contents, where: str, fewest: int = 2) -> None:
    """Raise DataError if there is no file, fewer than `fewest` classes (1 or 2), or labels that differ only in case."""
    labels = sorted({item.label for item in contents.items})
    if not labels:
        raise DataError(f"{where} holds no images; import some with `headstart import PATH` (a folder {SHAPE})")
    check_labels(labels)
    if len(labels) < fewest:
        raise DataError(f"{where} has one class, {labels[0]!r}, so there is nothing to tell apart; give at least two class folders")


def check_labels(labels: Iterable[str]) -> None:
    """Raise DataError for labels that differ only in case, in blanks or in characters that cannot be seen, and for one number twice."""
    names = sorted(set(labels))
    numbers = all(re.fullmatch(r"\d+(\.0*)?", label) for label in names)
    seen: dict[str, str] = {}
    for label in names:
        other = seen.setdefault(str(float(label)) if numbers else _seen(label), label)
        if other != label:
            how = "are one number" if numbers else "differ only in case" if folded(label) == folded(other) else "look the same"
            shown = f"{other!r} and {label!r}" if how != "look the same" else f"{other!a} and {label!a}"
            raise DataError(f"the labels {shown} {how}; if they are one class, give them one name, else two clearer ones")


def _seen(label: str) -> str:
    """A label as people see it: without its case, without what has no width, and with one kind of blank."""
    visible = "".join(" " if letter.isspace() else letter for letter in label if unicodedata.category(letter) != "Cf")
    return folded(" ".join(visible.split()))


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


@dataclass
class _Reader:
    root: Path
    shown: str
    within: Path | None
    recursive: bool
    notes: list[str] = field(default_factory=list)
    spelled: dict[str, set[str]] = field(default_factory=dict)  # the spellings of each label
    bare: list[str] = field(default_factory=list)  # folders that hold sidecars alone

    def read(self) -> Contents:
        self._lister = listing.Lister(self.root, self.shown, self.within)
        top = self._lister.open("")
        inner = {name: self._once(self._lister.open(name)) for name in top.folders}
        given = {name: split for name, split in split_names.meanings(inner).items() if inner[name].folders}
        if not given:
            found = self._classes(list(inner.values()), "")
            self._refuse_splits_without_classes({item.label for item in found.items}, [*top.files, *found.sidecars])
            return self._told(found._replace(beside=top.files))
        unlabelled = self._without_labels(inner, given)
        self._check_splits(given)
        contents = Contents([], list(top.files), [])
        for name, split in given.items():
            folder = inner[name]
            found = self._classes([self._lister.open(f"{folder.path}/{label}") for label in folder.folders], split)
            contents.items.extend(found.items)
            contents.beside.extend(folder.files)
            contents.empty.extend(found.empty)
            contents = contents._replace(sidecars=[*contents.sidecars, *found.sidecars])
        return self._told(contents._replace(unlabelled=unlabelled))

    def _once(self, folder: listing.Folder) -> listing.Folder:
        """A folder alone inside that of a split is that split, if it is called like one or holds folders (train/images/CLASS)."""
        meaning = split_names.word(folder.path)
        while meaning and len(folder.folders) == 1 and not folder.files:
            inside = self._lister.open(f"{folder.path}/{folder.folders[0]}")
            if split_names.word(folder.folders[0]) != meaning and (inside.files or not inside.folders):
                break
            folder = inside
        return folder

    def _told(self, contents: Contents) -> Contents:
        """The contents in order, and what was noted on the way."""
        for label, names in sorted(self.spelled.items()):
            if len(names) > 1:
                self.notes.append(
                    f"the class {label!r} is written in {len(names)} ways that look the same (composed, decomposed): one class"
                )
        labels = {item.label for item in contents.items}
        for path in sorted(self.bare):
            if name_of(path).lower() not in clutter.BESIDE:
                contents.empty.append(path)
            elif name_of(path) not in labels:
                self.notes.append(f"left out the folder {path}: no photo is in it")
        beside, empty, sidecars = (sorted(part) for part in (contents.beside, contents.empty, contents.sidecars))
        return Contents(sorted(contents.items), beside, empty, sidecars, contents.unlabelled, self.notes, sorted(self._lister.bad))

    def _classes(self, folders: list[listing.Folder], split: str) -> Contents:
        """What lies in class folders."""
        deep = [folder for folder in folders if folder.folders]
        if deep and not self.recursive:
            raise DataError(self._why_deep(folders, deep))
        found = Contents([], [], [])
        sidecars: list[str] = []
        for folder in folders:
            label = name_of(folder.path)
            if problem := check_label(label):
                raise DataError(f"{self.shown}: the name of the class folder {folder.path!r} {problem}; rename it")
            files = self._lister.below(folder) if folder.folders else folder.files
            beside = [path for path in files if photos.is_sidecar(self.root / path)]
            sidecars += beside
            left = set(beside)
            found.items.extend(Item(path, label, split) for path in files if path not in left)
            self.spelled.setdefault(label, set()).add(folder.path.rpartition("/")[2])
            if len(beside) == len(files):
                (self.bare if beside else found.empty).append(folder.path)
        return found._replace(sidecars=sidecars)

    def _why_deep(self, folders: list[listing.Folder], deep: list[listing.Folder]) -> str:
        """What to say of folders inside class folders: a folder that was doubled, a root one level too high, or neither."""
        one = deep[0]
        name = one.path.rpartition("/")[2]
        inside = f"{one.path}/{one.folders[0]}"
        if one.folders == [name] and not one.files:
            return (
                f"{self.shown}: the folder {one.path} holds nothing but a folder of the same name, {inside}: it was doubled, by unpacking it "
                f"seems; move the files up one folder, or add --recursive"
            )
        if len(deep) == len(folders) and not any(folder.files for folder in folders):
            shared = set(one.folders).intersection(*(folder.folders for folder in folders))
            if len(folders) > 1 and len(shared) > 1:
                paths = lists.named([folder.path for folder in folders], 5)
                return (
                    f"{self.shown}: {paths} hold the same class folders ({lists.named(sorted(shared), 5)}), so they look like splits, but by "
                    f"name they mean none that Headstart knows; call them train, val and test, or give one of them: {self.shown}/{one.path}"
                )
            names = lists.named([folder.path for folder in folders], 5)
            return (
                f"{self.shown} seems to be one level too high: its folders ({names}) hold folders, not files, so {inside} lies inside a class "
                f"folder. If the classes are the folders inside, give one of these folders: {self.shown}/{one.path}. If {names} are the "
                f"classes, add --recursive, and the files of their sub-folders belong to them"
            )
        return (
            f"{self.shown}: the folder {inside} lies inside a class folder, so its label is in doubt; make it {SHAPE}, or add --recursive, "
            f"and the files of sub-folders belong to the class above them"
        )

    def _without_labels(self, inner: dict[str, listing.Folder], given: dict[str, str]) -> list[tuple[str, int]]:
        """The folders beside those of splits: refused, but for a flat test folder and the like, of which nothing is known."""
        others = {name: folder for name, folder in inner.items() if name not in given and (folder.folders or folder.files)}
        for name in [name for name in others if name.lower() in clutter.BESIDE and not photos.holds_any(self.root / others[name].path)]:
            del others[name]
            self.notes.append(f"left out the folder {name}: no photo is in it")
        flat = [name for name in others if not others[name].folders and self._may_lack_labels(name)]
        if self.within is not None:
            for name in flat:
                del others[name]
        classes = [name for name in others if others[name].folders]
        known = lists.named(list(split_names.SPLITS), 30)
        if classes:
            raise DataError(
                f"{self.shown}: {lists.named(list(given))} mean(s) a split; {lists.named(classes)} hold(s) class folders too, but by name "
                f"mean(s) none that Headstart knows; rename the folder(s), or take them out. Known are {known}"
            )
        if others:
            raise DataError(
                f"{self.shown} mixes layouts: {lists.named(list(given))} hold(s) class folders, {lists.named(list(others))} not; make it {SHAPE}"
            )
        return [(name, len(inner[name].files)) for name in flat]

    @staticmethod
    def _may_lack_labels(name: str) -> bool:
        word = split_names.word(name)
        return word in split_names.UNLABELLED or split_names.SPLITS.get(word) in ("validation", "test")

    def _refuse_splits_without_classes(self, labels: set[str], others: list[str]) -> None:
        if labels and all(split_names.of(label) for label in labels):
            found = lists.named(sorted(labels))
            tables = sorted(path for path in others if path.lower().endswith((".csv", ".tsv")) and "submission" not in path.lower())
            what = f"if {tables[0]} is a table of labels, add --labels {tables[0]}, else " if tables else ""
            raise DataError(f"{self.shown}: {found} hold(s) files but no class folders, so nothing gives the labels; {what}make it {SHAPE}")

    def _check_splits(self, given: dict[str, str]) -> None:
        meanings: dict[str, str] = {}
        for name, split in given.items():
            other = meanings.setdefault(split, name)
            if other != name:
                raise DataError(f"{self.shown}: the folders {other!r} and {name!r} both mean {split}; merge them")
        if "train" not in meanings:
            raise DataError(f"{self.shown} has {lists.named(list(given))} but no train folder; make it {SHAPE}")
