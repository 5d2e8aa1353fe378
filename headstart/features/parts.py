"""Parts of a store: files of rows that workers write, each whole or not at all.

A part holds its rows and then their keys. It is named for its store and its keys, so that a worker that does again what another one had
begun, or had done unseen, writes the same file with the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

KEY_BYTES = 32
SUFFIX = ".part"
LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Part:
    """A part that lies on disk, and the keys (SHA-256 in hex) of its rows, in order."""

    path: Path
    keys: list[str]


def path(folder: Path, stem: str, keys: Sequence[str]) -> Path:
    """Where the part of the store `stem` with the rows of `keys` lies."""
    return folder / f"{stem}.{hashlib.sha256(''.join(keys).encode()).hexdigest()[:24]}{SUFFIX}"


def found(folder: Path, stem: str, row_bytes: int) -> list[Part]:
    """The parts of a store whose rows have `row_bytes` bytes each, by name; 0: without their keys. Files of any other size are none."""
    listed = []
    for file in sorted(folder.glob(f"{stem}.*{SUFFIX}")):
        count, rest = divmod(file.stat().st_size, row_bytes + KEY_BYTES)
        if not row_bytes or not rest:
            listed.append(Part(file, _keys(file, count) if row_bytes else []))
    return listed


def one(file: Path, row_bytes: int) -> Part:
    """A part that is there, of rows of `row_bytes` bytes each."""
    return Part(file, _keys(file, file.stat().st_size // (row_bytes + KEY_BYTES)))


def _keys(file: Path, count: int) -> list[str]:
    with file.open("rb") as opened:
        opened.seek(-count * KEY_BYTES, 2)
        raw = opened.read()
    return [raw[i * KEY_BYTES : (i + 1) * KEY_BYTES].hex() for i in range(count)]


def forget_unfinished(folder: Path, stem: str) -> None:
    """Remove what workers that died had begun to write for a store."""
    for file in folder.glob(f".{stem}.*{SUFFIX}.*"):
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(folder: Path, stem: str, keys: Sequence[str]) -> Iterator[BinaryIO]:
    """An open file to which the rows of `keys` are written in their order, as `packed` gives them; it becomes the part if the block ends well."""
    place = path(folder, stem, keys)
    temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex}")  # not the process's number, which another machine may have too
    try:
        with temporary.open("xb") as file:
            yield file
            file.write(b"".join(map(bytes.fromhex, keys)))
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)


def packed(rows: np.ndarray, dtype: np.dtype) -> bytes:
    """Rows as they lie in a file; what float16 cannot hold is cut to the largest that it can."""
    if dtype == np.float16:
        rows = np.clip(rows, -LARGEST, LARGEST)
    return np.ascontiguousarray(rows, dtype).tobytes()


class Files:
    """The rows of several files one after the other, read when they are asked for: `files[positions, columns]`."""

    def __init__(self, files: Sequence[np.ndarray]) -> None:
        self._files = files
        self._starts = np.cumsum([0, *map(len, files)])

    def __getitem__(self, index: tuple[np.ndarray, slice]) -> np.ndarray:
        positions, columns = index
        first = self._files[0]
        rows = np.empty((len(positions), *first[:0, columns].shape[1:]), first.dtype)
        of = np.searchsorted(self._starts, positions, side="right") - 1
        for number in np.unique(of):
            chosen = of == number
            rows[chosen] = self._files[number][positions[chosen] - self._starts[number], columns]
        return rows
