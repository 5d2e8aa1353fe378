"""Put images that come later beside those of a data set, as a batch; and take a batch away again.

Both fill a fresh folder, so that a data set is replaced whole or not at all; files that stay are linked, not copied. The splits of a batch
are drawn when it comes and are kept with it (headstart/data/batches.py).
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from headstart.base.cores import in_order
from headstart.data import batches, belonging, forgotten, manifest, provenance
from headstart.data.batches import Arrived
from headstart.importing import datasets, labels_file
from headstart.importing.copying import Cloner
from headstart.importing.datasets import Summary
from headstart.importing.labels_file import LeftOut
from headstart.importing.options import Options
from headstart.importing.shelf import Shelf
from headstart.indexing import arrivals, indexer, inspection, layout
from headstart.indexing.arrivals import Cut
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from headstart.machinery.progress import Progress
from headstart.words import formats, lists

_TABLE_FILES = (batches.FILE, belonging.FILE, provenance.FILE)
_SCRATCH = ".added"


class NothingNew(DataError):
    """All that was to be added is in the data set already."""


@dataclass
class Tables:
    """What the tables of a data set say, by path."""

    arrived: dict[str, Arrived]
    groups: dict[str, str]
    origins: dict[str, str]

    def write(self, folder: Path) -> None:
        batches.write(folder, self.arrived)
        belonging.write(folder, self.groups)
        provenance.write(folder, self.origins)


@dataclass(frozen=True)
class Indexing:
    """How a data set is indexed: how splits are cut, and the most pixels of an image."""

    cut: Cut
    max_pixels: int

    def index(self, folder: Path) -> pd.DataFrame:
        """The manifest of a folder."""
        cut = self.cut
        return indexer.index(
            folder,
            test_share=cut.test_share,
            validation_share=cut.validation_share,
            duplicate_distance=cut.distance,
            duplicate_group_limit=cut.limit,
            max_pixels=self.max_pixels,
            seed=cut.seed,
        )


def add(
    source: str, target: Path, current: Path, known: Path, how: Indexing, *, batch: str = "", labels: Path | None = None, options: Options
) -> Summary:
    """Fill the fresh folder `target` with the data set `current` and, as a batch, the images of `source`; returns what came.

    `known` is the manifest of the last run, which saves decoding images again if it is of this very folder. `batch` "" names it by its
    number. Images whose pixels are there already are left out. Raises DataError if nothing else comes, for labels that cannot stand beside
    those there, and what `datasets.import_dataset` raises; `target` is then removed.
    """
    if not current.is_dir():
        raise DataError(f"there is no data set to add to ({current} is missing); make one with `headstart import PATH`")
    if options.target or options.target_labels:
        raise ParamsError("--target goes with a whole data set, not with a batch of it")
    if options.unlabelled:
        raise ParamsError("--unlabelled goes with a whole data set, not with a batch of it; those of the first import stay")
    arrived = batches.read(current)
    there = batches.names(arrived) if arrived else [batches.FIRST.format(1)]
    name = batches.new_name(batch, [*there, *forgotten.names(current)])
    try:
        target.mkdir(parents=True)
        options = replace(options, known=layout.class_names(current))
        summary = datasets.import_dataset(source, target / _SCRATCH, labels=labels, how=options, current=current)
        table = indexed(current, known, how)
        others = {path: Arrived(there[0], split) for path, split in zip(table["path"], table["split"], strict=True) if path not in arrived}
        link(current, target)
        tables = Tables(arrived | others, belonging.read(current), provenance.read(current))
        new, copies = _fresh(target / _SCRATCH, table, how)
        if new.empty:
            raise NothingNew(f"all {formats.count(len(copies), 'image')} of {source} are here already; nothing to add", copies)
        if not new["readable"].any():
            rows = [LeftOut(row.path, row.label, 0, row.reason) for row in new.itertuples()]
            raise DataError(
                f"none of the {formats.count(len(rows), 'new file')} of {source} can be read: {labels_file.reasons(rows)}", rows
            )
        _settle(table, forgotten.tested(current), new, tables, how)
        _put(target, new, tables, name)
        _tell(summary, table, new, copies, name)
        shutil.rmtree(target / _SCRATCH)
        layout.check(layout.scan(target), source)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return summary


def name_all(folder: Path, batch: str, how: Indexing) -> None:
    """Make a fresh data set one batch of this name: its files are called after it, and its splits are drawn now."""
    batches.new_name(batch, ())
    groups, origins = belonging.read(folder), provenance.read(folder)
    for item in layout.scan(folder).items:
        place = Path(item.path)
        new = place.with_name(batches.file_name(batch, place.name)).as_posix()
        (folder / item.path).rename(folder / new)
        origins[new] = batches.origin(batch, origins.pop(item.path, item.path))
        if item.path in groups:
            groups[new] = groups.pop(item.path)
    belonging.write(folder, groups)
    provenance.write(folder, origins)
    table = how.index(folder)
    batches.write(folder, {path: Arrived(batch, split) for path, split in zip(table["path"], table["split"], strict=True)})


def forget(target: Path, current: Path, batch: str) -> int:
    """Fill the fresh folder `target` with the data set `current` without the images of a batch; returns how many these are.

    Raises ParamsError for an unknown batch, and DataError if fewer than two classes are left.
    """
    arrived = check_forgotten(current, batch)
    gone = {path for path, row in arrived.items() if row.batch == batch}
    try:
        target.mkdir(parents=True)
        link(current, target, gone)
        kept = {path: row for path, row in arrived.items() if path not in gone}
        if kept:
            batches.write(target, kept)
        belonging.write(target, {path: group for path, group in belonging.read(current).items() if path not in gone})
        provenance.write(target, {path: origin for path, origin in provenance.read(current).items() if path not in gone})
        layout.check(layout.scan(target), f"what is left without {batch}")
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return len(gone)


def check_forgotten(current: Path, batch: str) -> dict[str, Arrived]:
    """The table of the batches of a data set. Raises ParamsError if the one to forget is not among them."""
    arrived = batches.read(current)
    if batch not in batches.names(arrived):
        there = lists.named(batches.names(arrived)) if arrived else "none: all images came at once"
        raise ParamsError(f"there is no batch {batch!r}; there are {there}")
    return arrived


def indexed(folder: Path, known: Path, how: Indexing) -> pd.DataFrame:
    """The manifest of a data set: that of the last run if it is of these files, else made now."""
    items = layout.scan(folder).items
    try:
        table = manifest.read(known)
    except HeadstartError:
        return how.index(folder)
    here = {item.path: item.label for item in items}
    if dict(zip(table["path"], table["label"], strict=True)) != here:
        return how.index(folder)
    found = in_order(lambda path: inspection.hash_file(folder / path), table["path"].tolist())
    same = all(one == other for one, other in zip(found, table["sha256"], strict=True))
    since = {path: row.split for path, row in batches.read(folder).items()}
    kept = all(since.get(path, split) == split for path, split in zip(table["path"], table["split"], strict=True))
    return table if same and kept else how.index(folder)


def link(source: Path, target: Path, gone: set[str] | frozenset[str] = frozenset()) -> None:
    """Have the files below `source` below `target` too, but for its tables and those that are gone; links where the file system can."""
    cloner = Cloner()
    for folder, _, names in os.walk(source):
        inside = Path(folder).relative_to(source)
        for name in names:
            path = (inside / name).as_posix()
            if path in gone or path in _TABLE_FILES:
                continue
            place = target / path
            place.parent.mkdir(parents=True, exist_ok=True)
            link_file(source / path, place, cloner)


def link_file(source: Path, place: Path, cloner: Cloner | None = None) -> None:
    """Have a file at a second place, as a link if the file system can."""
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError:
        (cloner or Cloner()).clone(source, place)


def _fresh(scratch: Path, known: pd.DataFrame, how: Indexing) -> tuple[pd.DataFrame, list[LeftOut]]:
    """The files below `scratch` as rows of a manifest without splits, and those left out, as their pixels are known."""
    items = layout.scan(scratch).items
    groups = belonging.read(scratch)
    rows = []
    with Progress(len(items), "looking at what is new") as progress:
        for item, row in zip(items, in_order(lambda item: inspection.inspect(scratch / item.path, how.max_pixels), items), strict=True):
            rows.append({**item._asdict(), **row, "together": groups.get(item.path, "")})
            progress.step()
    table = pd.DataFrame(rows)
    here = known[known["readable"]].drop_duplicates("pixels_sha256").set_index("pixels_sha256")
    copy = table["readable"] & table["pixels_sha256"].isin(here.index)
    copies = []
    for path, label, pixels in table.loc[copy, ["path", "label", "pixels_sha256"]].itertuples(index=False):
        other = here.loc[pixels]
        as_what = "" if other["label"] == label else f", where its label is {other['label']}"
        copies.append(LeftOut(path, label, 0, f"{batches.HERE}{as_what}: {other['path']}"))
    return table[~copy].reset_index(drop=True), copies


def _settle(table: pd.DataFrame, tested: pd.DataFrame, new: pd.DataFrame, tables: Tables, how: Indexing) -> None:
    """Give the new rows their splits, "" if they cannot be read; `tested` are test images that were forgotten since."""
    known = table[table["readable"]]
    known = pd.concat([known.assign(split=[tables.arrived[path].split for path in known["path"]]), tested], ignore_index=True)
    readable = new["readable"].to_numpy(bool)
    new.loc[~readable, "split"] = ""
    new.loc[readable, "split"] = arrivals.settle(known, new[readable], how.cut)


def _put(target: Path, new: pd.DataFrame, tables: Tables, name: str) -> None:
    """Put the new images, which lie in the scratch folder, among the others, and write the tables."""
    scratch, shelf = target / _SCRATCH, Shelf(target)
    origins = provenance.read(scratch)
    folders = any(item.split for item in layout.scan(target).items)
    for path, label, split, together in new[["path", "label", "split", "together"]].itertuples(index=False):
        place = shelf.place(label, (split or "train") if folders else "", batches.file_name(name, Path(path).name))
        (scratch / path).rename(place)
        now = place.relative_to(target).as_posix()
        tables.arrived[now], tables.origins[now] = Arrived(name, split), batches.origin(name, origins.get(path, path))
        if together:
            tables.groups[now] = together
    tables.write(target)


def _tell(summary: Summary, table: pd.DataFrame, new: pd.DataFrame, copies: list[LeftOut], name: str) -> None:
    """Have the summary say what came, beside what was there."""
    usable = new[new["readable"]]
    summary.unreadable = list(new.loc[~new["readable"], ["path", "reason"]].itertuples(index=False, name=None))
    known = set(table["label"])
    summary.files, summary.classes = len(usable), sorted(set(new["label"]))
    counts = Counter(usable["split"])
    summary.splits = {split: counts[split] for split in layout.FOLDERS if counts[split]}
    summary.left_out += copies
    classes = sorted(set(summary.classes) - known)
    told = [f"batch {name}: {formats.count(len(usable), 'image')} beside {len(table):,}, whose splits stay as they are"]
    told += [f"{formats.count(len(classes), 'new class', 'new classes')}: {lists.named(classes)}"] if classes else []
    other = sum("where its label is" in one.reason for one in copies)
    if copies:
        others = f", {other:,} of them under another label, which stays" if other else ""
        told.append(f"{formats.count(len(copies), 'image')} not added: the same pixels are here already{others}")
    summary.notes = [*told, *summary.notes]
