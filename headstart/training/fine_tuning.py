"""Fine-tune from a converged head: the frozen part once per image and view, then the tail in phases."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from headstart.base.devices import CPU, Device
from headstart.features import extraction, pictures, transforms
from headstart.features.transforms import View
from headstart.networks import averaging, heads, kept, model, sources
from headstart.networks.cards import SourceCard
from headstart.params import Augmentation, FineTune
from headstart.training import budget, cached, checkpoints, loop, measure, outcome, parallel
from headstart.training.cached import Photos, Wanted
from headstart.training.checkpoints import Keeper
from headstart.training.examples import Examples, Recipe
from headstart.training.outcome import Result, Summary, against_head
from headstart.training.run import Trained
from headstart.training.strategies import STRATEGIES, Phase

log = logging.getLogger(__name__)
FRESH = "fresh"  # a view of each image in each epoch that no other epoch has
FEWEST_STEPS = 32  # of an epoch, that a larger batch for a card must leave


@dataclass(frozen=True)
class Plan:
    """What is trained when, on which views of the images, and how.

    The fields are those of fine_tune in params.yaml.
    """

    strategy: str  # one of STRATEGIES
    depth: int | str  # stages of the base, from the head, or auto
    epochs: int  # at most, per phase
    rate: float  # the highest of the head
    decay: float  # factor on the rate per stage deeper
    views: int | str  # of each training image, auto or fresh
    cache_gib: float
    augmentation: Augmentation
    recipe: Recipe
    processes: int | str = "auto"
    gpu_batch_size: int = 128  # images a step on a GPU, at most
    statistics: str = "source"  # as in strategies.Phase
    until: tuple[int, ...] = ()  # how long each phase lasts, if that is known; phases beyond these are left out


@dataclass(frozen=True)
class _Start:
    """What a fine-tuning is given; every process of a team is given the same."""

    photos: Photos
    card: SourceCard
    head: heads.Head
    plan: Plan
    device: Device
    begun: model.Network | None


@dataclass(frozen=True)
class _Job:
    """What training starts from; every process of a team makes the same one."""

    network: model.Network
    frozen: extraction.Frozen
    below: int  # stages below the tail
    tail: nn.Sequential
    phases: list[Phase]
    train: Examples
    validation: Examples
    streamed: bool


def plan_of(block: FineTune, table: pd.DataFrame, classes: list[str], seed: int) -> Plan:
    """The plan of a fine_tune block of params.yaml for the training images of a table."""
    labels = table.loc[table["split"] == "train", "label"]
    recipe = Recipe(
        batch_size=block.batch_size,
        patience=block.patience,
        weight_decay=block.weight_decay,
        label_smoothing=block.label_smoothing,
        class_weights=class_weights(labels, classes, block.class_weights == "balanced"),
        seed=seed,
        regulariser=block.regulariser,
        strength=block.regulariser_strength,
        keep=block.keep,
    )
    return Plan(
        strategy=block.strategy,
        depth=block.depth,
        epochs=block.epochs,
        rate=block.rate,
        decay=block.decay,
        views=block.views,
        cache_gib=block.cache_gib,
        augmentation=block.augmentation.settled(),
        recipe=recipe,
        processes=block.processes,
        gpu_batch_size=block.gpu_batch_size,
        statistics=block.statistics,
    )


def run(
    table: pd.DataFrame,
    root: Path,
    card: SourceCard,
    head: heads.Head,
    classes: list[str],
    plan: Plan,
    *,
    device: Device = CPU,
    begun: model.Network | None = None,
) -> Result:
    """Fine-tune the source that `card` names, from a head trained on the train split alone.

    It trains on the train split and watches the validation split. A strategy without a phase trains nothing.

    `begun` is the network of an earlier run with the same arguments, which goes on from where that ended. Ships the result only if it
    beats the
    head it started from on validation by one paired standard error. Raises DataError when a file has changed since it was indexed,
    ParamsError for more processes than there are GPUs, and HeadstartError if the source's weights have changed or a process stops.
    """
    if not STRATEGIES[plan.strategy](["a stage"], depth=1, epochs=1, rate=1.0, decay=1.0):
        return outcome.untouched(table, root, card, head, classes, plan.strategy, device)
    photos = Photos.of(table, root, classes)
    plan = plan if device.kind == "cpu" else on_card(plan, len(photos.train))
    begin = _Start(photos, card, head, plan, device, begun)
    count = parallel.size(plan.processes, device)
    job = _prepare(begin)
    keeper = checkpoints.keeper()
    with parallel.team(count, device, _member, begin, keeper) as team:
        done = loop.fit(job.tail, job.phases, job.train, job.validation, plan.recipe, device, team, keeper)
    job.network.divide_logits(done.temperature)
    summary = _summary(job, done, plan, device, count)
    return Result(
        job.network, done.curve, summary, done.right, done.steps, done.best, held_out(job, device), partial(_averages, begin, job)
    )


def on_card(plan: Plan, images: int) -> Plan:
    """The plan for a card, which is hardly slower with a larger batch, for so many training images.

    The batch is doubled up to `gpu_batch_size` as long as an epoch keeps FEWEST_STEPS steps. The rate grows by the root of the factor, as
    suits Adam (Malladi et al., NeurIPS 2022).
    """
    factor = 1
    while 2 * factor * plan.recipe.batch_size <= min(plan.gpu_batch_size, images // FEWEST_STEPS):
        factor *= 2
    recipe = replace(plan.recipe, batch_size=factor * plan.recipe.batch_size)
    return replace(plan, rate=plan.rate * factor**0.5, recipe=recipe)


def draws_anew(plan: Plan, frozen: extraction.Frozen, plain: View) -> bool:
    """Whether each epoch sees views of its own, the frozen layers running as training goes.

    If it is asked for; and on a card if an activation has more bytes than the picture that it is computed from: then the disk is slower
    than the card, and views that no other epoch has are the better training.
    """
    large = cache_bytes(frozen.shape, 1) > pictures.row_bytes(pictures.side(plain))
    return plan.views == FRESH or (frozen.engine.there is not None and large)


def _prepare(begin: _Start) -> _Job:
    """Cut the network above what stays frozen, and compute the activations there.

    They are kept as far as the disk may hold them.
    """
    card, plan, photos = begin.card, begin.plan, begin.photos
    source = sources.known(card)
    kept.keep(source.trunk.state_dict(), card.weights_sha256)
    network = begin.begun or model.of(source, begin.head)
    depth = budget.depth(plan.depth, card.depth)
    named = STRATEGIES[plan.strategy](network.stage_names(), depth=depth, epochs=plan.epochs, rate=plan.rate, decay=plan.decay)
    ends = plan.until or (None,) * len(named)
    phases = [replace(phase, statistics=plan.statistics, until=end) for phase, end in zip(named, ends, strict=False)]
    below, count = network.below({name for phase in phases for name in phase.rates})
    part = extraction.identity(card, f"below {count}")
    frozen = extraction.Frozen.of(lambda: below, part, card.transform.input_size, begin.device)
    plain = View.of(card.transform)
    fresh = draws_anew(plan, frozen, plain)
    count_views = plan.epochs if fresh else budget.views(plan.views, len(photos.train))
    fitting = 0 if fresh else fit_views(count_views, frozen.shape, len(photos.train), len(photos.validation), plan.cache_gib)
    drawn = transforms.views(plain, plan.recipe.seed, plan.augmentation, count_views)
    wanted = Wanted(frozen, drawn, plain, extraction.HALF, "frozen layers")
    train, validation = cached.examples(photos, wanted, fitting, plan.cache_gib)
    return _Job(network, frozen, count, network.tail(count), phases, train, validation, streamed=not fitting)


def _member(team: parallel.Team, begin: _Start, keeper: Keeper | None) -> None:
    """What the other processes of a team do."""
    job = _prepare(begin)
    loop.fit(job.tail, job.phases, job.train, job.validation, begin.plan.recipe, begin.device, team, keeper)


def _summary(job: _Job, done: Trained, plan: Plan, device: Device, processes: int) -> Summary:
    names, rates = job.network.stage_names(), {name for phase in done.phases for name in phase["rates"]}
    rows = sum(len(view) for view in [*job.train.views, *job.validation.views])
    return {
        "strategy": plan.strategy,
        "phases": done.phases,
        "frozen": [name for name in names if name not in rates],
        "trained": [*(name for name in names if name in rates), "head"],
        "views": len(job.train.views),
        "cache_bytes": 0 if job.streamed else cache_bytes(job.frozen.shape, rows),
        "streamed": job.streamed,
        "engine": job.frozen.engine.name,
        "device": device.name,
        "processes": processes,
        "batch_size": plan.recipe.batch_size,
        "shard": done.shard,
        "image_passes": done.image_passes,
        "temperature": done.temperature,
        "validation": against_head(done.right[0], done.right[done.best]),
    }


def held_out(job: _Job, device: Device = CPU) -> np.ndarray:
    """Logits (n, classes) of the validation images."""
    with measure.placed(job.tail, device):
        return measure.logits(job.tail, job.validation.views[0], device)


def _averages(begin: _Start, job: _Job, shares: Iterable[float]) -> dict[float, np.ndarray]:
    """Logits (n, classes) of the validation images: of each average of the frozen head and the network, by the share (0-1) of the network."""
    other, found = model.of(sources.known(begin.card), begin.head).tail(job.below), {}
    before, after = ({key: value.clone().numpy() for key, value in tail.state_dict().items()} for tail in (other, job.tail))
    for share in shares:
        other.load_state_dict({key: torch.from_numpy(value) for key, value in averaging.averaged(before, after, share).items()})
        found[share] = held_out(replace(job, tail=other), begin.device)
    return found


def cache_bytes(shape: tuple[int, ...], rows: int) -> int:
    """Bytes of `rows` cached activations of this shape."""
    return rows * int(np.prod(shape)) * np.dtype(extraction.HALF).itemsize


def fit_views(views: int, shape: tuple[int, ...], train: int, validation: int, cache_gib: float) -> int:
    """How many views, up to `views`, fit the disk budget.

    0 if not even one does; activations are then computed as they are needed.
    """
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
