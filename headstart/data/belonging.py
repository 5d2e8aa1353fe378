"""Which images of a data set belong together, as its import said: a hidden table among them, which is versioned with them.

Images of one patient, camera, video or piece stay on one side of every split and fold. Files that were added later are not in it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from headstart.base import outputs
from headstart.machinery.errors import DataError

FILE = ".groups.csv"
_COLUMNS = ("path", "group")


def write(folder: Path, groups: Mapping[str, str]) -> None:
    """Write the group of each path below `folder`; no file if nothing has a group."""
    if groups:
        with outputs.whole(folder / FILE) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(_COLUMNS)
            table.writerows(sorted(groups.items()))


def read(folder: Path) -> dict[str, str]:
    """The group of each path that has one; {} if there is no such table. Raises DataError for one that is damaged."""
    path = folder / FILE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except FileNotFoundError:
        return {}
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged ({error}); {_ADVICE}") from None
    if not rows or tuple(rows[0]) != _COLUMNS or any(len(row) != len(_COLUMNS) for row in rows):
        raise DataError(f"{path} has other columns than {', '.join(_COLUMNS)}; {_ADVICE}")
    return {row[0]: row[1] for row in rows[1:]}


_ADVICE = "import the images again with `headstart import PATH`, or remove the file and with it the groups"
