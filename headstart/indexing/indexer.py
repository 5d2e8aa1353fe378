"""Make the manifest: one row for every file of the data set.

A row holds what decoding the file in full has shown, its near-duplicate group and its split.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from headstart.base import executor, grey
from headstart.base.grey import Span
from headstart.data import batches, belonging, forgotten, manifest, photos, provenance
from headstart.data.batches import Arrived
from headstart.indexing import arrivals, duplicates, inspection, layout, splits, twins
from headstart.indexing.arrivals import Cut
from headstart.machinery.errors import DataError
from headstart.machinery.progress import Progress
from headstart.words import lists

_BATCH = 16  # images a thread takes at a time
_SPREAD = 256  # images that a worker of a cluster takes at a time
_DECIDE = ("headstart.base", "headstart.data", "headstart.indexing.inspection")  # what a row depends on
_UNKNOWN = {"group": -1, "lookalike": -1, "twin": -1, "black": 0.0, "white": 0.0}  # of unreadable files, and till all are seen
UNLABELLED = "unlabelled"  # the split of images that no training and no test sees
_ROWS = 8192  # rows kept as Python objects before they are packed


def index(
    folder: Path,
    *,
    test_share: float,
    validation_share: float,
    duplicate_distance: int,
    duplicate_group_limit: int,
    max_pixels: int,
    seed: int,
) -> pd.DataFrame:
    """Decode every file below `folder` and return the manifest, sorted by path.

    The layout is class/file or split/class/file. Shares are of images (0-1), `duplicate_distance` is in bits of 64, `max_pixels` in pixels.
    Threads decode on all cores; no more images are in memory than there are threads. Unreadable files get a row with readable False, the
    reason, split "" and group -1. Raises DataError for a layout that leaves a label in doubt, for fewer than two classes, and when the
    folder changes meanwhile.
    """
    contents = layout.scan(folder)
    beside = [path for path in contents.beside if not photos.is_sidecar(folder / path)]
    if beside:
        raise DataError(
            f"{len(beside)} file(s) lie beside the class folders of {folder} and have no label: {lists.named(beside)}; move them"
        )
    layout.check(contents, str(folder))
    return index_items(
        folder,
        contents.items,
        test_share=test_share,
        validation_share=validation_share,
        duplicate_distance=duplicate_distance,
        duplicate_group_limit=duplicate_group_limit,
        max_pixels=max_pixels,
        seed=seed,
    )


def index_items(
    folder: Path,
    items: list[layout.Item],
    *,
    test_share: float,
    validation_share: float,
    duplicate_distance: int,
    duplicate_group_limit: int,
    max_pixels: int,
    seed: int,
) -> pd.DataFrame:
    """Decode the files of `items` and return the manifest, a row per item in their order.

    The paths of items are below `folder` or absolute. Everything else is as in `index`.
    """
    table = _grouped(folder, items, max_pixels, duplicate_distance, duplicate_group_limit)
    readable = table["readable"].to_numpy()
    table.loc[~readable, "split"] = ""
    cut = Cut(test_share, validation_share, duplicate_distance, duplicate_group_limit, seed)
    table.loc[readable, "split"] = _splits(table[readable], batches.read(folder), forgotten.tested(folder), cut)
    table.loc[readable, "twin"] = twins.confirmed(folder, table[readable], table.loc[readable, "lookalike"].to_numpy())
    return table


def index_without_labels(folder: Path, *, duplicate_distance: int, duplicate_group_limit: int, max_pixels: int) -> pd.DataFrame:
    """The manifest of images of which none has a label, sorted by path: near-duplicates share a group, all have the split UNLABELLED.

    Raises DataError if there is no file.
    """
    paths = sorted(path.relative_to(folder).as_posix() for path in photos.walk(folder))
    if not paths:
        raise DataError(f"{folder} holds no images; import some with `headstart import PATH --no-labels`")
    items = [layout.Item(path, "", UNLABELLED) for path in paths]
    table = _grouped(folder, items, max_pixels, duplicate_distance, duplicate_group_limit)
    readable = table["readable"].to_numpy()
    table.loc[~readable, "split"] = ""
    return table.assign(twin=table["lookalike"])


def _grouped(folder: Path, items: list[layout.Item], max_pixels: int, distance: int, limit: int) -> pd.DataFrame:
    """The manifest of `items` with their groups, as they are given and by what is alike; twins are not known yet."""
    packed, spans = _inspect_all(folder, items, max_pixels)
    table = packed.to_pandas()
    _note_scale(table, spans)
    readable = table["readable"].to_numpy()
    usable = table[readable]
    keys = usable["phash"], usable["pixels_sha256"]
    alike = duplicates.group(*keys, distance, limit)
    table.loc[readable, "lookalike"] = alike
    given = usable["together"]
    grouped = bool((given != "").any())
    table.loc[readable, "group"] = duplicates.group(*keys, distance, limit, given) if grouped else alike
    return table


def _splits(table: pd.DataFrame, arrived: dict[str, Arrived], tested: pd.DataFrame, cut: Cut) -> np.ndarray:
    """The split (n,) of each readable image: the one that it has had since its batch came, or one that is drawn now.

    `tested` are test images that were forgotten since.
    """
    since = np.array([arrived[path].split if path in arrived else "" for path in table["path"]], object)
    known = since != ""
    if not known.any():
        return splits.assign(table, test_share=cut.test_share, validation_share=cut.validation_share, seed=cut.seed)
    settled = pd.concat([table[known].assign(split=since[known]), tested], ignore_index=True)
    since[~known] = arrivals.settle(settled, table[~known], cut)
    return since


def index_unlabelled(folder: Path, paths: list[str], max_pixels: int) -> pd.DataFrame:
    """Decode files (paths below `folder`) that have no label, and return their manifest: no label, a group each, the split UNLABELLED."""
    packed, spans = _inspect_all(folder, [layout.Item(path, "", UNLABELLED) for path in paths], max_pixels)
    table = packed.to_pandas()
    _note_scale(table, spans)
    return table.assign(group=np.arange(len(table)))


def _note_scale(table: pd.DataFrame, spans: dict[int, Span]) -> None:
    """Note in the rows of deep images the scale that is right for all of them."""
    found = grey.choose(spans.values())
    if found is None:
        return
    rows = np.array(sorted(spans))
    real = np.array([spans[row].real for row in rows])
    for scale, these in ((found.integer, rows[~real]), (found.real, rows[real])):
        if scale:
            table.loc[these, ["black", "white"]] = scale


def _inspect_all(folder: Path, items: list[layout.Item], max_pixels: int) -> tuple[pa.Table, dict[int, Span]]:
    """The manifest before groups and splits, in the order of `items`, packed as it grows; and the span of each deep row."""
    groups = belonging.read(folder)
    parts: list[pa.RecordBatch] = []
    rows: list[dict[str, Any]] = []
    spans: dict[int, Span] = {}
    origins, arrived = provenance.read(folder), batches.read(folder)
    executor.start()
    with Progress(len(items), "indexing images") as progress:
        for number, (item, (row, span)) in enumerate(zip(items, _rows(folder, items, max_pixels), strict=True)):
            if span:
                spans[number] = span
            known = {"together": groups.get(item.path, ""), "origin": origins.get(item.path, item.path)}
            known["batch"] = arrived[item.path].batch if item.path in arrived else ""
            rows.append({**item._asdict(), **row, **known, **_UNKNOWN})
            if len(rows) == _ROWS:
                parts.append(pa.RecordBatch.from_pylist(rows, manifest.SCHEMA))
                rows.clear()
            progress.step()
    parts.append(pa.RecordBatch.from_pylist(rows, manifest.SCHEMA))
    return pa.Table.from_batches(parts, manifest.SCHEMA), spans


def _rows(folder: Path, items: list[layout.Item], max_pixels: int) -> Generator[tuple[dict[str, Any], Span | None], None, None]:
    """What inspect says of each item, in order; a few batches ahead at most."""

    size = _SPREAD if executor.spreads() else _BATCH
    batches = (items[start : start + size] for start in range(0, len(items), size))
    try:
        for rows in executor.in_order(partial(_look, folder, max_pixels), batches, depends=_DECIDE):
            yield from rows
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} vanished while {folder} was being indexed; let nothing change the folder meanwhile") from None


def _look(folder: Path, max_pixels: int, batch: list[layout.Item]) -> list[tuple[dict[str, Any], Span | None]]:
    return [inspection.look(folder / item.path, max_pixels) for item in batch]
