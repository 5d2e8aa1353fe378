"""Which batch each image of a data set came with, and its split: a hidden table among the images, which is versioned with them.

A split that stands in the table never moves: what was held out for the test stays held out when more images come. A data set whose images
all came at once has no such table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from headstart.data import beside
from headstart.machinery.errors import DataError, ParamsError

FILE = ".batches.csv"
FIRST = "batch-{}"  # the name of a batch that was given none, by its number from 1
HERE = "the same pixels are here already"  # how the reason begins for which an image is not added
_COLUMNS = ("path", "batch", "split")
_SPLITS = ("train", "validation", "test", "")  # "": of a file that cannot be read
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,58}[A-Za-z0-9])?")
_BETWEEN = "__"  # no name of a batch holds it, so no two batches give one name to two files


class Arrived(NamedTuple):
    """With which batch an image came, and the split that it has had since."""

    batch: str
    split: str


def write(folder: Path, rows: Mapping[str, Arrived]) -> None:
    """Write what is known of each path below `folder`: batches in the order in which `rows` first names them, the paths of one sorted."""
    order = {name: number for number, name in enumerate(names(rows))}
    ordered = sorted(rows.items(), key=lambda item: (order[item[1].batch], item[0]))
    beside.write(folder / FILE, _COLUMNS, [(path, *row) for path, row in ordered])


def read(folder: Path) -> dict[str, Arrived]:
    """What is known of each path, the batch that came first, first; {} if there is no such table. Raises DataError for one that is damaged."""
    rows = beside.read(folder / FILE, _COLUMNS, _ADVICE)
    if strange := sorted({row[2] for row in rows} - set(_SPLITS)):
        raise DataError(f"{folder / FILE} names splits that there are not ({', '.join(strange)}); {_ADVICE}")
    return {row[0]: Arrived(row[1], row[2]) for row in rows}


def names(rows: Mapping[str, Arrived]) -> list[str]:
    """The names of the batches, the one that came first, first."""
    return list(dict.fromkeys(row.batch for row in rows.values()))


def new_name(given: str, known: Iterable[str]) -> str:
    """The name of the next batch: what was given, or batch-N for the N-th. Raises ParamsError for a name that is unfit or taken."""
    taken = {name.casefold(): name for name in known}
    if not given:
        number = len(taken) + 1
        while FIRST.format(number) in taken:
            number += 1
        return FIRST.format(number)
    if not _NAME.fullmatch(given):
        raise ParamsError(f"--batch {given!r}: a name of a batch has letters, digits, dots and dashes (60 at most), for example 2026-11-27")
    if given.casefold() in taken:
        raise ParamsError(f"there is a batch {taken[given.casefold()]} already; give another name, or none")
    return given


def file_name(batch: str, name: str) -> str:
    """What a file called `name` is called in a data set if it came with `batch`: the same, whatever came before."""
    return f"{batch}{_BETWEEN}{name}"


def origin(batch: str, path: str) -> str:
    """Where a file lay in what was imported, told apart from files of other batches."""
    return f"{batch}/{path}"


_ADVICE = "get it back with `dvc checkout data/images.dvc`, as it keeps test images out of training"
