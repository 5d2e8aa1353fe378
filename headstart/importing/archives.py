"""Unpack a .zip or .tar archive that someone else made, safely.

Nothing is written outside the folder, no links are made, and no more is unpacked than the limits and the disk allow. Every stream is read
to its end, where its checksum is.
"""

from __future__ import annotations

import contextlib
import errno
import lzma
import re
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from headstart.importing import archive_kinds, member_names
from headstart.importing.shelf import LONGEST, shortened
from headstart.indexing import layout
from headstart.machinery.errors import DataError, ParamsError
from headstart.machinery.progress import Progress

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
KEEP_FREE = 2**28  # bytes of disk left alone
LIMITS = {  # of what an archive may hold, so that one made to fill a disk or to break programs does neither
    "files": 2_000_000,
    "depth": 32,  # folders one inside the other
    "name": 255,  # bytes of the name of a file or folder
    "ratio": 100,  # bytes unpacked for each byte of the archive, from SMALL on
}
SMALL = 2**26  # bytes that may be unpacked from an archive however small
_HEADER = 2**20  # most bytes of a long name, or of what else stands before a member of a .tar, which are read at once
_DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, struct.error, RuntimeError),
    *(ValueError, OverflowError),
)


class _Member(NamedTuple):
    name: str
    size: int  # bytes unpacked
    packed: int  # bytes of the archive read for it
    open: Callable[[], IO[bytes] | None] | None  # None for a folder


def is_archive(path: Path) -> bool:
    """Whether a file is an archive that `unpack` takes, or is called so."""
    return path.name.lower().endswith(SUFFIXES) or bool(archive_kinds.of(path))


def parse_limits(assignments: list[str]) -> dict[str, int]:
    """Limits from texts such as files=5000000. Raises ParamsError for another name and for what is no number."""
    limits = {}
    for text in assignments:
        name, _, value = text.partition("=")
        if name not in LIMITS or not re.fullmatch("0*[1-9][0-9]{0,17}", value):
            raise ParamsError(f"--limit {text} is unknown; give NAME=NUMBER, where NAME is {', '.join(LIMITS)}")
        limits[name] = int(value)
    return limits


