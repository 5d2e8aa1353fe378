"""The place of each imported file in the canonical layout, under a name that is free, and where the file came from."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from headstart.indexing import layout

LONGEST = 255  # bytes of a file name, on every usual file system


class Shelf:
    """Gives each file its place.

    Its name is free whether or not the file system tells upper from lower case. A name that is longer than a file system takes becomes a
    short one of its own.
    """

    def __init__(self, target: Path) -> None:
        self.target, self.renamed = target, 0
        self.origins: dict[str, str] = {}  # by path below the target, of files whose origin says more than that
        self._taken: dict[Path, set[str]] = {}
        self._last: dict[tuple[Path, str], int] = {}  # the last number that made a name free

    def place(self, label: str, split: str, name: str, origin: str = "") -> Path:
        """The place for a file of this label and split that is called `name`; `origin` is its path in what is imported."""
        folder = self.target / layout.FOLDERS[split] / label if split else self.target / label
        if folder not in self._taken:
            folder.mkdir(parents=True, exist_ok=True)
            self._taken[folder] = {layout.folded(path.name) for path in folder.iterdir()}
        taken, free, number = self._taken[folder], shortened(name), self._last.get((folder, name), 1)
        while layout.folded(free) in taken:
            number += 1
            free = shortened(name, f"_{number}")
        self._last[folder, name] = number
        self.renamed += free != name
        taken.add(layout.folded(free))
        self._note(folder / free, label, origin)
        return folder / free

    def _note(self, place: Path, label: str, origin: str) -> None:
        """Keep the origin, unless it is the file's place but for the name of a split's folder."""
        if origin and (PurePosixPath(origin).parts[-2:] != (label, place.name) or origin.count("/") > 2):
            self.origins[place.relative_to(self.target).as_posix()] = origin


def shortened(name: str, end: str = "") -> str:
    """The name with `end` before its suffix, of at most LONGEST bytes: what is cut off is replaced by a hash of the whole."""
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
    whole = f"{stem}{end}{suffix}"
    if len(whole.encode(errors="surrogateescape")) <= LONGEST:
        return whole
    mark = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8]
    room = 60 - len(suffix.encode(errors="surrogateescape")[:20])
    short = stem.encode(errors="surrogateescape")[:room].decode(errors="ignore")
    return f"{short}_{mark}{end}{suffix if len(suffix) <= 20 else ''}"
