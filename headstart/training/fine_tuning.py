"""Fine-tune a source from its converged head: the frozen part once for each image and view, then the tail in phases."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from torch import nn

from headstart.base.devices import CPU, Device
from headstart.features import extraction, transforms
from headstart.features.store import prune
from headstart.features.transforms import View
from headstart.networks import heads, kept, model, sources
from headstart.networks.cards import SourceCard
from headstart.statistics import paired
from headstart.training import checkpoints, loop, measure, parallel
from headstart.training.checkpoints import Keeper
from headstart.training.examples import Activations, Examples, Recipe
from headstart.training.run import Row
from headstart.training.strategies import STRATEGIES, Phase

log = logging.getLogger(__name__)
USUAL_DEPTH = 3  # stages that are retrained where no probe of depths says how many


class AgainstHead(TypedDict):
    """Shares (0-1) of `n` validation images that are right, fine-tuned - head, and its standard error."""

    n: int
    head_accuracy: float
    fine_tuned_accuracy: float
    difference: float
    standard_error: float


@dataclass(frozen=True)
class Result:
    """The fine-tuned network, a row before training and one an epoch, and a summary of plain values.

    `right` (rows of the curve, validation images) says which images were classified rightly, `steps` how many steps of the optimizer were
    done at each row, and `best` the row whose weights the network has. `logits` (validation images, classes) are the network's.
    """

    network: model.Network
    curve: list[Row]
    summary: dict[str, Any]
    right: np.ndarray
    steps: list[int]
    best: int
    logits: np.ndarray


def run(
    table: pd.DataFrame,
    root: Path,
    card: SourceCard,
    head: heads.Head,
    classes: list[str],
    *,
    recipe: Recipe,
    device: Device = CPU,
    processes: int | str = "auto",
    begun: model.Network | None = None,
    **plan: Any,
) -> Result:
    """Fine-tune the source that `card` names, from a head trained on the train split alone, on the train split, watching the validation split.

    `begun` is the network of an earlier run with the same arguments, which goes on where that ended. `plan` is strategy, depth, epochs,
    rate, decay, views, cache_gib and augmentation, as in params.yaml.
    """
    arguments = {"table": table, "root": root, "card": card, "head": head, "classes": classes, "begun": begun}
    arguments |= {"recipe": recipe, "device": device, **plan}
    count = parallel.size(processes, device)
    job = _prepare(**arguments)
    keeper = checkpoints.keeper()
    with parallel.team(count, device, _member, arguments, keeper) as team:
        done = loop.fit(job.tail, job.phases, job.train, job.validation, recipe, device, team, keeper)
    job.network.divide_logits(done.temperature)
    logits = held_out(job, device)
    names, rates = job.network.stage_names(), {name for phase in done.phases for name in phase["rates"]}
    summary = {
        "strategy": plan["strategy"],
        "phases": done.phases,
        "frozen": [name for name in names if name not in rates],
        "trained": [*(name for name in names if name in rates), "head"],
        "views": len(job.train.views),
        "cache_bytes": 0 if job.streamed else cache_bytes(job.frozen.shape, sum(len(v) for v in [*job.train.views, *job.validation.views])),
        "streamed": job.streamed,
        "engine": job.frozen.engine.name,
        "device": device.name,
        "processes": count,
        "shard": done.shard,
        "image_passes": done.image_passes,
        "temperature": done.temperature,
        "validation": against_head(done.right[0], done.right[done.best]),
    }
    return Result(job.network, done.curve, summary, done.right, done.steps, done.best, logits)


def settings(block: Mapping[str, Any], table: pd.DataFrame, classes: list[str], seed: int) -> dict[str, Any]:
    """The keyword arguments of `run` for a fine_tune block of params.yaml: the recipe, and the plan."""
    plan = dict(block)
    labels = table.loc[table["split"] == "train", "label"]
    recipe = Recipe(
        plan.pop("batch_size"),
        plan.pop("patience"),
        plan.pop("weight_decay"),
        plan.pop("label_smoothing"),
        class_weights(labels, classes, plan.pop("class_weights") == "balanced"),
        seed,
        plan.pop("regulariser"),
        plan.pop("regulariser_strength"),
    )
    return {"recipe": recipe, **plan}


@dataclass(frozen=True)
class _Job:
    """What training starts from; every process of a team makes the same one."""

    network: model.Network
    frozen: extraction.Frozen
    tail: nn.Sequential
    phases: list[Phase]
    train: Examples
    validation: Examples
    streamed: bool


def _prepare(
    table: pd.DataFrame,
    root: Path,
    card: SourceCard,
    head: heads.Head,
    classes: list[str],
    *,
    begun: model.Network | None = None,
    strategy: str,
    depth: int | str,
    epochs: int,
    rate: float,
    decay: float,
    views: int | str,
    cache_gib: float,
    augmentation: dict[str, Any],
    recipe: Recipe,
    device: Device,
) -> _Job:
    """Cut the network above what stays frozen, and compute the activations there, as far as the disk may hold them."""
    source = sources.known(card)
    kept.keep(source.trunk.state_dict(), card.weights_sha256)
    network = begun or model.of(source, head)
    phases = STRATEGIES[strategy](network.stage_names(), depth=choose_depth(depth, card), epochs=epochs, rate=rate, decay=decay)
    below, count = network.below({name for phase in phases for name in phase.rates})
    frozen = extraction.Frozen.of(lambda: below, extraction.identity(card, f"below {count}"), card.transform.input_size, device)
    parts = {split: table[table["split"] == split].reset_index(drop=True) for split in ("train", "validation")}
    labels = {split: np.searchsorted(classes, part["label"].to_numpy()) for split, part in parts.items()}
    sizes = (len(parts["train"]), len(parts["validation"]))
    wanted = choose_views(views, sizes[0])
    fitting = fit_views(wanted, frozen.shape, *sizes, cache_gib)
    plain = View.of(card.transform)
    drawn = transforms.views(plain, recipe.seed, augmentation, fitting or wanted)
    train: Sequence[Activations]
    validation: Activations
    if fitting:
        stores = [extraction.store(frozen, view, extraction.HALF, extraction.FOLDER) for view in [*drawn, plain]]
        prune(extraction.FOLDER, stores, cache_bytes(frozen.shape, sizes[0] * fitting + sizes[1]), int(cache_gib * 2**30))
        what = f"frozen layers, {fitting} views of the training images"
        train = extraction.extract_views(frozen, parts["train"], root, drawn, what=what)
        validation = extraction.extract(frozen, parts["validation"], root, plain, what="frozen layers, validation images")
    else:
        train = [extraction.Streamed(frozen, parts["train"], root, view) for view in drawn]
        validation = extraction.Streamed(frozen, parts["validation"], root, plain)
    how = extraction.HALF if fitting else "streamed"
    examples = (
        Examples(train, labels["train"], checkpoints.images(frozen, parts["train"], drawn, how)),
        Examples([validation], labels["validation"], checkpoints.images(frozen, parts["validation"], [plain], how)),
    )
    return _Job(network, frozen, network.tail(count), phases, *examples, streamed=not fitting)


def _member(team: parallel.Team, arguments: dict[str, Any], keeper: Keeper | None) -> None:
    """What the other processes of a team do."""
    job = _prepare(**arguments)
    loop.fit(job.tail, job.phases, job.train, job.validation, arguments["recipe"], arguments["device"], team, keeper)


def held_out(job: _Job, device: Device = CPU) -> np.ndarray:
    """Logits (n, classes) of the validation images."""
    with measure.placed(job.tail, device):
        return measure.logits(job.tail, job.validation.views[0], device)


def against_head(before: np.ndarray, after: np.ndarray) -> AgainstHead:
    """The fine-tuned model beside the head that it began with, from their right answers (n,) on the validation images."""
    difference, error = paired.difference(after, before)
    return {
        "n": len(after),
        "head_accuracy": float(before.mean()),
        "fine_tuned_accuracy": float(after.mean()),
        "difference": difference,
        "standard_error": error,
    }


def cache_bytes(shape: tuple[int, ...], rows: int) -> int:
    """Bytes of `rows` cached activations of this shape."""
    return rows * int(np.prod(shape)) * np.dtype(extraction.HALF).itemsize


def choose_depth(wanted: int | str, card: SourceCard) -> int:
    """How many stages are retrained: a number as given; auto: what the probe of depths found for the source (choice/depth.py), USUAL_DEPTH without that probe."""
    return (USUAL_DEPTH if card.depth is None else card.depth) if wanted == "auto" else int(wanted)


def choose_views(wanted: int | str, images: int) -> int:
    """How many views of each training image: a number as given; auto: 3, and 2 where more than 6,000 images bring variety of their own."""
    return (3 if images <= 6_000 else 2) if wanted == "auto" else int(wanted)


def fit_views(views: int, shape: tuple[int, ...], train: int, validation: int, cache_gib: float) -> int:
    """As many views, up to `views`, as fit the disk budget; 0 if not even one does, and then activations are computed as they are needed."""
    fitting = extraction.fit_views(views, cache_bytes(shape, 1), train, validation, cache_gib)
    if fitting < views:
        each = cache_bytes(shape, train) / 2**30
        makes = (
            f"{fitting} views are made"
            if fitting
            else "nothing is cached, and the frozen layers run again in every epoch, which takes longer"
        )
        log.warning("fine_tune.cache_gib: %d views of %.3g GiB each do not fit %g GiB: %s", views, each, cache_gib, makes)
    return fitting


def class_weights(labels: pd.Series, classes: list[str], balanced: bool) -> np.ndarray:
    """Loss weights (classes,): ones, or such that every class weighs the same."""
    if not balanced:
        return np.ones(len(classes))
    counts = labels.value_counts().reindex(classes).to_numpy()
    return len(labels) / (len(classes) * counts)
