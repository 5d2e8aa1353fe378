"""Take the files of a folder, an archive or shards with their labels, and put them on the shelf."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from headstart.data import belonging, photos, provenance
from headstart.importing import archives, folders, labels_file, mending, partly, remote, shards
from headstart.importing import groups as grouping
from headstart.importing.copying import Cloner
from headstart.importing.labels_file import LeftOut
from headstart.importing.options import Options
from headstart.importing.reviewed import Corrections
from headstart.importing.shelf import Shelf
from headstart.indexing import layout
from headstart.machinery.errors import DataError, ParamsError
from headstart.machinery.progress import Progress
from headstart.words import formats, lists

UNPACKED = ".unpacked"  # below the target


@dataclass
class Taken:
    """What a source holds: its files below `root`, their groups, and what is told beside them."""

    root: Path
    items: list[layout.Item]
    groups: dict[str, str] = field(default_factory=dict)  # by path below the root, of those that have one
    skipped: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sidecars: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # those of `items` that do not even start like an image, and why
    without: list[str] = field(default_factory=list)  # files below the root that have no label, if they are wanted


def opened(path: Path, place: Path, how: Options) -> tuple[Path, bool]:
    """The folder itself, or what an archive or shards hold, in the fresh folder `place`; and whether it is of shards."""
    in_shards = shards.is_shard(path) if path.is_file() else shards.holds_shards(path)
    if not path.is_file() and not in_shards:
        return path, False
    place.mkdir()
    unpack = shards.unpack_all if in_shards else partial(archives.unpack, encoding=how.encoding, limits=how.limits)
    unpack(path, place)
    return place, in_shards


def take(path: Path, shelf: Shelf, labels: Path | None, how: Options, corrections: Corrections, shown: str) -> Taken:
    """Put the files of a folder, an archive or shards on the shelf; returns what they are. `shown` is what the user calls it."""
    given, in_shards = opened(path, shelf.target / UNPACKED, how)
    told = (given / shards.TABLE).exists() and (in_shards or remote.is_here(path))
    taken = (_of_shards if told else _labelled)(given, labels, how, shown)
    taken.items = corrections.items(taken.items)
    taken.left_out += corrections.left
    taken.unreadable = folders.check_readable(taken.root, taken.items, shown)
    _check(taken, shown, how)
    _mend(taken, how)
    _check(taken, shown, how)
    splits = {item.split for item in taken.items} - {"", "train"}
    put = Path.replace if given != path else remote.keep if remote.is_here(path) else Cloner().clone
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
    places = partly.put(taken.root, shelf.target, taken.without, put)
    belonging.write(shelf.target, {**groups, **partly.placed(taken.groups, places)})
    provenance.write(shelf.target, {**shelf.origins, **{place: path for path, place in places.items()}})
    return taken


def _labelled(given: Path, labels: Path | None, how: Options, shown: str) -> Taken:
    """The files of a folder with their labels, from a table or from the folders that they lie in."""
    if labels is None:
        root, found = folders.find(given, shown, how.recursive or how.group_by_folder, how.skip_bad, how.known, how.unlabelled)
        beside = {path for path in found.beside if photos.is_sidecar(root / path)}
        left = [LeftOut(path, "", 0, reason) for path, reason in found.bad]
        if how.unlabelled:
            items, without = partly.of_folders(root, found)
            return Taken(root, items, {}, [], left, [*found.notes], [*found.sidecars, *sorted(beside)], without=without)
        notes = [*found.notes, *map(_without_classes, found.unlabelled)]
        others = [path for path in found.beside if path not in beside]
        return Taken(root, found.items, {}, others, left, notes, [*found.sidecars, *sorted(beside)])
    read = labels_file.read(
        labels, given, shown=shown, columns=how.columns, skip_bad=how.skip_bad, encoding=how.encoding, unlabelled=how.unlabelled
    )
    return Taken(given, read.items, read.groups, read.skipped, read.left_out, read.notes, without=read.unlabelled)


def _of_shards(given: Path, labels: Path | None, how: Options, shown: str) -> Taken:
    """The files of shards that lie unpacked, with the labels that lie beside them."""
    if labels:
        raise ParamsError(f"--labels goes with files; the shards of {shown} have labels of their own")
    taken = _labelled(given, given / shards.TABLE, replace(how, columns={}), shown)
    taken.skipped, taken.without = (
        [path for path in these if not path.endswith(shards.BESIDE)] for these in (taken.skipped, taken.without)
    )
    return taken


def _check(taken: Taken, shown: str, how: Options) -> None:
    """Raise DataError if fewer classes are left than it takes, with what was left out, if anything was."""
    if not taken.left_out:
        layout.check(layout.Contents(taken.items, [], []), shown, how.fewest)
        return
    labels = sorted({item.label for item in taken.items})
    if len(labels) < how.fewest:
        left = f"one class, {labels[0]!r}" if labels else "nothing"
        raise DataError(
            f"{shown}: {left} is left, as {formats.count(len(taken.left_out), 'file or row', 'files or rows')} cannot be used: "
            f"{labels_file.reasons(taken.left_out)}",
            taken.left_out,
        )


def _mend(taken: Taken, how: Options) -> None:
    """Leave out what the options say, and find the groups of the rest."""
    if how.skip_bad:
        taken.items, left = mending.readable(taken.root, taken.items)
        taken.left_out += left
    if how.drop_duplicates:
        taken.items, left = mending.distinct(taken.root, taken.items, how.skip_bad)
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
    taken.notes += notes
    taken.without, others, left = partly.mend(taken.root, taken.without, how)
    taken.left_out += left
    groups |= others
    kept = {item.path for item in taken.items} | set(taken.without)
    taken.groups = {path: group for path, group in (taken.groups | groups).items() if path in kept}
    grouping.check(taken.items, taken.groups, how)


def _without_classes(folder: tuple[str, int]) -> str:
    name, number = folder
    return f"left out {name}/: {formats.count(number, 'file')} without class folders, hence without labels; `headstart predict` labels such files"
