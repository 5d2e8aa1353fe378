"""The file of reviewed labels: what a person said of labels that looked wrong, and what an import makes of it.

A row per file, by its path in what was imported, so that the file stays good after the next import. `headstart review` writes it, and only
`headstart import --reviewed` applies it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, cast, get_args

from headstart.base import outputs
from headstart.importing import label_table
from headstart.importing.labels_file import LeftOut
from headstart.indexing import layout
from headstart.indexing.layout import Item
from headstart.machinery.errors import DataError
from headstart.words import formats, spreadsheet

FILE = Path("data/reviewed.csv")
COLUMNS = ("origin", "was", "answer", "label")
Said = Literal["keep", "change", "drop", "unsure"]  # the label is right, is another, the image is none of the classes, cannot be told
DROPPED = "left out when it was reviewed"


class Reviewed(NamedTuple):
    """What a person said of the label of a file."""

    origin: str  # its path in what is imported
    was: str  # the label that it had
    answer: Said
    label: str  # the label that it has now; "" if it is to be left out


def write(path: Path, rows: Iterable[Reviewed]) -> None:
    """Write the table whole or not at all."""
    with outputs.whole(path) as temporary:
        spreadsheet.write(temporary, COLUMNS, rows)


def read(path: Path) -> list[Reviewed]:
    """The rows of the table, as it was written or as a spreadsheet saves it. Raises DataError if it is missing, or holds something else."""
    lines = _as_written(path)
    if lines is None:
        lines = [(number, [cell.strip() for cell in cells]) for number, cells in label_table.read(path, Path()).rows]
    if not lines or tuple(_filled(lines[0][1])) != COLUMNS:
        raise DataError(f"{path} has other columns than {', '.join(COLUMNS)}; for a table of labels of your own use --labels")
    return [_row(path, number, [spreadsheet.text(cell) for cell in _filled(line)]) for number, line in lines[1:] if any(line)]


def _as_written(path: Path) -> list[tuple[int, list[str]]] | None:
    """The lines of the table with their numbers; None if it is not as `write` leaves it."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(enumerate(csv.reader(file, strict=True), 1))
    except FileNotFoundError:
        raise DataError(f"there is no {path}; `headstart review` writes it") from None
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    return lines if not lines or tuple(lines[0][1]) == COLUMNS else None


def _filled(cells: list[str]) -> list[str]:
    """Cells without the empty columns behind that spreadsheets leave."""
    return cells[: len(COLUMNS)] if not any(cells[len(COLUMNS) :]) else cells


def _row(path: Path, number: int, cells: list[str]) -> Reviewed:
    """A row that holds together. Raises DataError."""
    if len(cells) != len(COLUMNS) or not cells[0] or cells[2].lower() not in get_args(Said):
        raise DataError(f"{path}, line {number}: give {', '.join(COLUMNS)}; an answer is {', '.join(get_args(Said))}")
    origin, was, answer, label = cells
    answer = answer.lower()
    if answer == "change" and (problem := layout.check_label(label)):
        raise DataError(f"{path}, line {number}: the label {label!r} {problem}")
    return Reviewed(origin, was, cast(Said, answer), label)


class Corrections:
    """What a table says of the files of an import, one by one; a row counts only if the file has the label that was looked at.

    `exact`: files go by the origin that is on record, and not also by the place where they would lie.
    """

    def __init__(self, path: Path | None, exact: bool = False) -> None:
        self.path, self._exact = path, exact
        self._rows = {row.origin: row for row in read(path)} if path else {}
        self.left: list[LeftOut] = []
        self.origins: dict[str, str] = {}  # by path, of files with another label: what they are called in the table
        self._changed = self._stale = 0

    def of(self, path: str, label: str, split: str) -> str | None:
        """The label of the file `path`, whose folder or table gives `label` and `split`; None if it is to be left out."""
        name = PurePosixPath(path).name
        places = (path, f"{label}/{name}", f"{layout.FOLDERS.get(split, split)}/{label}/{name}")  # its origin, or where it would lie
        row = next((self._rows.pop(place) for place in places[: 1 if self._exact else None] if place in self._rows), None)
        if row is None or row.answer in ("keep", "unsure"):
            return label
        if row.was != label:
            self._stale += row.label != label
            return label
        if row.answer == "drop":
            self.left.append(LeftOut(path, label, 0, DROPPED))
            return None
        self._changed += 1
        self.origins[path] = row.origin
        return row.label

    def items(self, items: list[Item]) -> list[Item]:
        """The items with the labels that they have now, without those that are left out."""
        labels = [(item, self.of(item.path, item.label, item.split)) for item in items]
        return [item._replace(label=label) for item, label in labels if label is not None]

    def notes(self) -> list[str]:
        """What to know of it, when all files have been seen."""
        if self.path is None:
            return []
        done = f"{formats.count(self._changed, 'label')} changed and {formats.count(len(self.left), 'image')} left out, as {self.path} says"
        missing = sum(row.answer in ("change", "drop") for row in self._rows.values())
        stale = f"{formats.count(self._stale, 'answer')} of {self.path} not used: the file has another label now than when it was reviewed"
        gone = f"{formats.count(missing, 'answer')} of {self.path} not used: there is no such file"
        return [done, *([stale] if self._stale else []), *([gone] if missing else [])]
