"""Make the manifest: one row for every file of the data set.

A row holds what decoding the file in full has shown, its near-duplicate group and its split.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from headstart.base.cores import in_order
from headstart.data import belonging, manifest
from headstart.indexing import duplicates, inspection, layout, splits, twins
from headstart.machinery.errors import DataError
from headstart.machinery.progress import Progress

_BATCH = 16  # images a thread takes at a time
_UNKNOWN = {"group": -1, "lookalike": -1, "twin": -1}  # of unreadable files
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
    if contents.beside:
        shown = ", ".join(contents.beside[:10])
        raise DataError(f"{len(contents.beside)} file(s) lie beside the class folders of {folder} and have no label: {shown}; move them")
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
    table = _inspect_all(folder, items, max_pixels).to_pandas()
    readable = table["readable"].to_numpy()
    usable = table[readable]
    keys = usable["phash"], usable["pixels_sha256"]
    alike = duplicates.group(*keys, duplicate_distance, duplicate_group_limit)
    table.loc[readable, "lookalike"] = alike
    given = usable["together"]
    grouped = bool((given != "").any())
    table.loc[readable, "group"] = duplicates.group(*keys, duplicate_distance, duplicate_group_limit, given) if grouped else alike
    table.loc[~readable, "split"] = ""
    table.loc[readable, "split"] = splits.assign(table[readable], test_share=test_share, validation_share=validation_share, seed=seed)
    table.loc[readable, "twin"] = twins.confirmed(folder, table[readable], alike)
    return table


def _inspect_all(folder: Path, items: list[layout.Item], max_pixels: int) -> pa.Table:
    """The manifest before groups and splits, in the order of `items`, packed as it grows."""
    groups = belonging.read(folder)
    parts: list[pa.RecordBatch] = []
    rows: list[dict[str, Any]] = []
    with Progress(len(items), "indexing images") as progress:
        for item, row in zip(items, _rows(folder, items, max_pixels), strict=True):
            rows.append({**item._asdict(), **row, "together": groups.get(item.path, ""), **_UNKNOWN})
            if len(rows) == _ROWS:
                parts.append(pa.RecordBatch.from_pylist(rows, manifest.SCHEMA))
                rows.clear()
            progress.step()
    parts.append(pa.RecordBatch.from_pylist(rows, manifest.SCHEMA))
    return pa.Table.from_batches(parts, manifest.SCHEMA)


def _rows(folder: Path, items: list[layout.Item], max_pixels: int) -> Generator[dict[str, Any], None, None]:
    """What inspect says of each item, in order; a few batches ahead at most."""

    def look(batch: list[layout.Item]) -> list[dict[str, Any]]:
        return [inspection.inspect(folder / item.path, max_pixels) for item in batch]

    batches = (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
    try:
        for rows in in_order(look, batches):
            yield from rows
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} vanished while {folder} was being indexed; let nothing change the folder meanwhile") from None
