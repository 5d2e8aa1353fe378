"""How far a training has come, kept on disk.

A training that was killed goes on, and ends with the same bytes.

The name of a checkpoint comes from all that determines the training, so that one of other code, images or parameters is never used
instead. It is written whole or not at all, read as arrays and JSON (never as code), and not used if a byte of it is wrong. A stage keeps
those of all that it trains, finished ones too, and removes them when it has ended well. Deleting the folder costs only time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from headstart.base import outputs, weights
from headstart.base.code import fingerprint, versions

if TYPE_CHECKING:
    import pandas as pd

    from headstart.features.extraction import Frozen
    from headstart.features.transforms import View


log = logging.getLogger(__name__)
FOLDER = Path(".headstart/checkpoints")
LARGEST = 4 * 2**30  # bytes of all checkpoints together; the newest stays, however large
SHARE = 0.05  # of the time that may go into writing them; no result depends on when they are written


class Content(NamedTuple):
    """What a checkpoint holds: arrays by name, and values that JSON can hold."""

    arrays: dict[str, np.ndarray]
    values: Mapping[str, object]


class Keeper:
    """Writes and reads the checkpoints of a folder, for one process at a time.

    `used` are those that it has written or gone on from.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[Path] = set()
        self._cost, self._last = 0.0, time.monotonic()  # seconds that writing took, and when it was done

    def due(self) -> bool:
        """Whether there was so much work since the last checkpoint that another costs only its SHARE."""
        return time.monotonic() - self._last >= self._cost / SHARE

    def write(self, key: str, make: Callable[[], Content]) -> None:
        """Keep what `make` gives as the checkpoint of `key`, instead of an earlier one.

        Old ones of other trainings are deleted if all are more than LARGEST.
        """
        from safetensors.numpy import save_file

        started = time.monotonic()
        arrays, values = make()
        arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        text = json.dumps(values)
        path = self._path(key)
        with outputs.whole(path) as temporary:
            save_file(arrays, temporary, {"key": key, "values": text, "sha256": _digest(arrays, text)})
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        self.used.add(path)
        self._prune(path)
        self._last = time.monotonic()
        self._cost = self._last - started

    def read(self, key: str) -> Content | None:
        """The checkpoint of `key`; None if there is none, and with a warning if it is damaged."""
        from safetensors import safe_open

        path = self._path(key)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                known = file.metadata()
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if known["key"] != key:
                raise ValueError("it belongs to another training")
            if known["sha256"] != _digest(arrays, known["values"]):
                raise ValueError("its content is not what was written")
            values = json.loads(known["values"])
        except Exception as error:  # safetensors, JSON and I/O raise many kinds; training from the start is the answer to all
            log.warning("the checkpoint %s cannot be used (%s: %s): training starts again", path, type(error).__name__, error)
            return None
        self.used.add(path)
        return Content(arrays, values)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _prune(self, newest: Path) -> None:
        room = LARGEST - newest.stat().st_size
        others = [(path.stat(), path) for path in self.folder.glob("*.safetensors") if path != newest]
        for state, path in sorted(others, key=lambda other: -other[0].st_mtime_ns):
            room -= state.st_size
            if room < 0:
                path.unlink(missing_ok=True)


_current: Keeper | None = None


def keeper() -> Keeper | None:
    """Who keeps the checkpoints of what is trained now; None if nobody does."""
    return _current


@contextlib.contextmanager
def keeping(folder: Path | None = None) -> Iterator[Keeper]:
    """Keep checkpoints of all that is trained in the block, under the run lock.

    Those that it used are deleted when it ends well.
    """
    global _current
    folder = folder or FOLDER
    for left in folder.glob(".*"):  # what a killed run had begun to write
        left.unlink(missing_ok=True)
    _current = found = Keeper(folder)
    try:
        yield found
    finally:
        _current = None
    for path in found.used:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others are kept there, or there is none
        folder.rmdir()


def key(determines: Mapping[str, object]) -> str:
    """The name of a training among all others.

    A hash of what determines it (values that JSON can hold), of this library's code and of the versions of what it computes with.
    """
    return hashlib.sha256(json.dumps([determines, fingerprint("headstart"), versions()]).encode()).hexdigest()[:24]


def images(frozen: Frozen, table: pd.DataFrame, views: Sequence[View], how: str) -> str:
    """The name of what `frozen` gives for the images of `table` in `views`.

    `how` says in which numbers, as not all are stored alike.
    """
    named = [frozen.identity, frozen.engine.name, how, [view.key() for view in views], table["sha256"].tolist()]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


def _digest(arrays: dict[str, np.ndarray], text: str) -> str:
    return hashlib.sha256(f"{weights.digest(arrays)}{text}".encode()).hexdigest()
