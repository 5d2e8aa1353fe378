"""Fetch images from a bucket, or from another place with an address, into a folder of this disk: s3://, gs://, az://, http://, memory://.

It is a copy, in .headstart/fetched: the rest of the pipeline reads files, and DVC tracks them. Each file is fetched whole or not at all. An import
that was stopped, or refused for what it found, goes on from there and fetches only what is missing or has changed. Of tar shards (shards.py) one
at a time is fetched and unpacked. What speaks to a bucket is fsspec, with the settings and credentials that it finds in the environment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from headstart.data import clutter
from headstart.importing import shards
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from headstart.machinery.progress import Progress

FETCHED = Path(".headstart/fetched")
KEEP_FREE = 2**28  # bytes of disk left alone
AT_ONCE = 16  # files that are on their way at the same time: a small one is mostly waiting
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "azure", "abfs": "azure", "abfss": "azure", "sftp": "ssh", "ssh": "ssh"}


@dataclass(frozen=True)
class _File:
    """A file of a bucket: its key, its path below what was asked for, its bytes, and when it was changed (seconds; 0: not told)."""

    key: str
    path: str
    size: int
    changed: float


def is_remote(source: str) -> bool:
    """Whether a source is an address rather than a path or a name."""
    return "://" in source


def fetch(url: str) -> Path:
    """The path of what `url` names, on this disk: a folder, or a file if it names one. Of a file:// address, the path itself.

    Raises ParamsError for an address that nothing here can read, DataError if nothing is there or a name is unfit, HeadstartError if the disk
    is too small or the place does not answer; what was fetched stays for the next try.
    """
    if url.startswith("file://"):
        return Path(url.removeprefix("file://"))
    place = FETCHED / hashlib.sha256(url.encode()).hexdigest()[:16]
    try:
        system, files, single = _listing(url)
        if single:
            _all(system, files, place, url)
            return place / files[0].path
        if shards.are_shards([file.path for file in files]):
            return _by_shards(system, _listed(system, files), place, url)
        _all(system, files, place, url)
    except (HeadstartError, MemoryError):
        raise
    except OSError as error:
        if error.errno == 28:  # no space
            raise
        raise HeadstartError(f"{url} cannot be read: {_said(error)}; what was fetched stays: import again to go on") from None
    except Exception as error:  # what the libraries of buckets raise
        raise HeadstartError(f"{url} cannot be read: {_said(error)}; look at the address and at your credentials for it") from None
    return place


def forget() -> None:
    """Remove all that was fetched: after an import that went through."""
    shutil.rmtree(FETCHED, ignore_errors=True)


def is_here(path: Path) -> bool:
    """Whether a path is of what was fetched."""
    return path.is_relative_to(FETCHED)


def keep(source: Path, target: Path) -> None:
    """Have `target` be the fetched file `source`, which stays as long as the import may fail; without a copy where the file system can."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _listing(url: str) -> tuple[Any, list[_File], bool]:
    """What speaks to the place, the files there by path, and whether the address names a single file."""
    import fsspec

    kind = url.partition("://")[0]
    try:
        system, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        remedy = (
            f"pip install 'headstart[{EXTRAS[kind]}]'"
            if kind in EXTRAS
            else "give an address that fsspec knows, such as s3://BUCKET/FOLDER"
        )
        raise ParamsError(f"{kind}:// cannot be read here ({_said(error)}); {remedy}") from None
    found = {} if system.isfile(root) else system.find(root, detail=True)
    single = not found and system.exists(root)
    named = {root: system.info(root)} if single else found
    files = []
    for key, info in sorted(named.items()):
        path = PurePosixPath(key).name if single else key.removeprefix(root).lstrip("/")
        if info.get("type") == "file" and not key.endswith("/") and not _is_clutter(path):
            files.append(_File(key, _checked(url, path), int(info.get("size") or 0), _changed(info)))
    if not files:
        raise DataError(f"there are no files at {url}; look at the address, and whether you may list it")
    return system, files, single


def _is_clutter(path: str) -> bool:
    return any(clutter.is_bookkeeping(part) for part in PurePosixPath(path).parts)


