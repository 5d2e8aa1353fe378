"""Find the file that a row of a label file means: as it is written, or the one that is called so but for folder, ending or spelling."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections import defaultdict
from pathlib import Path, PurePosixPath

from headstart.data import images, photos
from headstart.indexing import layout
from headstart.words import lists

_SHOWN = 3  # files that a message names


class Places:
    """The images below a folder, by what a label file may call them."""

    def __init__(self, folder: Path, beside: Path) -> None:
        self.root = folder.resolve()
        self._bases = (folder, beside)
        self._names: dict[str, list[str]] = {}  # paths below the root by name, folded
        self._stems: dict[str, list[str]] = {}  # the same by name without its ending
        self._numbers: dict[str, list[str]] = {}  # those of which that is a number, without the zeros before it
        self._listed: list[str] | None = None

    def find(self, name: str) -> tuple[Path | None, list[str]]:
        """The file, or None and the paths (below the folder) of those that it may be.

        As it is written, below the folder or beside the label file, with slashes of either kind; else the only image whose path ends in
        the same way, with as many of the folders as any has, whatever its case, ending and the encoding of its accents; last, the only one
        whose name is the same number.
        """
        for text in dict.fromkeys((name, name.strip(), name.strip().replace("\\", "/"))):
            for base in self._bases:
                if text and (place := _file(base / text)):
                    return place, []
        found = self._alike(name.strip().replace("\\", "/"))
        return (self.root / found[0], []) if len(found) == 1 else (None, found)

    def listed(self) -> list[str]:
        """Paths below the folder of all its images, hidden ones left out, sorted."""
        if self._listed is None:
            self._listed = []
            for place, folders, files in os.walk(self.root):
                folders[:] = sorted(folder for folder in folders if not layout.is_hidden(folder))
                below = Path(place).relative_to(self.root)
                shown = (file for file in files if not layout.is_hidden(file) and not photos.is_sidecar(Path(place, file)))
                self._listed += [(below / file).as_posix() for file in shown]
            self._listed.sort()
            names, stems, numbers = defaultdict(list), defaultdict(list), defaultdict(list)
            for path in self._listed:
                names[layout.folded(PurePosixPath(path).name)].append(path)
                stems[layout.folded(PurePosixPath(path).stem)].append(path)
                if number := _number(PurePosixPath(path).stem):
                    numbers[number].append(path)
            self._names, self._stems, self._numbers = dict(names), dict(stems), dict(numbers)
        return self._listed

    def what_lies_there(self) -> str:
        """The number of images below the folder, and some of them."""
        found = self.listed()
        return f"{len(found):,} image(s), such as {lists.named(found[:_SHOWN])}" if found else "no image"

    def _alike(self, name: str) -> list[str]:
        self.listed()
        path = PurePosixPath(urllib.parse.unquote(name.partition("?")[0]) if "://" in name else name.strip("'\""))
        found: list[str] = []
        for spelling in _spellings(path.name):
            found = found or self._names.get(spelling) or self._stems.get(spelling) or []
        found = found or self._numbers.get(_number(path.name), [])
        folders = [layout.folded(part) for part in path.parts[:-1]]
        shared = {one: _shared(folders, [layout.folded(part) for part in PurePosixPath(one).parts[:-1]]) for one in found}
        most = max(shared.values(), default=0)
        return [one for one in found if shared[one] == most]


def _spellings(name: str) -> list[str]:
    """What a file may be called whose name a table gives: without its endings, or the mark that Label Studio puts before it."""
    plain = re.sub(r"^[0-9a-f]{8}-", "", name)
    found = [name, plain]
    for one in (name, plain):
        stem = PurePosixPath(one.rstrip("."))
        found.append(stem.name)
        while stem.suffix.lower() in images.SUFFIXES or re.fullmatch(r"\.[A-Za-z]{2,5}", stem.suffix):
            stem = PurePosixPath(stem.stem)
            found.append(stem.name)
    return [layout.folded(one) for one in dict.fromkeys(found)]


def _number(name: str) -> str:
    """A name that is a number, as a spreadsheet or pandas may have left it (007 -> 7, 7.0), "" for other names."""
    match = re.fullmatch(r"0*(\d+)(?:\.0)?", name)
    return match[1] if match else ""


def _shared(wanted: list[str], there: list[str]) -> int:
    """How many folders two paths share, counted from the file."""
    number = 0
    while number < min(len(wanted), len(there)) and wanted[-1 - number] == there[-1 - number]:
        number += 1
    return number


def _file(path: Path) -> Path | None:
    try:
        return path.resolve() if path.is_file() else None
    except (OSError, ValueError):  # longer than a name may be, or with a zero byte
        return None
