"""Which images of a data set belong together, as its import said: a hidden table among them, which is versioned with them.

Images of one patient, camera, video or piece stay on one side of every split and fold. Files that were added later are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headstart.data import beside

FILE = ".groups.csv"
_COLUMNS = ("path", "group")
_ADVICE = "import the images again with `headstart import PATH`, or remove the file and with it the groups"


def write(folder: Path, groups: Mapping[str, str]) -> None:
    """Write the group of each path below `folder`; no file if nothing has a group."""
    if groups:
        beside.write(folder / FILE, _COLUMNS, sorted(groups.items()))


def read(folder: Path) -> dict[str, str]:
    """The group of each path that has one; {} if there is no such table. Raises DataError for one that is damaged."""
    return {row[0]: row[1] for row in beside.read(folder / FILE, _COLUMNS, _ADVICE)}
