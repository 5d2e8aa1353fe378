"""The frozen part of a network over a table of images.

Each image and view is computed once and kept in a store that all stages share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from headstart.base import executor
from headstart.base.code import fingerprint
from headstart.base.cores import ahead, in_order
from headstart.base.devices import CPU, Device
from headstart.data import indexed, manifest
from headstart.features import engines, parts, pictures, transforms
from headstart.features.batched import COMPILED_FROM
from headstart.features.cutting import Cache, Cutting
from headstart.features.pictures import Wanted
from headstart.features.store import Rows, Store
from headstart.features.transforms import View
from headstart.machinery.progress import Progress
from headstart.networks.cards import Card

if TYPE_CHECKING:
    from torch import nn


FOLDER = Path(".headstart/features")
ENGINES = Path(".headstart/engines")
HALF = "float16"  # of what is stored: half the disk, and no prediction moves (docs/decisions.md)
BLOCK = 64  # rows written at a time
SHARD = 1024  # images that one worker computes before its rows count, at most,
SHARD_BYTES = 2**28  # and bytes of their rows, of the widest view
_DECIDE = (
    *("headstart.base.grey", "headstart.data.deep", "headstart.data.images", "headstart.data.planes", "headstart.data.portable"),
    *("headstart.features.batched", "headstart.features.looking", "headstart.features.pictures", "headstart.features.transforms"),
)


@dataclass(frozen=True)
class Frozen:
    """The frozen part of a network, ready to run: what it is called, how it runs, what it gives."""

    identity: str  # tells weights and cut from all others
    size: int
    engine: engines.Engine
    shape: tuple[int, ...]  # of one image's activation
    device: Device = CPU

    @classmethod
    def of(cls, make: Callable[[], nn.Module], identity: str, size: int, device: Device = CPU, images: int | None = None) -> Frozen:
        """Make the network that `make` gives (uint8 (n, size, size, 3) -> float32 (n, ...)) ready.

        `identity` names its weights, cut and scale of images; `make` is called only if no exported file is at hand. `images` is how many it
        will ever see, if that is known.
        """
        engine = engines.build(make, size, identity, ENGINES, device, images)
        shape = engine.run(np.zeros((1, size, size, 3), np.uint8)).shape[1:]
        return cls(identity, size, engine, tuple(shape), device)


@dataclass(frozen=True)
class Job:
    """An image, and the views of it that are wanted."""

    path: Path
    sha256: str
    views: tuple[View, ...]
    which: tuple[int, ...] = ()


def identity(card: Card, part: str) -> str:
    """The identity of a `part` of the network that a card describes."""
    named = (card.weights_sha256, card.library, card.architecture, list(card.transform.mean), list(card.transform.std), part)
    return ":".join(map(str, named))


def extract(
    frozen: Frozen,
    table: pd.DataFrame,
    root: Path,
    view: View,
    *,
    dtype: str = HALF,
    folder: Path | None = None,
    what: str,
    cache_gib: float = pictures.GIB,
) -> Rows:
    """Activations of every image of `table` in one view: `extract_views` for a single view."""
    return extract_views(frozen, table, root, [view], dtype=dtype, folder=folder, what=what, cache_gib=cache_gib)[0]


def extract_views(
    frozen: Frozen,
    table: pd.DataFrame,
    root: Path,
    views: list[View],
    *,
    dtype: str = HALF,
    folder: Path | None = None,
    what: str,
    cache_gib: float = pictures.GIB,
) -> list[Rows]:
    """Activations of every image of `table` (columns path, sha256) in each view, in the table's order.

    Computes what the stores lack, on the machines of base/executor.py; an image is decoded once for all its views. What a card
    cuts them from is kept too, as far as `cache_gib` allows (pictures.py). Raises DataError when a file has changed or gone since it was indexed.
    """
    views = [scaled(view, table) for view in views]
    stores = [store(frozen, view, dtype, folder or FOLDER) for view in views]
    wanted: dict[str, list[int]] = {}
    for number, kept in enumerate(stores):
        for key in kept.missing(table["sha256"]):
            wanted.setdefault(key, []).append(number)
    paths = dict(zip(table["sha256"], table["path"], strict=True))
    jobs = [Job(root / paths[key], key, tuple(views[i] for i in which), tuple(which)) for key, which in wanted.items()]
    if jobs:
        executor.start()
        with Progress(sum(len(job.views) for job in jobs), what, how=frozen.engine.name) as progress:
            if executor.spreads():
                _fill_by_shards(frozen, jobs, stores, progress, {key: number for number, key in enumerate(paths)})
            else:
                _fill(frozen, jobs, stores, progress, Cache.of(table, folder or FOLDER, cache_gib, stores))
    return [kept.rows(table["sha256"]) for kept in stores]


def _fill(frozen: Frozen, jobs: list[Job], stores: list[Store], progress: Progress, cache: Cache) -> None:
    """Compute the jobs on this machine; their rows go to the end of the stores."""
    waiting: list[tuple[list[str], list[np.ndarray]]] = [([], []) for _ in stores]
    for job, rows in zip(jobs, compute(frozen, jobs, cache), strict=True):
        for number, row in zip(job.which, rows, strict=True):
            waiting[number][0].append(job.sha256)
            waiting[number][1].append(row)
            if len(waiting[number][0]) == BLOCK:
                stores[number].append(waiting[number][0], np.stack(waiting[number][1]))
                waiting[number] = ([], [])
        progress.step(len(rows))
    for kept, (keys, late) in zip(stores, waiting, strict=True):
        if keys:
            kept.append(keys, np.stack(late))


@dataclass(frozen=True)
class _Shard:
    """Images that one worker computes, and the parts that it writes of them. It is data, so that it travels."""

    frozen: engines.Shipped
    jobs: list[Job]
    stores: list[tuple[Path, str, np.dtype]]  # folder, name and type of each that a job names


def _fill_by_shards(frozen: Frozen, jobs: list[Job], stores: list[Store], progress: Progress, order: Mapping[str, int]) -> None:
    """Have the jobs computed in shards on the machines of the executor; their rows become parts of the stores.

    Which images make a shard depends on their `order` in the table alone (by SHA-256), so a run that was killed goes on with the shards that
    are missing, and ends with the same files.
    """
    network = engines.shipped(frozen.engine, f"{frozen.identity}:{frozen.size}", ENGINES, frozen.device)
    places = [(kept.folder, kept.stem, kept.dtype) for kept in stores]
    for folder, stem, _ in places:
        parts.forget_unfinished(folder, stem)
    most = max(1, min(SHARD, SHARD_BYTES // max(kept.row_bytes for kept in stores)))
    together = groupby(sorted(jobs, key=lambda job: order[job.sha256]), key=lambda job: order[job.sha256] // most)
    shards = (_Shard(network, list(some), places) for _, some in together)
    gpus = int(frozen.device.kind != "cpu")
    for done in executor.in_order(_write_shard, shards, depends=("headstart.features.engines", "headstart.networks", *_DECIDE), gpus=gpus):
        progress.step(done)
    for kept in stores:
        kept.refresh()


def _write_shard(shard: _Shard) -> int:
    """What a worker does with a shard: compute it and write its parts, whole or not at all. Returns how many views it had."""
    frozen = Frozen("", 0, engines.received(shard.frozen), (), shard.frozen.device)
    # On a CPU one core does all of it, the others having shards of their own; a GPU has its images decoded by all cores.
    computed = map(single(frozen), shard.jobs) if frozen.engine.batch == 1 else compute(frozen, shard.jobs, Cache(FOLDER))
    with contextlib.ExitStack() as opened:
        files = {}
        for number, (folder, stem, _) in enumerate(shard.stores):
            if keys := [job.sha256 for job in shard.jobs if number in job.which]:
                files[number] = opened.enter_context(parts.writing(folder, stem, keys))
        for job, rows in zip(shard.jobs, computed, strict=True):
            for number, row in zip(job.which, rows, strict=True):
                files[number].write(parts.packed(row, shard.stores[number][2]))
    return sum(len(job.views) for job in shard.jobs)


def scaled(view: View, table: pd.DataFrame) -> View:
    """The view, with the data set's scale of more than 8 bits if the view has none of its own."""
    return view if view.grey else replace(view, grey=manifest.grey(table))


