"""The one training loop: phases of AdamW, early stopping on validation, the best weights restored.

It trains the tail of a network on activations that the frozen part computed once. The tail stays in eval mode throughout, so that
BatchNorm keeps the statistics of the source: what is frozen is wholly frozen, and training computes what evaluation computes. Only a
phase that asks for the statistics of the batch (from random weights) gathers new ones (batch_norm.py). A batch is worked on in even
shards, one core each (shards.py), and their gradients are added in order (batches.py). When the memory of a GPU runs out, shards are
halved; several GPUs are a team of processes (parallel.py), each with its part of every batch. A training that was killed goes on from its
checkpoint, if somebody keeps one (checkpoints.py, resume.py), and ends with the same bytes. Nothing in a step waits for a card, so that its
steps can be captured (graphs.py); losses are read once an epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
import torch
from torch import nn

from headstart.base.cores import one_thread
from headstart.base.devices import CPU, Device
from headstart.machinery.progress import Progress
from headstart.training import batches, resume, shards
from headstart.training.checkpoints import Keeper
from headstart.training.examples import Examples, Recipe
from headstart.training.freezing import Unfrozen, unfreeze
from headstart.training.measure import measure, placed
from headstart.training.parallel import ALONE, Team
from headstart.training.run import Run, State, Trained
from headstart.training.strategies import Phase
from headstart.training.updates import WARM_UP


def fit(
    tail: nn.Sequential,
    phases: list[Phase],
    train: Examples,
    validation: Examples,
    recipe: Recipe,
    device: Device = CPU,
    team: Team = ALONE,
    keeper: Keeper | None = None,
) -> Trained:
    """Train `tail` (named stages and `head`) in place through the phases.

    A phase that brings nothing ends the training. Deterministic on one kind of processor: batches, views and order come from the recipe's
    seed. Every process of a team ends with the same weights. With a `keeper` it goes on from the checkpoint of the same training, if one
    was left, and ends as that would have. Raises HeadstartError if the memory of a GPU does not hold one image.
    """
    one_thread()
    key = resume.key(tail, phases, train, validation, recipe, device, team) if keeper else ""
    with placed(tail, device, team) as place:
        weights = torch.from_numpy(recipe.class_weights.astype(np.float32)).to(place)
        source = [] if recipe.regulariser == "none" else list(zip(tail.parameters(), _copies(tail.parameters()), strict=True))
        run = Run(tail, train, validation, recipe, device, place, team, keeper, key, weights, source)
        return _through(run, start(run), phases)


def start(run: Run) -> State:
    """Where a run begins."""
    shard = shards.SHARD if run.place.type == "cpu" else -(-run.recipe.batch_size // run.team.size)
    return State(np.random.default_rng(run.recipe.seed), shard, 2.0**16 if run.device.precision == "float16" else 1.0)


def _through(run: Run, state: State, phases: list[Phase]) -> Trained:
    """Train through the phases."""
    saved = resume.restore(run, state, phases)
    if not state.curve:
        now = measure(run.tail, run.validation, run.device, run.team)
        state.temperature = now.temperature
        state.note("start", None, None, None, now)
    run.tail.requires_grad_(False)
    n = len(run.train.labels)
    if left := state.left(phases):
        images = (sum(phase.most for phase in left) - state.epoch) * n
        with Progress(images, "training, images", how=f"torch {run.device.name}", quiet=run.team.rank > 0) as progress:
            while left := state.left(phases):
                _phase(run, state, left[0], phases, progress, saved)
                saved = {}
            progress.total = progress.done
        resume.save(run, state, phases)
    passes = sum(done["epochs"] for done in state.summaries) * n
    return Trained(state.curve, state.summaries, passes, state.temperature, state.shard, np.stack(state.right), state.steps, state.best)


def _phase(run: Run, state: State, phase: Phase, phases: list[Phase], progress: Progress, saved: Mapping[str, np.ndarray]) -> None:
    """One of the phases, or what is left of it after the checkpoint that holds the arrays `saved`."""
    unfrozen = unfreeze(run, phase, state.epoch, state.scale)
    best = resume.go_on(unfrozen, saved) if saved else _best(unfrozen)
    while not _over(run, state, phase):
        train_loss, train_accuracy = epoch(run, state, unfrozen, progress)
        state.epoch += 1
        now = measure(run.tail, run.validation, run.device, run.team)
        state.note(phase.name, unfrozen.updates.rate, train_loss, train_accuracy, now)
        first = run.recipe.keep == "trained" and not state.best
        if run.recipe.keep == "last" or first or now.loss < state.curve[state.best]["validation_loss"]:
            best = _best(unfrozen)
            state.best_epoch, state.best, state.temperature = state.epoch, len(state.curve) - 1, now.temperature
        resume.save(run, state, phases, unfrozen, best)
    progress.total -= (phase.most - state.epoch) * len(run.train.labels)
    for name, weight in unfrozen.changed.items():
        weight.data.copy_(best[name])
    run.tail.requires_grad_(False)
    state.close(phase)


def _over(run: Run, state: State, phase: Phase) -> bool:
    """Whether a phase has had its epochs, or those since the best one have used up the patience."""
    if phase.until is not None or state.epoch == phase.epochs:
        return state.epoch >= phase.most
    return state.epoch > state.best_epoch and state.epoch - max(state.best_epoch, WARM_UP * phase.epochs) >= run.recipe.patience


def epoch(run: Run, state: State, unfrozen: Unfrozen, progress: Progress) -> tuple[float, float]:
    """The next pass over the images. Returns training loss and accuracy."""
    order = state.random.permutation(len(run.train.labels))
    total, hits = (torch.zeros((), dtype=torch.float64, device=run.place) for _ in range(2))
    step = partial(_step, run, state, unfrozen)
    for batch in batches.read(run, order, state.epoch + 1):
        unfrozen.updates.prepare()
        loss, right = unfrozen.graphs.run(step, [batch.rows, batch.labels]).double()
        unfrozen.updates.advance()
        state.taken += 1
        total, hits = total + loss * len(batch.labels), hits + right
        progress.step(len(batch.labels))
    if unfrozen.scale:
        state.taken -= int(unfrozen.scale.left_out)
        state.scale = float(unfrozen.scale.factor)
        unfrozen.scale.left_out.zero_()
    return float(total) / len(order), float(hits) / len(order)


def _step(run: Run, state: State, unfrozen: Unfrozen, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Move the weights by the gradients of a batch. Returns its loss and its right answers (2,), without waiting for the device."""
    mine = batches.gradients(run, state, unfrozen, rows, labels)
    sums = torch.stack([mine.loss, mine.right])
    run.team.add([*mine.gradients, *mine.statistics, sums])
    if unfrozen.scale:
        for gradient in mine.gradients:
            gradient.div_(unfrozen.scale.factor)
    norm = nn.utils.get_total_norm(mine.gradients)
    overflow = unfrozen.scale.note(norm) if unfrozen.scale else None
    unfrozen.updates.step(mine.gradients, norm, overflow)
    unfrozen.gathering.keep(mine.statistics, overflow)
    return sums


def _best(unfrozen: Unfrozen) -> dict[str, torch.Tensor]:
    """A copy of what the phase changes as it is now, by name."""
    return dict(zip(unfrozen.changed, _copies(unfrozen.changed.values()), strict=True))


def _copies(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    return [tensor.detach().clone() for tensor in tensors]
