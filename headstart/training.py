"""The one training loop: phases of AdamW with a rate that rises and falls once, early stopping on validation, the best weights restored.

It trains the tail of a network on activations that the frozen part computed once. The tail stays in eval mode throughout, so that
BatchNorm keeps the statistics of the source: what is frozen is wholly frozen, and training computes what evaluation computes.
A batch is worked on in shards of a fixed size, a core each, and their gradients are added in order: on two cores that is several times
as fast as one graph on two threads, and the result does not depend on the number of cores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import nn
from torch.nn import functional

from headstart import stages
from headstart.cores import in_order, one_thread
from headstart.progress import Progress
from headstart.store import Rows
from headstart.strategies import Phase

WARM_UP = 0.25  # share of a phase in which the rate rises; it starts again with each phase, and patience counts from its end
MAX_TEMPERATURE = 4.0
LARGEST_GRADIENT = 1.0  # norm: without the statistics of the batch, one bad step can throw a network far off
SHARD = 16  # images that one core works on at a time


@dataclass(frozen=True)
class Examples:
    """Activations of images in one or more views, each (n, ...), and their labels (n,)."""

    views: list[Rows]
    labels: np.ndarray


@dataclass(frozen=True)
class Recipe:
    """How to train, whatever is trained."""

    batch_size: int
    patience: int
    weight_decay: float
    label_smoothing: float
    class_weights: np.ndarray  # (classes,)
    seed: int


@dataclass(frozen=True)
class Measure:
    """Mean cross-entropy (nats) at the best temperature, accuracy (0-1), and that temperature.

    The temperature (Guo et al., ICML 2017) takes out how confident a network is overall, which label smoothing lowers and overfitting
    raises, so that the loss of networks trained in different ways tells how well they order the classes.
    """

    loss: float
    accuracy: float
    temperature: float


@dataclass(frozen=True)
class Trained:
    """What a run of all phases left: a row an epoch, a summary a phase, and how many images went through the tail."""

    curve: list[dict[str, Any]]
    phases: list[dict[str, Any]]
    image_passes: int
    temperature: float  # of the final network on validation


def fit(tail: nn.Sequential, phases: list[Phase], train: Examples, validation: Examples, recipe: Recipe) -> Trained:
    """Train `tail` (named stages and `head`) in place through all phases.

    Deterministic for one number of threads: batches, views and order come from the recipe's seed.
    """
    one_thread()
    random = np.random.default_rng(recipe.seed)
    best = measure(tail, validation)
    curve: list[dict[str, Any]] = [_row("start", 0, None, None, None, best)]
    summaries, passes = [], 0
    tail.requires_grad_(False)
    total = sum(phase.epochs for phase in phases) * len(train.labels)
    with Progress(total, "fine-tuning, images") as progress:
        for phase in phases:
            best, done = _phase(tail, phase, best, train, validation, recipe, random, curve, progress)
            summaries.append(done)
            passes += done["epochs"] * len(train.labels)
    return Trained(curve, summaries, passes, best.temperature)


def measure(tail: nn.Module, examples: Examples) -> Measure:
    """Loss, accuracy and temperature on the first view."""
    scores = logits(tail, examples.views[0]).astype(np.float64)
    rows = np.arange(len(scores))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(scores / np.exp(log_temperature), axis=1)[rows, examples.labels].mean())

    found = minimize_scalar(loss, bounds=(-np.log(MAX_TEMPERATURE), np.log(MAX_TEMPERATURE)), method="bounded", options={"xatol": 1e-3})
    return Measure(float(found.fun), float((scores.argmax(1) == examples.labels).mean()), float(np.exp(found.x)))


def logits(tail: nn.Module, rows: Rows) -> np.ndarray:
    """Logits (n, classes) of all rows, read and computed in small batches."""

    def shard(start: int) -> np.ndarray:
        one_thread()
        with torch.inference_mode():
            return tail(_tensor(rows[start : start + SHARD])).numpy()

    return np.concatenate(list(in_order(shard, range(0, len(rows), SHARD))))


def _phase(
    tail: nn.Sequential,
    phase: Phase,
    best: Measure,
    train: Examples,
    validation: Examples,
    recipe: Recipe,
    random: np.random.Generator,
    curve: list[dict[str, Any]],
    progress: Progress,
) -> tuple[Measure, dict[str, Any]]:
    """One phase, from a network that measures `best`; appends to the curve. Returns what is best now, and the phase's summary."""
    trained = _unfreeze(tail, phase)
    optimizer = torch.optim.AdamW(_groups(trained, phase, recipe.weight_decay))
    n = len(train.labels)
    steps = phase.epochs * -(-n // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, steps))
    first, best_epoch, best_weights = curve[-1]["epoch"], 0, _weights(trained)
    epoch = 0
    for epoch in range(1, phase.epochs + 1):
        train_loss, train_accuracy = _epoch(tail, train, recipe, random, epoch, optimizer, schedule, progress)
        now = measure(tail, validation)
        rate = max(group["lr"] for group in optimizer.param_groups)
        curve.append(_row(phase.name, first + epoch, rate, train_loss, train_accuracy, now))
        if now.loss < best.loss:
            best, best_epoch, best_weights = now, epoch, _weights(trained)
        elif epoch - max(best_epoch, WARM_UP * phase.epochs) >= recipe.patience:
            break
    progress.total -= (phase.epochs - epoch) * n
    for parameter, value in best_weights:
        parameter.data.copy_(value)
    tail.requires_grad_(False)
    return best, {
        "name": phase.name,
        "epochs": epoch,
        "best_epoch": best_epoch,
        "stopped_early": epoch < phase.epochs,
        "validation_loss": best.loss,
        "validation_accuracy": best.accuracy,
        "rates": phase.rates,
    }


def one_cycle(step: int, steps: int) -> float:
    """Share of the highest rate at a step of `steps`: up in a line, then down to nothing along a cosine."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _epoch(
    tail: nn.Sequential,
    train: Examples,
    recipe: Recipe,
    random: np.random.Generator,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    progress: Progress,
) -> tuple[float, float]:
    """One pass over the images, each in one of its views, the next one in the next epoch. Returns training loss and accuracy."""
    order = random.permutation(len(train.labels))
    weight = torch.from_numpy(recipe.class_weights.astype(np.float32))
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    total, hits = 0.0, 0

    def shard(batch: tuple[np.ndarray, torch.Tensor]) -> tuple[list[torch.Tensor], float, int]:
        chosen, share = batch
        one_thread()
        labels = torch.from_numpy(train.labels[chosen])
        outputs = tail(_tensor(_in_views(train.views, chosen, (chosen + epoch) % len(train.views))))
        loss = functional.cross_entropy(outputs, labels, weight, label_smoothing=recipe.label_smoothing, reduction="sum") * share
        gradients = torch.autograd.grad(loss, trained)
        return list(gradients), float(loss.detach()), int((outputs.argmax(1) == labels).sum())

    for start in range(0, len(order), recipe.batch_size):
        chosen = order[start : start + recipe.batch_size]
        share = 1 / weight[torch.from_numpy(train.labels[chosen])].sum()
        parts = list(in_order(shard, [(chosen[i : i + SHARD], share) for i in range(0, len(chosen), SHARD)]))
        for parameter, *gradients in zip(trained, *(gradients for gradients, _, _ in parts), strict=True):
            parameter.grad = sum(gradients[1:], gradients[0])
        nn.utils.clip_grad_norm_(trained, LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
        total += sum(loss for _, loss, _ in parts) * len(chosen)
        hits += sum(right for _, _, right in parts)
        progress.step(len(chosen))
    return total / len(order), hits / len(order)


def _in_views(views: list[Rows], images: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Rows of `images`, each from the view that `which` names."""
    out = np.empty((len(images), *views[0].shape[1:]), np.float32)
    for number in np.unique(which):
        out[which == number] = views[number][images[which == number]]
    return out


def _unfreeze(tail: nn.Sequential, phase: Phase) -> dict[str, list[nn.Parameter]]:
    """Let the stages that the phase names be trained, and nothing else. Returns their parameters by stage."""
    trained = {}
    for key, module in tail.named_children():
        name = stages.name(key)
        module.requires_grad_(name in phase.rates)
        if name in phase.rates:
            trained[name] = list(module.parameters())
    return trained


def _groups(trained: dict[str, list[nn.Parameter]], phase: Phase, weight_decay: float) -> list[dict[str, Any]]:
    """Optimizer groups: a rate a stage; biases and the scales of normalisation are not decayed."""
    groups: list[dict[str, Any]] = []
    for name, parameters in trained.items():
        for decay, chosen in ((weight_decay, [p for p in parameters if p.ndim > 1]), (0.0, [p for p in parameters if p.ndim <= 1])):
            if chosen:
                groups.append({"params": chosen, "lr": phase.rates[name], "weight_decay": decay})
    return groups


def _weights(trained: dict[str, list[nn.Parameter]]) -> list[tuple[nn.Parameter, torch.Tensor]]:
    return [(p, p.detach().clone()) for parameters in trained.values() for p in parameters]


def _tensor(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rows.astype(np.float32, copy=False))


def _row(
    phase: str, epoch: int, rate: float | None, train_loss: float | None, train_accuracy: float | None, now: Measure
) -> dict[str, Any]:
    return {
        "phase": phase,
        "epoch": epoch,
        "rate": rate,
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "validation_loss": now.loss,
        "validation_accuracy": now.accuracy,
    }