def store(frozen: Frozen, view: View, dtype: str, folder: Path) -> Store:
    """The store of what `frozen` gives for images in `view`."""
    versions = {name: version(name) for name in ("onnxruntime", "pillow", "torch")}
    named = {"network": frozen.identity, "engine": frozen.engine.name, "view": view.key(), "code": _code(), "versions": versions}
    return Store(folder, named, frozen.shape, dtype)


def compute(frozen: Frozen, jobs: list[Job], cache: Cache) -> Iterator[list[np.ndarray]]:
    """For each job, in order, the activation of each of its views."""
    if frozen.engine.batch == 1:
        return in_order(single(frozen), jobs)
    return ahead(_batches(frozen, jobs, cache))


def single(frozen: Frozen) -> Callable[[Job], list[np.ndarray]]:
    return lambda job: [frozen.engine.run(image[None])[0] for image in _read(job)]


def _batches(frozen: Frozen, jobs: list[Job], cache: Cache) -> Iterator[list[np.ndarray]]:
    """Cut the views from kept pictures where the network runs; the next pictures are decoded meanwhile."""
    assert frozen.engine.look is not None
    if frozen.engine.compile and sum(len(job.views) for job in jobs) >= COMPILED_FROM:
        frozen.engine.compile()
    wanted = [Wanted(job.path, job.sha256) for job in jobs]
    for batch in Cutting(jobs[0].views[0], len(jobs), cache).batches(wanted, [job.views for job in jobs], frozen.engine.batch):
        rows = iter(frozen.engine.look(batch.pixels, batch.looks))
        yield from ([next(rows) for _ in range(count)] for count in batch.counts)


def _read(job: Job) -> list[np.ndarray]:
    with indexed.content(job.path, job.sha256) as found:
        return transforms.read(found, job.views, job.sha256)


def _code() -> str:
    """A fingerprint of the code that decides what a row holds, so that a change of it makes new rows."""
    return f"{engines.code()}:{fingerprint(*_DECIDE)}"


def fit_views(count: int, row_bytes: int, train: int, validation: int, cache_gib: float) -> int:
    """How many views, up to `count`, of `train` images fit the disk budget.

    One view of `validation` images must fit beside them. 0 if not even one view does.
    """
    return max((n for n in range(1, count + 1) if row_bytes * (train * n + validation) <= cache_gib * 2**30), default=0)
