"""Fill a fresh folder with a data set in the canonical layout, from wherever it comes.

The canonical layout is class/file, or train|val|test/class/file.

A source is a folder, a .zip or .tar, either of them with a CSV of labels, `torchvision:NAME`, or an example (examples.py) by name.
Nothing is written outside the target, and nothing is left there if the source is refused.
"""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from headstart.data import belonging, clutter, photos, provenance
from headstart.importing import archive_kinds, archives, folders, labels_file, mending, without_labels
from headstart.importing import groups as grouping
from headstart.importing import target as beside
from headstart.importing.copying import Cloner
from headstart.importing.examples import EXAMPLES as EXAMPLES
from headstart.importing.labels_file import LeftOut
from headstart.importing.options import Options
from headstart.importing.reviewed import Corrections
from headstart.importing.shelf import Shelf
from headstart.indexing import layout
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from headstart.machinery.progress import Progress
from headstart.words import formats, lists

TORCHVISION = "torchvision:"
KINDS = f"a folder, a .zip or .tar(.gz, .bz2, .xz), torchvision:NAME, {' or '.join(EXAMPLES)}"


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
    left_out: list[LeftOut] = field(default_factory=list)  # what cannot be used, with the reason
    groups: int = 0  # of images that stay in one split
    notes: list[str] = field(default_factory=list)  # how the labels were read
    sidecars: list[str] = field(default_factory=list)  # files about photos, left out
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # files that do not even start like an image, and why
    terms: str = ""  # of their use, as far as they are known: a licence and who made them

    def __str__(self) -> str:
        text = f"{self.files} files in {len(self.classes)} classes"
        if self.splits:
            text += " (" + ", ".join(f"{number} {name}" for name, number in self.splits.items()) + ")"
        if self.renamed:
            text += f"; {self.renamed} renamed because their name was taken"
        if self.groups:
            text += f"; {self.groups:,} groups"
        if self.skipped:
            text += f"; left out, as they have no label: {lists.named(self.skipped, 5)}"
        if self.sidecars:
            text += f"; left out, as they are no photos: {clutter.kinds(self.sidecars)}"
        if self.unreadable:
            text += f"; not counted, as they cannot be read: {lists.named([path for path, _ in self.unreadable], 5)}"
        if self.left_out:
            text += f"; left out, as they cannot be used: {lists.named([one.path for one in self.left_out], 5)}"
        return text


@dataclass
class _Taken:
    """What a source holds: its files below `root`, their groups, and what is told beside them."""

    root: Path
    items: list[layout.Item]
    groups: dict[str, str] = field(default_factory=dict)  # by path below the root, of those that have one
    skipped: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sidecars: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # those of `items` that do not even start like an image, and why


def import_dataset(
    source: str, target: Path, *, labels: Path | None = None, how: Options | None = None, current: Path = Path("data/images")
) -> Summary:
    """Fill the fresh folder `target` from `source`, and return what it holds.

    `labels` is a table with a column of file names and one of labels. `current` is the data set in use, which a source must not overlap.
    Raises DataError for a source that is refused, ParamsError for one that is unknown, HeadstartError for a failed download or a full
    disk; `target` is then removed.
    """
    if target.exists() and any(target.iterdir()):
        raise HeadstartError(f"{target} is not empty; an import needs a fresh folder")
    try:
        target.mkdir(parents=True, exist_ok=True)
        return _fill(source, target, labels, how or Options(), current)
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, OSError):
            raise _explained(error) from error
        raise


