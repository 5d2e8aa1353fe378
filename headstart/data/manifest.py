"""The manifest: one row per file of the data set.

Its columns, how it is written and read, and hashes that name the data.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from headstart.base import outputs
from headstart.base.grey import Grey, Range
from headstart.machinery.errors import DataError

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
            "group": pa.int64(),  # of images that stay on one side of every split and fold
            "readable": pa.bool_(),
            "reason": pa.string(),
            "black": pa.float64(),  # of more than 8 bits: the values that are shown as black and as white, the same for the whole data set
            "white": pa.float64(),  # 0 and 0 for all other images
            "origin": pa.string(),  # where the file lay in what was imported; its path if it lies there still
            "together": pa.string(),  # what the import said it belongs to, "" for nothing
            "lookalike": pa.int64(),  # set of images whose perceptual hashes are alike
            "batch": pa.string(),  # with which batch of images it came (data/batches.py), "" if all came at once
            "twin": pa.int64(),  # set of those whose pixels are alike too, where they were compared (indexing/twins.py)
        }.items()
    ]
)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a manifest as parquet, whole or not at all; the same table gives the same bytes.

    What it lacks is as `completed` has it.
    """
    table = completed(table)
    packed = pa.Table.from_pandas(table[SCHEMA.names], schema=SCHEMA, preserve_index=False).replace_schema_metadata(None)
    with outputs.whole(path) as temporary:
        pq.write_table(packed, temporary, compression="zstd")


def completed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns that it may lack.

    Then nothing belongs together, all came at once, images of one group are near-duplicates, none has more than 8 bits, and all lie where they came from.
    """
    plain: dict[str, object] = {"together": "", "batch": "", "lookalike": table["group"], "twin": table["group"]}
    plain |= {"black": 0.0, "white": 0.0, "origin": table["path"]}
    return table.assign(**{name: value for name, value in plain.items() if name not in table})


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


def grey(table: pd.DataFrame) -> Grey | None:
    """The scale on which images of more than 8 bits become 8-bit; None if there are none."""
    if "white" not in table:
        return None
    deep = table.loc[table["white"] > table["black"], ["mode", "black", "white"]]
    if deep.empty:
        return None

    def scale(rows: pd.DataFrame) -> Range | None:
        return None if rows.empty else (float(rows["black"].iloc[0]), float(rows["white"].iloc[0]))

    real = deep["mode"] == "F"
    return Grey(scale(deep[~real]), scale(deep[real]))


def data_hash(table: pd.DataFrame) -> str:
    """One SHA-256 (hex) over the sorted paths and file hashes of a manifest: which data this was."""
    digest = hashlib.sha256()
    for path, file in sorted(zip(table["path"], table["sha256"], strict=True)):
        digest.update(f"{path}\0{file}\n".encode())
    return digest.hexdigest()


def split_hash(table: pd.DataFrame) -> str:
    """SHA-256 over the files of a table and the label and split of each."""
    rows = [data_hash(table), *(f"{p}:{s}" for p, s in zip(table["path"], table["split"], strict=True))]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