def _checked(url: str, path: str) -> str:
    """A path that is safe below a folder. Raises DataError."""
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or path.startswith("/") or "\0" in path or any(len(part.encode()) > 255 for part in parts):
        raise DataError(f"{url} holds {path[:120]!r}, which is no name for a file here; rename it there, or import another folder")
    return PurePosixPath(path).as_posix()


def _changed(info: dict[str, Any]) -> float:
    """When a file was changed, as far as the place tells."""
    told = next((info[name] for name in ("LastModified", "mtime", "last_modified", "updated", "created") if info.get(name)), 0.0)
    if isinstance(told, str):
        try:
            told = datetime.fromisoformat(told)
        except ValueError:
            return 0.0
    return told.timestamp() if isinstance(told, datetime) else float(told)


def _all(system: Any, files: list[_File], place: Path, url: str) -> None:
    """Fetch the files that are not here yet, many at a time; those that are no longer there are removed here."""
    missing = [file for file in files if not _is_here(file, place / file.path)]
    _check_room(sum(file.size for file in missing), url)
    wanted = {file.path for file in files}
    for here in [path for path in place.rglob("*") if path.is_file() and path.relative_to(place).as_posix() not in wanted]:
        here.unlink()
    with Progress(len(files), f"fetching {url}") as progress, ThreadPoolExecutor(AT_ONCE, "fetching") as pool:
        progress.step(len(files) - len(missing))
        for _ in _bounded(pool, lambda file: _one(system, file, place / file.path), missing):
            progress.step()


def _bounded(pool: ThreadPoolExecutor, function: Callable[[_File], None], files: list[_File]) -> Iterator[None]:
    """Do something for all files, a few of them begun ahead; if one fails, the others are not begun."""
    for start in range(0, len(files), 64 * AT_ONCE):
        yield from pool.map(function, files[start : start + 64 * AT_ONCE])


def _listed(system: Any, files: list[_File]) -> list[_File]:
    """The shards among the files: those that the index names, if there is one, else all."""
    index = next((file for file in files if file.path == shards.INDEX), None)
    names = set(shards.listed([file.path for file in files], system.cat_file(index.key) if index else b""))
    return [file for file in files if file.path in names]


def _by_shards(system: Any, files: list[_File], place: Path, url: str) -> Path:
    """Fetch and unpack one shard after the other; the table of labels comes last."""
    folders = [place / shards.folder_of(file.path) for file in files]
    missing = [(file, folder) for file, folder in zip(files, folders, strict=True) if not _is_here(file, folder)]
    if missing:
        _check_room(sum(file.size for file, _ in missing) + max(file.size for file, _ in missing), url)
    with Progress(len(files), f"fetching {url}, shards") as progress:
        progress.step(len(files) - len(missing))
        for file, folder in missing:
            tar = place / f".{uuid.uuid4().hex}.tar"
            try:
                _one(system, file, tar)
                shards.unpack(tar, folder, shown=file.key)
                os.utime(folder, (file.changed, file.changed))
            finally:
                tar.unlink(missing_ok=True)
            progress.step()
    for other in {path for path in place.iterdir() if path.is_dir()} - set(folders):
        shutil.rmtree(other)
    shards.write_table(place)
    return place


def _is_here(file: _File, path: Path) -> bool:
    """Whether a file, or the folder of a shard, is what the place holds now."""
    if not path.exists():
        return False
    state = path.stat()
    return (path.is_dir() or state.st_size == file.size) and (not file.changed or abs(state.st_mtime - file.changed) < 1)


def _one(system: Any, file: _File, path: Path) -> None:
    """Fetch a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}")
    try:
        system.get_file(file.key, str(temporary))
        if temporary.stat().st_size != file.size:
            raise HeadstartError(f"{file.key} came in part ({temporary.stat().st_size:,} of {file.size:,} bytes); import again to go on")
        if file.changed:
            os.utime(temporary, (file.changed, file.changed))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _check_room(size: int, url: str) -> None:
    FETCHED.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(FETCHED).free - KEEP_FREE
    if size > free:
        raise HeadstartError(
            f"{url} holds {size >> 20:,} MiB that are not here yet, and this disk takes {max(free, 0) >> 20:,}; an import is a copy: make room, or import a part of it"
        )


def _said(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
