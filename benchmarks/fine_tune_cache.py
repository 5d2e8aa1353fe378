"""Fine-tuning on cached activations against the same phases with nothing cached, and the tail's training loop against its own arithmetic.

    python benchmarks/fine_tune_cache.py FOLDER [--source wheel:efficientnet_lite0] [--epochs 10] [--seeds 1] [--kept]

All sides train the same stages from the same head with the same recipe for the same number of epochs (no early stop), in one session, in the precision
that `precision: auto` takes here:

- cached: the product; the frozen layers run once for each image and view, from nothing;
- uncached: every epoch decodes each image anew and runs the whole network in PyTorch, the frozen layers without gradients and in float32, in
  the same shards on all cores; each epoch has a view of its own;
- streamed: as uncached, but with the product's engine for the frozen layers (what happens where `fine_tune.cache_gib` allows no view).

`cache_ratio` = uncached / cached seconds; `cache_ratio_same_engine` = streamed / cached. `tail_efficiency`: forward and backward of an epoch's
shards on data already in memory, as a share of the time of an epoch of the loop. Accuracies are on the test split, one fit each.
All sides run in a process as PyTorch comes; with --kept the C library keeps freed memory for all of them, as it does in Headstart's stages
(headstart/machinery/malloc.py). Ends with a line of JSON.
"""

from __future__ import annotations

import sys

from headstart.machinery.malloc import keep_freed

if "--kept" in sys.argv:
    keep_freed()  # before NumPy is imported

import argparse
import contextlib
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import _pop_mode_temporarily
from workspace import report

from headstart.base import devices
from headstart.base.cores import in_order, one_thread
from headstart.features import extraction, transforms
from headstart.features.engines import Engine
from headstart.features.streamed import Streamed
from headstart.features.transforms import View
from headstart.indexing import indexer
from headstart.linear import frozen_head
from headstart.machinery.progress import Progress
from headstart.networks import cut, model, sources
from headstart.networks.cards import SourceCard
from headstart.params import Params, kwargs
from headstart.training import fine_tuning, freezing, loop, scratch, shards
from headstart.training.cached import Photos
from headstart.training.examples import Examples, Recipe
from headstart.training.parallel import ALONE
from headstart.training.run import Run
from headstart.training.strategies import Phase

REPEATS = 9
DEVICE = devices.choose("cpu")


