"""Unpack a .zip or .tar archive that someone else made, safely.

Nothing is written outside the folder, no links are made, and no more is unpacked than the disk holds.
"""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from headstart.indexing import layout
from headstart.machinery.errors import DataError
from headstart.machinery.progress import Progress

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
SUFFIXES = (".zip", *TAR_SUFFIXES)
KEEP_FREE = 2**28  # bytes of disk left alone
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


class _Member(NamedTuple):
    name: str
    size: int  # bytes unpacked
    packed: int  # bytes of the archive read for it
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive that `unpack` takes."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack all files of an archive below `folder`, hidden ones left out.

    Raises DataError, and names the member, for absolute paths, "..", links, devices, encryption, names that are not UTF-8 and names that
    occur twice; also for a damaged archive, and for one that unpacks to more than the disk has free.
    """
    free = shutil.disk_usage(folder).free - KEEP_FREE
    megabytes = archive.stat().st_size >> 20
    members = _zip_members if archive.name.lower().endswith(".zip") else _tar_members
    total = packed = 0
    try:
        with Progress(megabytes, f"unpacking {archive.name} (MiB)") as progress:
            for member in members(archive):
                total += member.size
                if total > free:
                    raise DataError(f"{archive} unpacks to more than the {max(free, 0) >> 20} MiB that the disk can take; make room first")
                _write(archive, member, folder)
                packed += member.packed
                progress.step((packed >> 20) - progress.done)
    except _DAMAGED as error:
        raise DataError(f"{archive} is damaged or no archive of its name's kind ({error}); download or pack it again") from None
    except OSError as error:
        if error.errno is None:  # what gzip and bz2 raise for bytes that are not theirs
            raise DataError(f"{archive} is damaged or no archive of its name's kind ({error}); download or pack it again") from None
        raise


def _write(archive: Path, member: _Member, folder: Path) -> None:
    parts = PurePosixPath(member.name).parts
    if any(layout.is_hidden(part) for part in parts):
        return
    path = folder.joinpath(*parts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as out:
            source = member.open()
            if source is None:
                raise DataError(f"{archive}: the member {member.name!r} cannot be read; pack the archive again")
            with source:
                shutil.copyfileobj(source, out, 1 << 20)
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"{archive}: the member {member.name!r} occurs twice; pack the archive again") from None


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        infos = file.infolist()
        for info in infos:  # all of them before the first is written
            _check(archive, info.filename.replace("\\", "/"))
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refusal(archive, info.filename, "is a link" if kind == stat.S_IFLNK else "is no ordinary file")
            if info.flag_bits & 1:
                raise DataError(f"{archive}: the member {info.filename!r} is encrypted; unpack it yourself and give the folder")
        for info in infos:
            if not info.is_dir():
                yield _Member(info.filename.replace("\\", "/"), info.file_size, info.compress_size, partial(file.open, info))


def _tar_members(archive: Path) -> Iterator[_Member]:
    with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as file:
        before = 0
        for info in file:
            _check(archive, info.name)
            if not (info.isreg() or info.isdir()):
                raise _refusal(archive, info.name, "is a link" if info.issym() or info.islnk() else "is a device")
            if info.isreg():
                yield _Member(info.name, info.size, raw.tell() - before, partial(file.extractfile, info))
                before = raw.tell()
            file.members = []  # type: ignore[attr-defined]  # else tarfile keeps every header in memory


def _check(archive: Path, name: str) -> None:
    layout.check_name(name)
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in PurePosixPath(name).parts:
        raise _refusal(archive, name, "points outside the archive")


def _refusal(archive: Path, name: str, problem: str) -> DataError:
    return DataError(f"{archive} is refused: its member {name!r} {problem}; if you trust it, unpack it yourself and give the folder")