def _fill(source: str, target: Path, labels: Path | None, how: Options, current: Path) -> Summary:
    without_labels.check(labels, how)
    shelf = Shelf(target)
    taken = _Taken(target, [])
    corrections = Corrections(Path(how.reviewed) if how.reviewed else None)
    if source in EXAMPLES or source.startswith(TORCHVISION):
        given = ["labels"] * (labels is not None) + sorted(set(how.to_json()) - {"target", "target_labels", "reviewed"})
        if given:
            raise ParamsError(f"--{given[0].replace('_', '-')} goes with a folder or an archive; {source} has labels of its own")
        samples = EXAMPLES[source].samples if source in EXAMPLES else partial(_public, source)
        _save(samples(target / ".downloads"), shelf, corrections)
        taken.left_out += corrections.left
        provenance.write(target, shelf.origins)
    else:
        if labels is None and how.columns:
            raise ParamsError("--columns goes with --labels: it names the columns of that file")
        if how.no_labels:
            return _unlabelled(source, target, how, current)
        taken = _take(_existing(source, target, current), shelf, labels, how, corrections)
    _clear(target)
    contents = layout.scan(target, shown=source)
    layout.check(contents, source, how.fewest)
    classes = sorted({item.label for item in contents.items})
    notes = [*_renaming(shelf), *taken.notes, *corrections.notes(), *beside.add(target, how.target, how.target_labels, classes, current)]
    splits = Counter(item.split for item in contents.items if item.split)
    order = [split for split in layout.FOLDERS if split in splits]
    kept = {item.path for item in taken.items}
    unreadable = [(path, reason) for path, reason in taken.unreadable if path in kept]
    return Summary(
        len(contents.items) - len(unreadable),
        classes,
        {split: splits[split] for split in order},
        taken.skipped,
        shelf.renamed,
        taken.left_out,
        len(set(taken.groups.values())),
        notes,
        taken.sidecars,
        unreadable,
        EXAMPLES[source].terms if source in EXAMPLES else "",
    )


def _clear(target: Path) -> None:
    for scratch in (".downloads", ".unpacked"):
        shutil.rmtree(target / scratch, ignore_errors=True)


def _unlabelled(source: str, target: Path, how: Options, current: Path) -> Summary:
    """Fill the target with images that have no labels."""
    path = _existing(source, target, current)
    given = archives.opened(path, target / ".unpacked", how.encoding, how.limits)
    taken = without_labels.take(given, target, how, source, moved=path.is_file())
    _clear(target)
    said = (taken.left_out, taken.groups, taken.notes, taken.sidecars, taken.unreadable)
    return Summary(taken.files, [], {}, [], 0, *said)


def _renaming(shelf: Shelf) -> list[str]:
    """Which file got another name, for example."""
    for place, origin in shelf.origins.items():
        if Path(place).name != Path(origin).name:
            return [f"files that got another name keep their origin in the manifest: {place} is {origin}"]
    return []


def _without_classes(folder: tuple[str, int]) -> str:
    name, number = folder
    return f"left out {name}/: {formats.count(number, 'file')} without class folders, hence without labels; `headstart predict` labels such files"


def _existing(source: str, target: Path, current: Path) -> Path:
    """The path of a source that is there, of a kind we take, and apart from the data set in use."""
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(f"there is no {source}; give {KINDS}")
    if path.is_file() and not archives.is_archive(path):
        raise DataError(f"{source} {archive_kinds.instead(path) or f'is a file, and no archive Headstart knows; give {KINDS}'}")
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{source} is neither a file nor a folder; give {KINDS}")
    real = path.resolve()
    for other in (current.resolve(), target.resolve()):
        if real.is_relative_to(other) or other.is_relative_to(real):
            raise DataError(
                f"{source} overlaps {current}, where the imported data set lives; copy it elsewhere first, or give another folder"
            )
    return path


def _take(path: Path, shelf: Shelf, labels: Path | None, how: Options, corrections: Corrections) -> _Taken:
    """Put the files of a folder or an archive on the shelf; returns what they are."""
    given = archives.opened(path, shelf.target / ".unpacked", how.encoding, how.limits)
    taken = _labelled(given, labels, how, str(path))
    taken.items = corrections.items(taken.items)
    taken.left_out += corrections.left
    layout.check(layout.Contents(taken.items, [], []), str(path), how.fewest)
    taken.unreadable = folders.check_readable(taken.root, taken.items, str(path))
    _mend(taken, how)
    if how.skip_bad or how.drop_duplicates:
        layout.check(layout.Contents(taken.items, [], []), f"what is left of {path}", how.fewest)
    splits = {item.split for item in taken.items} - {"", "train"}
    put = Path.replace if path.is_file() else Cloner().clone
    groups: dict[str, str] = {}
    with Progress(len(taken.items), "copying images") as progress:
        for item in sorted(taken.items, key=lambda item: item.path in corrections.origins):  # last, so that no other file is renamed
            place = shelf.place(
                item.label, item.split if splits else "", Path(item.path).name, corrections.origins.get(item.path, item.path)
            )
            put(taken.root / item.path, place)
            if item.path in taken.groups:
                groups[place.relative_to(shelf.target).as_posix()] = taken.groups[item.path]
            progress.step()
    belonging.write(shelf.target, groups)
    provenance.write(shelf.target, shelf.origins)
    return taken


