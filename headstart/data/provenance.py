"""Where the files of a data set came from: a table beside them, which is versioned with them.

It names the files whose path in what was imported says more than the path they have now: other folders, another name.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

FILE = ".origins.csv"  # hidden, so that no walk takes it for data
_COLUMNS = ("path", "origin")


def write(folder: Path, origins: Mapping[str, str]) -> None:
    """Write the origin of each path below `folder`; no file if there is none to tell."""
    if origins:
        with (folder / FILE).open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(_COLUMNS)
            table.writerows(sorted(origins.items()))


def read(folder: Path) -> dict[str, str]:
    """The origin of the paths below `folder` that have another one. A table that is missing or broken names none."""
    try:
        with (folder / FILE).open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            if tuple(next(rows, ())) != _COLUMNS:
                return {}
            return {row[0]: row[1] for row in rows if len(row) == 2}
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}


def named(path: str, origin: str) -> str:
    """A file as people find it: its path, and where it came from if that is another one."""
    return path if origin in ("", path) else f"{path} (from {origin})"
