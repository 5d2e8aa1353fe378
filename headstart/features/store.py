"""Rows of numbers on disk, looked up by key.

They are what the frozen part of a network computed for each image.

A store is known by what its rows depend on (weights, cut, view, code), so it never goes stale, and ten new images cost ten rows.
Deleting the folder costs only time. A store is one file that grows, beside parts that other machines made. Of the file, rows are appended first
and their keys after, so a killed run leaves a shorter store, not a broken one.
Who writes holds a lock on the store's .json meanwhile, and takes what others wrote since: two writers at once share a store.
A part is a file of its own, written whole or not at all and never changed, so that no machine waits for another one (parts.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from headstart.features import parts

KEY_BYTES = parts.KEY_BYTES


class Store:
    """Rows of one shape and type under SHA-256 keys; `rows` maps them into memory."""

    def __init__(self, folder: Path, identity: Mapping[str, object], shape: tuple[int, ...], dtype: str) -> None:
        text = json.dumps({**identity, "shape": shape, "dtype": dtype}, sort_keys=True)
        stem = hashlib.sha256(text.encode()).hexdigest()[:24]
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.stem = folder, stem
        self._data, self._keys = folder / f"{stem}.rows", folder / f"{stem}.keys"
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.row_bytes = int(np.prod(shape)) * self.dtype.itemsize
        self._told = folder / f"{stem}.json"
        with self._alone() as file:
            file.seek(0)
            if file.read() != text + "\n":
                file.truncate(0)
                file.write(text + "\n")
            os.utime(self._told)  # when it was opened last, for `prune`
            self._read()

    def __len__(self) -> int:
        """How many rows lie on disk."""
        return self._before + self._count

    def missing(self, keys: Iterable[str]) -> list[str]:
        """The keys (SHA-256 in hex) that have no row yet, each once, in order."""
        return [key for key in dict.fromkeys(keys) if key not in self._position]

    def append(self, keys: list[str], rows: np.ndarray) -> None:
        """Add rows (n, *shape) under n keys."""
        with self._alone():
            if (self._keys.stat().st_size if self._keys.exists() else 0) != self._count * KEY_BYTES:
                self._read()  # another writer was here
            new = [i for i, key in enumerate(keys) if key not in self._position]
            with self._data.open("ab") as file:
                file.write(parts.packed(rows[new], self.dtype))
            with self._keys.open("ab") as file:
                file.write(b"".join(bytes.fromhex(keys[i]) for i in new))
            for i in new:
                self._position[keys[i]] = len(self)
                self._count += 1

    def rows(self, keys: Iterable[str]) -> Rows:
        """The rows of `keys`, in that order, read when they are asked for."""
        positions = np.array([self._position[key] for key in keys], dtype=np.int64)
        files = [np.memmap(part.path, self.dtype, "r", shape=(len(part.keys), *self.shape)) for part in self._parts]
        if self._count or not files:
            files.append(np.memmap(self._data, self.dtype, "r", shape=(self._count, *self.shape)))
        return Rows(files[0] if len(files) == 1 else parts.Files(files), positions)

    def refresh(self) -> None:
        """Take the parts that other machines have written since."""
        with self._alone():
            self._read()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[TextIO]:
        """The open .json of the store, while nobody else writes to it."""
        self._told.parent.mkdir(parents=True, exist_ok=True)
        with self._told.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def _read(self) -> None:
        own = self._whole_keys()
        self._parts = parts.found(self.folder, self.stem, self.row_bytes)
        keys = [key for part in self._parts for key in part.keys]  # the file that grows comes last, so that its rows can
        self._before, self._count = len(keys), len(own)
        self._position = {key: i for i, key in enumerate([*keys, *own])}

    def _whole_keys(self) -> list[str]:
        """The keys whose rows were written in full; cuts off what a killed run left beyond them."""
        if not (self._data.exists() and self._keys.exists()):
            self._data.unlink(missing_ok=True)
            self._keys.unlink(missing_ok=True)
            return []
        raw = self._keys.read_bytes()
        n = min(len(raw) // KEY_BYTES, self._data.stat().st_size // max(self.row_bytes, 1))
        for path, size in ((self._data, n * self.row_bytes), (self._keys, n * KEY_BYTES)):
            if path.stat().st_size != size:
                with path.open("r+b") as file:
                    file.truncate(size)
        return [raw[i * KEY_BYTES : (i + 1) * KEY_BYTES].hex() for i in range(n)]


def prune(folder: Path, keep: Sequence[Store], needed: int, budget: int) -> None:
    """Delete the stores in `folder` that were not opened for longest.

    Goes on until all other stores and `needed` bytes fit `budget`. The stores in `keep` stay.
    """
    kept = {store.stem for store in keep}
    others = sorted(
        (path for path in folder.glob("*.json") if path.stem not in kept), key=lambda path: path.stat().st_mtime_ns, reverse=True
    )
    for path in others:
        held = [file for suffix in (".keys", ".rows") if (file := path.with_suffix(suffix)).exists()]
        held += [part.path for part in parts.found(folder, path.stem, 0)]
        needed += sum(file.stat().st_size for file in held)
        if needed > budget:
            for file in [*held, path]:
                file.unlink()


class Rows:
    """A selection of a store's rows, or of their columns.

    `rows[i]` with an integer array or a slice gives a NumPy array of those rows.
    """

    def __init__(self, data: np.ndarray | parts.Files, positions: np.ndarray, part: slice = slice(None)) -> None:
        self._data, self._positions, self._part = data, positions, part
        self.shape = (len(positions), *data[positions[:0], part].shape[1:])

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        return np.asarray(self._data[self._positions[index], self._part])

    def take(self, index: np.ndarray) -> Rows:
        """A part of the selection, still unread."""
        return Rows(self._data, self._positions[index], self._part)

    def columns(self, start: int, stop: int) -> Rows:
        """The same rows from column `start` up to `stop`, still unread."""
        return Rows(self._data, self._positions, slice(start, stop))
