"""Write the features of images to a file, for `headstart features`."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from headstart.base import outputs
from headstart.machinery import terminal
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.networks import cards
from headstart.words import spreadsheet

if TYPE_CHECKING:
    from headstart.features.embed import Embedded

ROWS = 1024  # that are held in memory, and in a row group of Parquet


class Written(NamedTuple):
    """How many images have features, of what width, and how many could not be read."""

    images: int
    width: int
    unreadable: int


def write(paths: list[Path], model: Path, out: Path) -> Written:
    """Write the features of all images below `paths` to `out`, whole or not at all; memory does not grow with their number.

    Parquet: a row for each file, with path, features (a list of float32; null if it could not be read) and error. NumPy: an array (n, width) of float32 with a row of NaN
    for what could not be read, and beside it a CSV file of the same name with path and error of each row. Raises ParamsError for another ending, HeadstartError if
    there is no model, if nothing is there to be read, and if no file could be read.
    """
    if out.suffix not in WRITERS:
        raise ParamsError(f"--out {out}: features are written as {' or '.join(WRITERS)}; end the name so")
    cards.check_there(model)
    from headstart.features import embed, predict

    files = list(predict.walk(paths))
    given = embed.embed(files, model)
    begun = list(itertools.islice(given, ROWS))
    width = next((len(one.features) for one in begun if one.features is not None), 0)
    if not width:
        raise HeadstartError(
            "no file could be read as an image" if len(files) <= ROWS else f"none of the first {ROWS} files could be read as an image"
        )
    bad = 0

    def batches() -> Iterator[list[Embedded]]:
        nonlocal bad
        rows = begun
        while rows:
            bad += sum(one.features is None for one in rows)
            yield rows
            rows = list(itertools.islice(given, ROWS))

    WRITERS[out.suffix](batches(), out, len(files), width)
    return Written(len(files) - bad, width, bad)


def _parquet(batches: Iterator[list[Embedded]], out: Path, n: int, width: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("path", pa.string()), ("features", pa.list_(pa.float32(), width)), ("error", pa.string())])
    with outputs.whole(out) as temporary, pq.ParquetWriter(temporary, schema) as file:
        for rows in batches:
            names = [terminal.name(one.path) for one in rows]
            vectors = [None if one.features is None else one.features.tolist() for one in rows]
            file.write_table(pa.table([names, vectors, [one.error or None for one in rows]], schema=schema))


def _numpy(batches: Iterator[list[Embedded]], out: Path, n: int, width: int) -> None:
    with outputs.whole(out) as temporary, outputs.whole(out.with_suffix(".csv")) as names:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=(n, width))
        with names.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["path", "error"])
            at = 0
            for rows in batches:
                for one in rows:
                    array[at] = np.nan if one.features is None else one.features
                    table.writerow([spreadsheet.cell(terminal.name(one.path)), one.error])
                    at += 1
        array.flush()


WRITERS: dict[str, Callable[[Iterator[list[Embedded]], Path, int, int], None]] = {".parquet": _parquet, ".npy": _numpy}
