"""Apply what a person said of labels to a data set that came in batches, where there is no one place to import again."""

from __future__ import annotations

import shutil
from pathlib import Path

from headstart.data import batches, belonging, provenance
from headstart.importing import joining
from headstart.importing.datasets import Summary
from headstart.importing.reviewed import Corrections
from headstart.importing.shelf import Shelf
from headstart.indexing import layout


def apply(target: Path, current: Path, reviewed: Path) -> Summary:
    """Fill the fresh folder `target` with the data set `current`, its labels changed and images left out as the table says.

    Batch, split and group of an image stay, whatever its label is now. Raises DataError for a table that cannot be read, and for labels that
    cannot stand beside others; `target` is then removed.
    """
    corrections = Corrections(reviewed, exact=True)
    arrived, groups, origins = batches.read(current), belonging.read(current), provenance.read(current)
    items = layout.scan(current).items
    labels = {item.path: corrections.of(origins.get(item.path, item.path), item.label, item.split) for item in items}
    moved = [item for item in items if labels[item.path] != item.label]
    try:
        target.mkdir(parents=True)
        joining.link(current, target, {item.path for item in moved})
        shelf = Shelf(target)
        for item in moved:
            before = arrived.pop(item.path, None), groups.pop(item.path, None), origins.pop(item.path, item.path)
            label = labels[item.path]
            if label is None:
                continue
            place = shelf.place(label, item.split, Path(item.path).name)
            joining.link_file(current / item.path, place)
            path = place.relative_to(target).as_posix()
            origins[path] = before[2]
            if before[0] is not None:
                arrived[path] = before[0]
            if before[1] is not None:
                groups[path] = before[1]
        joining.Tables(arrived, groups, origins).write(target)
        layout.check(contents := layout.scan(target), f"what {reviewed} leaves")
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    classes = sorted({item.label for item in contents.items})
    return Summary(len(contents.items), classes, {}, left_out=corrections.left, notes=corrections.notes())