def unpack(archive: Path, folder: Path, *, encoding: str = "", limits: Mapping[str, int] | None = None, quiet: bool = False) -> None:
    """Unpack all files of an archive below `folder`, bookkeeping left out.

    `encoding` is that of names that are not marked as UTF-8 and are none. `limits` holds those that differ from LIMITS. `quiet` tells no progress.

    Raises DataError, and names the member, for absolute paths, "..", links, devices, encryption, names in an unknown encoding and names
    that occur twice; also for a damaged archive, and for one that unpacks to more than the limits or the disk allow. Raises ParamsError
    for an encoding that is none.
    """
    member_names.check_encoding(encoding)
    budget = _Budget(archive, {**LIMITS, **(limits or {})}, shutil.disk_usage(folder).free - KEEP_FREE)
    megabytes = archive.stat().st_size >> 20
    kind = archive_kinds.of(archive)
    if not kind:
        what = archive_kinds.instead(archive) or "does not begin like an archive, so it is damaged or none: download or pack it again"
        raise DataError(f"{archive} {what}")
    if kind == archive_kinds.TAR and (what := archive_kinds.single(archive)):
        raise DataError(f"{archive} {what}")
    members = _zip_members if kind == archive_kinds.ZIP else _tar_members
    packed = 0
    try:
        with (
            Progress(megabytes, f"unpacking {archive.name} (MiB)", quiet=quiet) as progress,
            contextlib.closing(members(archive, encoding, budget)) as found,
        ):
            for member in found:
                budget.take(member.name, member.size)
                _write(archive, member, folder)
                packed += member.packed
                progress.step((packed >> 20) - progress.done)
    except (*_DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (
            None,
            errno.EINVAL,
        ):  # None: what gzip and bz2 raise; EINVAL: of a wrong offset
            raise
        raise DataError(f"{archive} is damaged or no archive of its name's kind: {_damage(error)}; download or pack it again") from None


def _damage(error: Exception) -> str:
    """What is wrong with an archive, in our words: those of the libraries are many, and some are several lines."""
    text = str(error).lower()
    if isinstance(error, NotImplementedError):
        return "it is packed in a way that is not known here"
    if isinstance(error, EOFError) or any(
        word in text for word in ("end-of-stream", "unexpected end", "truncated", "missing", "not a zip")
    ):
        return "it ends early, it seems"
    if "crc" in text or "check" in text:
        return "a checksum is wrong, so bytes of it have changed"
    return "its bytes make no sense"


class _Budget:
    """What an archive may still unpack to."""

    def __init__(self, archive: Path, limits: Mapping[str, int], free: int) -> None:
        self.archive, self.limits, self.free = archive, limits, max(free, 0)
        self._most = max(SMALL, limits["ratio"] * archive.stat().st_size)
        self._files = self._bytes = 0

    def take(self, name: str, size: int) -> None:
        """Count a member, before anything of it is unpacked. Raises DataError when a limit is passed."""
        self._files += 1
        parts = PurePosixPath(name).parts
        self._bytes += size
        if self._files > self.limits["files"]:
            self._refuse("files", f"holds more than {self.limits['files']:,} files and folders")
        if len(parts) > self.limits["depth"]:
            self._refuse("depth", f"has a member {len(parts):,} folders deep, {name[:60]!r}..., and the limit is {self.limits['depth']:,}")
        longest = max((len(part.encode(errors="surrogateescape")) for part in parts), default=0)
        if longest > self.limits["name"]:
            self._refuse(
                "name", f"has a member whose name takes {longest:,} bytes, {name[:60]!r}..., and the limit is {self.limits['name']:,}"
            )
        if self._bytes > self._most:
            self._refuse(
                "ratio",
                f"unpacks to more than {self._most >> 20:,} MiB, {self.limits['ratio']:,} times its size, as photos never do and bombs do",
            )
        if self._bytes > self.free:
            raise DataError(f"{self.archive} unpacks to more than the {self.free >> 20} MiB that the disk can take; make room first")

    def _refuse(self, limit: str, problem: str) -> None:
        raise DataError(f"{self.archive} {problem}; if you trust it, allow more with --limit {limit}=NUMBER")


def _write(archive: Path, member: _Member, folder: Path) -> None:
    parts = PurePosixPath(member.name).parts
    if member.open is None or any(layout.is_hidden(part) for part in parts):
        return
    path = folder.joinpath(*(part if len(part) * 4 <= LONGEST else shortened(part) for part in parts))
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


def _zip_members(archive: Path, encoding: str, budget: _Budget) -> Generator[_Member, None, None]:
    with zipfile.ZipFile(archive) as file:
        infos = file.infolist()
        names = member_names.of_zip(archive, infos, encoding)
        for info, name in zip(infos, names, strict=True):  # all of them before the first is written
            if not name:
                raise DataError(f"{archive} is damaged or no archive of its name's kind: a member has no name; pack it again")
            member_names.check(archive, name)
            if kind := member_names.unusual(info):
                raise member_names.refusal(archive, name, kind)
            if info.flag_bits & 1:
                raise DataError(f"{archive}: the member {name!r} is encrypted; unpack it yourself and give the folder")
        for info, name in zip(infos, names, strict=True):
            folder = name.endswith("/")
            yield _Member(name, info.file_size, info.compress_size, None if folder else partial(file.open, info))


def _tar_members(archive: Path, encoding: str, budget: _Budget) -> Generator[_Member, None, None]:
    with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*", tarinfo=_Header, encoding="utf-8") as file:
        before = 0
        for info in file:
            name = member_names.of_tar(info, encoding)
            member_names.check(archive, name, encoding)
            if not (info.isreg() or info.isdir()):
                raise member_names.refusal(archive, name, "is a link" if info.issym() or info.islnk() else "is a device")
            yield _Member(name, info.size, raw.tell() - before, partial(file.extractfile, info) if info.isreg() else None)
            before = raw.tell()
            file.members = []  # type: ignore[attr-defined]  # else tarfile keeps every header in memory
        stream: Any = file.fileobj
        while rest := stream.read(1 << 20):  # the checksum of a compressed stream is at its end
            budget.take("", len(rest))


class _Header(tarfile.TarInfo):
    """A header that is damaged or missing ends an archive with an error; tarfile would take it for the end of the archive.

    A long name and the like is read at once, so one that claims a gigabyte is refused.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> _Header:
        kinds = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        if self.type in kinds and self.size > _HEADER:
            raise tarfile.ReadError(f"a header of {self.size >> 20} MiB")
        return super()._proc_member(tar)  # type: ignore[misc,no-any-return]

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _Header:
        """The next header. Raises tarfile.ReadError for one that is damaged, and where the archive ends without its end mark."""
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"a header is damaged or missing: {error}") from None