class Measured(nn.Module):
    """A frozen stage in float32, as it is where the network is measured: in training's bfloat16 it would give the tail other activations there."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        self.stage = stage

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with _pop_mode_temporarily() if DEVICE == devices.CPU_BFLOAT16 and torch.is_grad_enabled() else contextlib.nullcontext():
            return self.stage(images)


def uncached(job: Any, table: Any, root: Path, card: SourceCard, drawn: list[View], recipe: Recipe) -> None:
    """Train the whole network in PyTorch from the images, the frozen stages without gradients."""
    pixels = replace(job.frozen, engine=Engine("none", 1, lambda images: images), shape=(card.transform.input_size,) * 2 + (3,))
    train, validation = (table[table["split"] == split].reset_index(drop=True) for split in ("train", "validation"))
    examples = Examples([Streamed(pixels, train, root, view) for view in drawn], job.train.labels)
    held = Examples([Streamed(pixels, validation, root, View.of(card.transform))], job.validation.labels)
    whole = scratch.whole(job.network)
    trained = {name for phase in job.phases for name in phase.rates}
    for key, stage in list(whole.named_children()):
        if cut.name(key) not in trained:
            setattr(whole, key, Measured(stage))
    done = loop.fit(whole, job.phases, examples, held, recipe, DEVICE)
    job.network.divide_logits(done.temperature)


def accuracy(network: model.Network, table: Any, root: Path, card: SourceCard) -> tuple[float, int]:
    test = table[table["split"] == "test"].reset_index(drop=True)
    classes = np.unique(table["label"])
    frozen = extraction.Frozen.of(lambda: network, f"benchmark:{time.monotonic_ns()}", card.transform.input_size)
    rows = extraction.extract(frozen, test, root, View.of(card.transform), what="test images")[:]
    return float((classes[rows.argmax(1)] == test["label"].to_numpy()).mean()), len(test)


def efficiency(job: Any, recipe: Recipe) -> tuple[float, float]:
    """Time of an epoch's forward and backward passes on data in memory / time of the epoch, by turns, the median of REPEATS each.

    The first figure has the passes batch by batch, as training must; in the second no core waits for the other at the end of a batch.
    """
    loaded = Examples([rows[:] for rows in job.train.views], job.train.labels)
    cpu = torch.device("cpu")
    run = Run(job.tail, loaded, job.validation, recipe, DEVICE, cpu, ALONE, None, "", torch.ones(len(recipe.class_weights)), [])
    state = loop.start(run)
    still = Phase("still", 1, dict.fromkeys(job.phases[0].rates, 0.0))
    unfrozen = freezing.unfreeze(run, still, 0)
    order, batches = np.arange(len(loaded.labels)), shards.parts(len(loaded.labels), recipe.batch_size)
    by_batch = [[order[batch][part] for part in shards.parts(batch.stop - batch.start, shards.SHARD)] for batch in batches]
    parts = [part for batch in by_batch for part in batch]
    images = [shards.tensor(loaded.views[0][part], cpu) for part in parts]

    def arithmetic(number: int) -> None:
        one_thread()
        with shards.arithmetic(DEVICE, cpu):
            outputs = job.tail(images[number])
        torch.autograd.grad(functional.cross_entropy(outputs, torch.from_numpy(loaded.labels[parts[number]])), unfrozen.updates.weights)

    def together() -> None:
        list(in_order(arithmetic, range(len(images))))

    def apart() -> None:
        numbers = iter(range(len(images)))
        for batch in by_batch:
            list(in_order(arithmetic, [next(numbers) for _ in batch]))

    def timed(work: Any) -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    with Progress(10**9, "epochs", quiet=True) as progress:
        sides = (apart, together, lambda: loop.epoch(run, state, unfrozen, progress))
        seconds = np.median([[timed(side) for side in sides] for _ in range(REPEATS + 1)][1:], axis=0)
    job.tail.requires_grad_(False)
    return float(seconds[0] / seconds[2]), float(seconds[1] / seconds[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", default="wheel:efficientnet_lite0")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--test-share", type=float, default=0.3)
    parser.add_argument("--kept", action="store_true", help="have the C library keep freed memory, as in stages")
    options = parser.parse_args()
    root = options.folder.resolve()
    rows = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            table = indexer.index(root, **{**kwargs(Params(), "index_images"), "test_share": options.test_share}, seed=seed)
            table = table[table["readable"]].reset_index(drop=True)
            card = sources.load(options.source).card()
            classes = sorted(set(table["label"]))
            head = Params().train_head
            fitted, _ = frozen_head.train(table, root, card, penalties=head.penalties, folds=head.folds, balanced=False, seed=seed)
            block = Params().fine_tune.model_copy(update={"epochs": options.epochs, "patience": options.epochs, "depth": 3})
            plan = replace(fine_tuning.plan_of(block, table, classes, seed), processes=1)
            streamed = replace(plan, cache_gib=1e-9, views=options.epochs)
            arguments = (table, root, card, fitted["train_only"], classes)
            row: dict[str, Any] = {"seed": seed}

            started = time.perf_counter()
            done = fine_tuning.run(*arguments, plan, device=DEVICE)
            row["cached_seconds"] = time.perf_counter() - started
            row["cached_accuracy"], row["n_test"] = accuracy(done.network, table, root, card)

            photos = Photos.of(table, root, classes)
            job = fine_tuning._prepare(fine_tuning._Start(photos, card, fitted["train_only"], plan, DEVICE, None))
            row["tail_efficiency"], row["tail_efficiency_no_waiting"] = efficiency(job, plan.recipe)

            started = time.perf_counter()
            done = fine_tuning.run(*arguments, streamed, device=DEVICE)
            row["streamed_seconds"] = time.perf_counter() - started
            row["streamed_accuracy"], _ = accuracy(done.network, table, root, card)

            job = fine_tuning._prepare(fine_tuning._Start(photos, card, fitted["train_only"], streamed, DEVICE, None))
            drawn = transforms.views(View.of(card.transform), seed, plan.augmentation, options.epochs)
            started = time.perf_counter()
            uncached(job, table, root, card, drawn, plan.recipe)
            row["uncached_seconds"] = time.perf_counter() - started
            row["uncached_accuracy"], _ = accuracy(job.network, table, root, card)
            rows.append({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()})
            print(rows[-1], flush=True)
            os.chdir("/")
    total = {side: sum(row[f"{side}_seconds"] for row in rows) for side in ("cached", "uncached", "streamed")}
    mean = {side: float(np.mean([row[f"{side}_accuracy"] for row in rows])) for side in ("cached", "uncached", "streamed")}
    report(
        {
            "cache_ratio": round(total["uncached"] / total["cached"], 2),
            "cache_ratio_same_engine": round(total["streamed"] / total["cached"], 2),
            **{key: round(float(np.mean([row[key] for row in rows])), 3) for key in ("tail_efficiency", "tail_efficiency_no_waiting")},
            "accuracy": {side: round(value, 4) for side, value in mean.items()},
            "standard_error": round(float(np.sqrt(mean["uncached"] * (1 - mean["uncached"]) / rows[0]["n_test"])), 4),
            "epochs": options.epochs,
            "kept": options.kept,
            "device": DEVICE.name,
            "runs": rows,
        }
    )


if __name__ == "__main__":
    main()
