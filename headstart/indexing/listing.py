"""List the folders of a data set: files and folders by name, links followed as far as they may be."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headstart.data.clutter import is_bookkeeping
from headstart.machinery.errors import DataError
from headstart.words import lists

SHAPE = "CLASS/FILE, or train/CLASS/FILE with val/ and test/ beside train/"
MOST = 64  # folders one inside the other
_LINKS = "replace a link by what it points to (cp -rL copies a folder with its links resolved), "
_ADVICE = "remove it, or leave it out with --skip-bad"
_NO_FILE = "is neither a file nor a folder (a pipe, a socket or a device)"


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
    bad: list[tuple[str, str]] = field(default_factory=list)  # what is no file that may be read: its path below the root, and what it is

    def open(self, path: str) -> Folder:
        """List the folder at `path` below the root; what is neither file nor folder goes to `bad`. Raises DataError if it cannot be listed."""
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
                raise DataError(f"{self.shown}/{here.path} is met twice by way of links, in a circle perhaps; {_LINKS}{_ADVICE}")
            seen.add(real)
            if here.path.count("/") > MOST:
                raise DataError(f"{self.shown}/{here.path[:80]}... is more than {MOST} folders deep; give a folder nearer to the files")
            files.extend(here.files)
            waiting.extend(self.open(f"{here.path}/{name}") for name in here.folders)
        return files

    def _sort(self, entry: os.DirEntry[str], path: str, folder: Folder) -> None:
        check_name(path)
        link = entry.is_symlink()
        problem = self._astray(Path(entry.path)) if link else ""
        if problem:
            self.bad.append((path, problem))
        elif entry.is_dir():
            folder.folders.append(entry.name)
        elif entry.is_file():
            folder.files.append(path)
        else:
            self.bad.append((path, _NO_FILE))

    def _astray(self, link: Path) -> str:
        """What is wrong with a link, "" if nothing is.

        It may lead nowhere, round in a circle, out of the folder that it must stay in, or to what is neither a file nor a folder.
        """
        try:
            target = link.resolve(strict=True)
            kind = target.stat().st_mode
        except (OSError, RuntimeError):
            return f"is a link that leads nowhere, or nowhere that may be read{_fetched(link)}"
        inside = self.within is None or target.is_relative_to(self.within)
        if stat.S_ISREG(kind):
            return "" if inside else "is a link that points outside the folder"
        if not stat.S_ISDIR(kind):
            return "is a link to something that is no file"
        if self.within is None or not inside:
            return f"is a link to a folder{'' if self.within is None else ' that lies outside'}"
        if link.parent.resolve().is_relative_to(target):
            return "is a link to a folder that it lies in, so it leads round in a circle"
        return ""


def refusal(shown: str, bad: Sequence[tuple[str, str]]) -> DataError:
    """The error for what is no file that may be read: all of it, with the reasons."""
    rows = [(path, "", 0, reason) for path, reason in bad]
    advice = _ADVICE if all(reason == _NO_FILE for _, reason in bad) else _LINKS + _ADVICE
    if len(bad) == 1:
        (path, reason), *_ = bad
        return DataError(f"{shown}/{path} {reason}; {advice}", rows)
    reasons: dict[str, list[str]] = {}
    for path, reason in bad:
        reasons.setdefault(reason, []).append(path)
    lines = [f"  - {len(paths):,}: each {reason}: {lists.named(paths, 5)}" for reason, paths in reasons.items()]
    return DataError(f"{shown} holds {len(bad):,} that cannot be used:\n" + "\n".join(lines) + f"\n{advice}", rows)


def _fetched(link: Path) -> str:
    """What brings the file that a link of git-annex or DVC should lead to."""
    try:
        target = str(link.readlink())
    except OSError:
        return ""
    if "annex/objects" in target:
        return " (git-annex: run git annex get)"
    return " (DVC: run dvc pull)" if ".dvc/cache" in target or "files/md5" in target else ""
