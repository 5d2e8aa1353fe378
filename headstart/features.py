"""The frozen part of a network over a table of images: each image and view once, kept in a store that all stages share."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from headstart import engines, images, transforms
from headstart.cores import in_order
from headstart.errors import DataError
from headstart.progress import Progress
from headstart.store import Rows, Store
from headstart.transforms import View

log = logging.getLogger(__name__)
FOLDER = Path(".headstart/features")
ENGINES = Path(".headstart/engines")
BLOCK = 64  # rows written at a time


@dataclass(frozen=True)
class Frozen:
    """The frozen part of a network, ready to run: what it is called, how it runs, what it gives."""

    identity: str  # tells weights and cut from all others
    size: int
    engine: engines.Engine
    engine_name: str
    shape: tuple[int, ...]  # of one image's activation

    @classmethod
    def of(cls, network: nn.Module, identity: str, size: int) -> Frozen:
        """Make `network` (uint8 (n, size, size, 3) -> float32 (n, ...)) ready; `identity` names its weights and cut."""
        identity = f"{identity}:{_fingerprint(network)}"
        engine, name = engines.build(network, size, identity, ENGINES)
        shape = engine(np.zeros((size, size, 3), np.uint8)).shape
        return cls(identity, size, engine, name, tuple(shape))


def extract(
    frozen: Frozen, table: pd.DataFrame, root: Path, view: View, *, dtype: str = "float32", folder: Path = FOLDER, what: str
) -> Rows:
    """Activations of every image of `table` (columns path, sha256) in one view, in the table's order.

    Computes what the store lacks, with decoding and the network running in as many threads as there are cores.
    Raises DataError when a file has changed or gone since it was indexed.
    """
    versions = {name: version(name) for name in ("onnxruntime", "pillow", "torch")}
    identity = {"network": frozen.identity, "engine": frozen.engine_name, "view": view.key(), "code": _code(), "versions": versions}
    store = Store(folder, identity, frozen.shape, dtype)
    paths = dict(zip(table["sha256"], table["path"], strict=True))
    missing = store.missing(table["sha256"])

    def compute(key: str) -> np.ndarray:
        return frozen.engine(_read(root / paths[key], view, key))

    if missing:
        started = time.monotonic()
        with Progress(len(missing), what) as progress:
            keys: list[str] = []
            rows: list[np.ndarray] = []
            for key, row in zip(missing, in_order(compute, missing), strict=True):
                keys.append(key)
                rows.append(row)
                progress.step()
                if len(keys) == BLOCK:
                    store.append(keys, np.stack(rows))
                    keys, rows = [], []
            if keys:
                store.append(keys, np.stack(rows))
        log.info("%s: %d images, %.0f a second (%s)", what, len(missing), len(missing) / (time.monotonic() - started), frozen.engine_name)
    return store.rows(table["sha256"])


def _read(path: Path, view: View, sha256: str) -> np.ndarray:
    try:
        with path.open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        if same:
            return transforms.read(path, view, sha256)
    except (images.Unreadable, OSError) as error:
        raise DataError(
            f"{path} was readable when the images were indexed and is not now ({error}); the data changed during the run: run again"
        ) from None
    raise DataError(f"{path} is not the file that was indexed; the data changed during the run: run again")


def _fingerprint(network: nn.Module) -> str:
    """A hash of what a network computes with beyond its source's weights: the scale of its images, and its kinds of layers."""
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        digest.update(f"{name}:{type(module).__name__}".encode())
        if isinstance(module, engines.Normalise):
            digest.update(module.scale.numpy().tobytes() + module.shift.numpy().tobytes())
    return digest.hexdigest()[:16]


def _code() -> str:
    """A hash of the code that decides what a row holds, so that a change of it makes new rows."""
    digest = hashlib.sha256()
    for module in (engines, images, transforms):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def views(plain: View, seed: int, augmentation: dict[str, Any], count: int) -> list[View]:
    """The random training views 1 to `count` that go with a plain view."""
    how = transforms.Augmentation(**augmentation)
    return [replace(plain, number=number, seed=seed, augmentation=how) for number in range(1, count + 1)]