def _labelled(given: Path, labels: Path | None, how: Options, shown: str) -> _Taken:
    """The files of a folder with their labels, from a table or from the folders that they lie in."""
    if labels is None:
        root, found = folders.find(given, shown, how.recursive, how.skip_bad)
        beside = {path for path in found.beside if photos.is_sidecar(root / path)}
        left = [LeftOut(path, "", 0, reason) for path, reason in found.bad]
        notes = [*found.notes, *map(_without_classes, found.unlabelled)]
        others = [path for path in found.beside if path not in beside]
        return _Taken(root, found.items, {}, others, left, notes, [*found.sidecars, *sorted(beside)])
    read = labels_file.read(labels, given, shown=shown, columns=how.columns, skip_bad=how.skip_bad, encoding=how.encoding)
    return _Taken(given, read.items, read.groups, read.skipped, read.left_out, read.notes)


def _mend(taken: _Taken, how: Options) -> None:
    """Leave out what the options say, and find the groups of the rest."""
    if how.skip_bad:
        taken.items, left = mending.readable(taken.root, taken.items)
        taken.left_out += left
    if how.drop_duplicates:
        taken.items, left = mending.distinct(taken.root, taken.items)
        taken.left_out += left
    if how.skip_bad:
        taken.items, left = mending.large_enough(taken.items, how.least)
        taken.left_out += left
    elif small := mending.small(taken.items, how.least):
        taken.notes.append(
            f"{len(small)} class(es) have fewer than the {how.least} images of validate_data.min_images_per_class, so `headstart run` will "
            f"refuse them: {lists.named(small)}; --skip-bad leaves them out"
        )
    groups, notes = grouping.of(taken.items, how)
    taken.groups |= groups
    taken.notes += notes
    kept = {item.path for item in taken.items}
    taken.groups = {path: group for path, group in taken.groups.items() if path in kept}


def _save(samples: Iterable[tuple[str, str, str, Any]], shelf: Shelf, corrections: Corrections) -> None:
    """Put samples (split, label, file name, file or PIL image) on the shelf, with the labels that they have now."""
    cloner = Cloner()
    for split, given, name, image in samples:
        place = f"{layout.FOLDERS[split]}/{given}/{name}" if split else f"{given}/{name}"
        label = corrections.of(place, given, split)
        if label is None:
            continue
        path = shelf.place(label, split, name, corrections.origins.get(place, place if corrections.path else ""))
        if isinstance(image, Path):
            cloner.clone(image, path)
        else:
            image.save(path)


def _public(source: str, root: Path) -> Iterator[tuple[str, str, str, Any]]:
    from headstart.importing import public_sets

    for number, sample in enumerate(public_sets.load(source.removeprefix(TORCHVISION), root)):
        name = sample.image.name if isinstance(sample.image, Path) else f"{number:06d}.png"
        yield sample.split, sample.label, name, sample.image


def _explained(error: OSError) -> HeadstartError:
    """What the user can do about a failed system call."""
    if isinstance(error, PermissionError):
        return DataError(f"no permission: {error.filename}; allow reading the source and writing here with chmod")
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return DataError(f"a name or path is longer than the file system takes: {str(error.filename)[:120]}...; shorten it, or its folders")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HeadstartError("the disk is full; make room and import again")
    return HeadstartError(f"the import failed: {error}")
