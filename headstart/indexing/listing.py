"""List the folders of a data set: files and folders by name, links followed as far as they may be."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from headstart.data.clutter import is_bookkeeping
from headstart.machinery.errors import DataError

SHAPE = "CLASS/FILE, or train/CLASS/FILE with val/ and test/ beside train/"
MOST = 64  # folders one inside the other
_ADVICE = "replace it by what it points to (cp -rL copies a folder with its links resolved) or remove it"


@dataclass
class Folder:
    """What lies directly in a folder, sorted, bookkeeping left out."""

    path: str  # below the root, "" for the root itself
    folders: list[str]  # names
    files: list[str]  # paths below the root


def check_name(name: str) -> None:
    """Raise DataError for a path that is not valid UTF-8 (DVC cannot track it)."""
    try:
        name.encode()
    except UnicodeEncodeError:
        escaped = os.fsencode(name).decode(errors="backslashreplace")
        raise DataError(
            f"the name {escaped} is not valid UTF-8; rename it, for example with convmv -f latin1 -t utf8 -r --notest FOLDER"
        ) from None


@dataclass
class Lister:
    """Lists folders below `root`, which messages call `shown`.

    `within`: the folder that links have to stay in; links to folders are followed then. None: links to files may lead anywhere, and
    links to folders nowhere.
    """

    root: Path
    shown: str
    within: Path | None

    def open(self, path: str) -> Folder:
        """List the folder at `path` below the root. Raises DataError for what cannot be listed and what is neither file nor folder."""
        shown = f"{self.shown}/{path}" if path else self.shown
        try:
            with os.scandir(self.root / path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            raise DataError(f"there is no folder {shown}; import images with `headstart import PATH`") from None
        except NotADirectoryError:
            raise DataError(f"{shown} is not a folder; it should be {SHAPE}") from None
        except PermissionError:
            raise DataError(f"no permission to read the folder {shown}; allow it with chmod u+rx") from None
        folder = Folder(path, [], [])
        for entry in found:
            if not is_bookkeeping(entry.name):
                self._sort(entry, f"{path}/{entry.name}" if path else entry.name, folder)
        return folder

    def below(self, folder: Folder) -> list[str]:
        """The paths of all files below a folder. Raises DataError for folders deeper than MOST, and for one that is met twice by links."""
        files: list[str] = []
        seen: set[Path] = set()
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            real = (self.root / here.path).resolve()
            if real in seen:
                raise DataError(f"{self.shown}/{here.path} is met twice by way of links, in a circle perhaps; {_ADVICE}")
            seen.add(real)
            if here.path.count("/") > MOST:
                raise DataError(f"{self.shown}/{here.path[:80]}... is more than {MOST} folders deep; give a folder nearer to the files")
            files.extend(here.files)
            waiting.extend(self.open(f"{here.path}/{name}") for name in here.folders)
        return files

    def _sort(self, entry: os.DirEntry[str], path: str, folder: Folder) -> None:
        check_name(path)
        if entry.is_symlink():
            if self._leads_to_folder(Path(entry.path), path):
                folder.folders.append(entry.name)
            else:
                folder.files.append(path)
        elif entry.is_dir():
            folder.folders.append(entry.name)
        elif entry.is_file():
            folder.files.append(path)
        else:
            raise DataError(f"{self.shown}/{path} is neither a file nor a folder; remove it")

    def _leads_to_folder(self, link: Path, path: str) -> bool:
        """Whether a link leads to a folder, rather than to a file.

        Raises DataError for one that leads nowhere, round in a circle, out of the folder that it must stay in, or to what is neither.
        """
        try:
            target = link.resolve(strict=True)
            kind = target.stat().st_mode
        except (OSError, RuntimeError):
            raise DataError(f"{self.shown}/{path} is a link that leads nowhere, or nowhere that may be read; {_ADVICE}") from None
        inside = self.within is None or target.is_relative_to(self.within)
        if stat.S_ISREG(kind):
            if not inside:
                raise DataError(f"{self.shown}/{path} is a link that points outside the folder; {_ADVICE}")
            return False
        if not stat.S_ISDIR(kind):
            raise DataError(f"{self.shown}/{path} is a link to something that is no file; {_ADVICE}")
        if self.within is None or not inside:
            outside = "" if self.within is None else " that lies outside"
            raise DataError(f"{self.shown}/{path} is a link to a folder{outside}; {_ADVICE}")
        if link.parent.resolve().is_relative_to(target):
            raise DataError(f"{self.shown}/{path} is a link to a folder that it lies in, so it leads round in a circle; {_ADVICE}")
        return True
