"""The manifest: one row for every file of the data set, with what decoding it in full has shown, its near-duplicate group and its split."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from headstart import duplicates, images, layout, outputs, splits
from headstart.cores import in_order
from headstart.errors import DataError
from headstart.progress import Progress

SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in {
            "path": pa.string(),
            "label": pa.string(),
            "split": pa.string(),
            "width": pa.int32(),
            "height": pa.int32(),
            "mode": pa.string(),
            "format": pa.string(),
            "bytes": pa.int64(),
            "sha256": pa.string(),
            "pixels_sha256": pa.string(),
            "phash": pa.string(),
            "group": pa.int64(),
            "readable": pa.bool_(),
            "reason": pa.string(),
        }.items()
    ]
)
_BATCH = 16  # images a thread takes at a time
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
    """Decode every file below `folder` (class/file or split/class/file) and return the manifest, sorted by path.

    Shares are of images (0-1), `duplicate_distance` is in bits of 64, `max_pixels` in pixels. Threads decode on all cores; no more images
    are in memory than there are threads. Unreadable files get a row with readable False, the reason, split "" and group -1. Raises
    DataError for a layout that leaves a label in doubt, for fewer than two classes, and when the folder changes meanwhile.
    """
    contents = layout.scan(folder)
    if contents.beside:
        shown = ", ".join(contents.beside[:10])
        raise DataError(f"{len(contents.beside)} file(s) lie beside the class folders of {folder} and have no label: {shown}; move them")
    layout.check(contents, str(folder))
    table = _inspect_all(folder, contents.items, max_pixels).to_pandas()
    readable = table["readable"].to_numpy()
    usable = table[readable]
    table.loc[readable, "group"] = duplicates.group(usable["phash"], usable["pixels_sha256"], duplicate_distance, duplicate_group_limit)
    table.loc[~readable, "split"] = ""
    table.loc[readable, "split"] = splits.assign(table[readable], test_share=test_share, validation_share=validation_share, seed=seed)
    return table


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a manifest as parquet, whole or not at all; the same table gives the same bytes."""
    packed = pa.Table.from_pandas(table[SCHEMA.names], schema=SCHEMA, preserve_index=False).replace_schema_metadata(None)
    with outputs.whole(path) as temporary:
        pq.write_table(packed, temporary, compression="zstd")


def read(path: Path) -> pd.DataFrame:
    """Read a manifest. Raises DataError if it is missing or is none."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; make it with `dvc repro`") from None
    except (pa.ArrowInvalid, OSError):
        raise DataError(f"{path} is not a readable parquet file; make it again with `dvc repro --force index_images`") from None
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise DataError(f"{path} lacks the column(s) {', '.join(missing)}; make it again with `dvc repro --force index_images`")
    return table.select(SCHEMA.names).cast(SCHEMA).to_pandas()


def data_hash(table: pd.DataFrame) -> str:
    """One SHA-256 (hex) over the sorted paths and file hashes of a manifest: which data this was."""
    digest = hashlib.sha256()
    for path, file in sorted(zip(table["path"], table["sha256"], strict=True)):
        digest.update(f"{path}\0{file}\n".encode())
    return digest.hexdigest()


def _inspect_all(folder: Path, items: list[layout.Item], max_pixels: int) -> pa.Table:
    """The manifest before groups and splits, in the order of `items`, packed as it grows."""
    parts: list[pa.RecordBatch] = []
    rows: list[dict[str, Any]] = []
    with Progress(len(items), "indexing images") as progress:
        for item, row in zip(items, _rows(folder, items, max_pixels), strict=True):
            rows.append({**item._asdict(), **row, "group": -1})
            if len(rows) == _ROWS:
                parts.append(pa.RecordBatch.from_pylist(rows, SCHEMA))
                rows.clear()
            progress.step()
    parts.append(pa.RecordBatch.from_pylist(rows, SCHEMA))
    return pa.Table.from_batches(parts, SCHEMA)


def _rows(folder: Path, items: list[layout.Item], max_pixels: int) -> Generator[dict[str, Any], None, None]:
    """What inspect says of each item, in order; a few batches ahead at most."""

    def look(batch: list[layout.Item]) -> list[dict[str, Any]]:
        return [images.inspect(folder / item.path, max_pixels) for item in batch]

    batches = (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
    try:
        for rows in in_order(look, batches):
            yield from rows
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} vanished while {folder} was being indexed; let nothing change the folder meanwhile") from None
