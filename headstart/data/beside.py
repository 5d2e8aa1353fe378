"""Tables that lie hidden among the images, versioned with them: a CSV file with a title, of which every row is whole."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from headstart.base import outputs
from headstart.machinery.errors import DataError


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table, whole or not at all."""
    with outputs.whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)


def read(path: Path, columns: Sequence[str], advice: str) -> list[list[str]]:
    """The rows of a table; [] if there is none. Raises DataError, with the advice, for one that is damaged or has other columns."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except FileNotFoundError:
        return []
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged ({error}); {advice}") from None
    if not rows or rows[0] != list(columns) or any(len(row) != len(columns) for row in rows):
        raise DataError(f"{path} has other columns than {', '.join(columns)}; {advice}")
    return rows[1:]
