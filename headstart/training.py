"""The one training loop: phases of AdamW with a rate that rises and falls once, early stopping on validation, the best weights restored.

It trains the tail of a network on activations that the frozen part computed once. The tail stays in eval mode throughout, so that
BatchNorm keeps the statistics of the source: what is frozen is wholly frozen, and training computes what evaluation computes.
A batch is worked on in shards of a fixed size, a core each, and their gradients are added in order: on two cores that is several times
as fast as one graph on two threads, and the result does not depend on the number of cores. On a GPU a batch is one shard, halved when
memory runs out; several GPUs are a team of processes (parallel.py), each with its part of every batch.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import nn
from torch.nn import functional

from headstart import devices, stages
from headstart.cores import ahead, in_order, one_thread
from headstart.devices import CPU, Device
from headstart.errors import HeadstartError
from headstart.parallel import ALONE, Team
from headstart.progress import Progress
from headstart.strategies import Phase

log = logging.getLogger(__name__)
WARM_UP = 0.25  # share of a phase in which the rate rises; it starts again with each phase, and patience counts from its end
MAX_TEMPERATURE = 4.0
LARGEST_GRADIENT = 1.0  # norm: without the statistics of the batch, one bad step can throw a network far off
SHARD = 16  # images that one core works on at a time


class Activations(Protocol):
    """Activations (n, ...) of images, read or computed by slice or integer array: store.Rows, features.Streamed, or an array."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice | np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Examples:
    """Activations of images in one or more views, each (n, ...), and their labels (n,)."""

    views: Sequence[Activations]
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
    shard: int  # images worked on at a time in the end; the gradients of a batch are those of its shards, added


def fit(
    tail: nn.Sequential,
    phases: list[Phase],
    train: Examples,
    validation: Examples,
    recipe: Recipe,
    device: Device = CPU,
    team: Team = ALONE,
) -> Trained:
    """Train `tail` (named stages and `head`) in place through the phases; one that brings nothing ends the training.

    Deterministic on one kind of processor: batches, views and order come from the recipe's seed. Every process of a team ends with the
    same weights.
    """
    one_thread()
    with placed(tail, device, team) as place:
        return _Run(tail, train, validation, recipe, device, place, team).through(phases)


@contextlib.contextmanager
def placed(tail: nn.Sequential, device: Device, team: Team = ALONE) -> Iterator[torch.device]:
    """Have the tail where this process computes, and back on the CPU, with nothing to be trained, afterwards."""
    place = torch.device(device.kind, team.rank) if device.kind == "cuda" else torch.device("cpu")
    try:
        tail.to(place)
        yield place
    finally:
        tail.requires_grad_(False).to("cpu")


def measure(tail: nn.Sequential, examples: Examples, device: Device = CPU, team: Team = ALONE) -> Measure:
    """Loss, accuracy and temperature on the first view."""
    scores = logits(tail, examples.views[0], device, team).astype(np.float64)
    rows = np.arange(len(scores))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(scores / np.exp(log_temperature), axis=1)[rows, examples.labels].mean())

    found = minimize_scalar(loss, bounds=(-np.log(MAX_TEMPERATURE), np.log(MAX_TEMPERATURE)), method="bounded", options={"xatol": 1e-3})
    return Measure(float(found.fun), float((scores.argmax(1) == examples.labels).mean()), float(np.exp(found.x)))


def logits(tail: nn.Sequential, rows: Activations, device: Device = CPU, team: Team = ALONE) -> np.ndarray:
    """Logits (n, classes) of all rows, read and computed in small batches, where the tail's weights are."""
    place = next(tail.parameters()).device
    size = SHARD if place.type == "cpu" else 8 * SHARD

    def shard(start: int) -> np.ndarray:
        one_thread()
        with torch.inference_mode(), devices.autocast(device, place.type):
            return tail(_tensor(rows[start : start + size], place)).float().cpu().numpy()

    starts = range(0, len(rows), size)[team.rank :: team.size]
    out = np.zeros((len(rows), _classes(tail)), np.float32)
    for start, part in zip(starts, _on(place)(shard, starts), strict=True):
        out[start : start + size] = part
    if team.size > 1:
        whole = torch.from_numpy(out).to(place)
        team.add([whole])
        out = whole.cpu().numpy()
    return out


def _classes(tail: nn.Sequential) -> int:
    head = tail.get_submodule("head")
    assert isinstance(head, nn.Linear)
    return head.out_features


def _on(place: torch.device) -> Callable[[Callable[[int], Any], range], Iterator[Any]]:
    """How shards are worked on: a core each on the CPU, one after the other on a GPU."""
    return in_order if place.type == "cpu" else map


@dataclass
class _Run:
    """One training run: what it trains, on what, where, and how far it has come."""

    tail: nn.Sequential
    train: Examples
    validation: Examples
    recipe: Recipe
    device: Device
    place: torch.device
    team: Team

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.recipe.seed)
        self.class_weights = torch.from_numpy(self.recipe.class_weights.astype(np.float32)).to(self.place)
        self.shard = SHARD if self.place.type == "cpu" else -(-self.recipe.batch_size // self.team.size)
        self.scale = 2.0**16 if self.device.precision == "float16" else 1.0  # of the loss: small gradients vanish in float16
        self.curve: list[dict[str, Any]] = []

    def through(self, phases: list[Phase]) -> Trained:
        """Train through the phases."""
        best = self._measure()
        self.curve.append(_row("start", 0, None, None, None, best))
        self.tail.requires_grad_(False)
        summaries: list[dict[str, Any]] = []
        n = len(self.train.labels)
        with Progress(
            sum(phase.epochs for phase in phases) * n, "fine-tuning, images", how=f"torch {self.device.name}", quiet=self.team.rank > 0
        ) as progress:
            for phase in phases:
                best = self._phase(phase, best, summaries, progress)
                if summaries[-1]["best_epoch"] == 0:
                    progress.total = progress.done
                    break
        return Trained(self.curve, summaries, sum(done["epochs"] for done in summaries) * n, best.temperature, self.shard)

    def _measure(self) -> Measure:
        return measure(self.tail, self.validation, self.device, self.team)

    def _phase(self, phase: Phase, best: Measure, summaries: list[dict[str, Any]], progress: Progress) -> Measure:
        """One phase, from a network that measures `best`; appends to the curve and the summaries. Returns what is best now."""
        trained = _unfreeze(self.tail, phase)
        optimizer = torch.optim.AdamW(_groups(trained, phase, self.recipe.weight_decay), fused=True)
        n = len(self.train.labels)
        steps = phase.epochs * -(-n // self.recipe.batch_size)
        schedule = one_cycle_of(optimizer, steps)
        first, best_epoch, best_weights = self.curve[-1]["epoch"], 0, _weights(trained)
        epoch = 0
        for epoch in range(1, phase.epochs + 1):
            train_loss, train_accuracy = self._epoch(epoch, optimizer, schedule, progress)
            now = self._measure()
            rate = max(group["lr"] for group in optimizer.param_groups)
            self.curve.append(_row(phase.name, first + epoch, rate, train_loss, train_accuracy, now))
            if now.loss < best.loss:
                best, best_epoch, best_weights = now, epoch, _weights(trained)
            elif epoch - max(best_epoch, WARM_UP * phase.epochs) >= self.recipe.patience:
                break
        progress.total -= (phase.epochs - epoch) * n
        for parameter, value in best_weights:
            parameter.data.copy_(value)
        self.tail.requires_grad_(False)
        summaries.append(
            {
                "name": phase.name,
                "epochs": epoch,
                "best_epoch": best_epoch,
                "stopped_early": epoch < phase.epochs,
                "validation_loss": best.loss,
                "validation_accuracy": best.accuracy,
                "rates": phase.rates,
            }
        )
        return best

    def _epoch(
        self,
        epoch: int,
        optimizer: torch.optim.Optimizer,
        schedule: Callable[[], None],
        progress: Progress,
    ) -> tuple[float, float]:
        """One pass over the images, each in one of its views, the next one in the next epoch. Returns training loss and accuracy."""
        order = self.random.permutation(len(self.train.labels))
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        total, hits = 0.0, 0.0
        batches = (order[start : start + self.recipe.batch_size] for start in range(0, len(order), self.recipe.batch_size))
        for chosen, read in self._read(batches, epoch):
            gradients, loss, right = self._gradients(chosen, read, epoch, trained)
            sums = torch.tensor([loss, right], dtype=torch.float32, device=self.place)
            self.team.add([*gradients, sums])
            for parameter, gradient in zip(trained, gradients, strict=True):
                # In the layout of the weights, which the fused optimizer takes for granted: gradients of 3x3 convolutions come channels last.
                parameter.grad = torch.empty_like(parameter).copy_(gradient).div_(self.scale)
            norm = nn.utils.clip_grad_norm_(trained, LARGEST_GRADIENT)
            if self.device.precision == "float16" and not bool(torch.isfinite(norm)):
                self.scale /= 2  # and this step is left out
            else:
                optimizer.step()
            schedule()
            loss, right = sums.tolist()
            total += loss * len(chosen)
            hits += right
            progress.step(len(chosen))
        return total / len(order), hits / len(order)

    def _read(self, batches: Iterator[np.ndarray], epoch: int) -> Iterator[tuple[np.ndarray, torch.Tensor | None]]:
        """Each batch, and on a GPU its activations (those of this process's part), read while the one before is worked on."""
        if self.place.type == "cpu":
            return ((chosen, None) for chosen in batches)
        return ahead(((chosen, torch.from_numpy(self._rows(self._mine(chosen), epoch)).pin_memory()) for chosen in batches), 2)

    def _rows(self, chosen: np.ndarray, epoch: int) -> np.ndarray:
        return _in_views(self.train.views, chosen, (chosen + epoch) % len(self.train.views))

    def _mine(self, chosen: np.ndarray) -> np.ndarray:
        """The part of a batch that falls to this process."""
        return np.array_split(chosen, self.team.size)[self.team.rank]

    def _gradients(
        self, chosen: np.ndarray, read: torch.Tensor | None, epoch: int, trained: list[nn.Parameter]
    ) -> tuple[list[torch.Tensor], float, float]:
        """Sums over this process's part of a batch: gradients, loss, right answers. When memory runs out, shards are halved."""
        while True:
            try:
                return self._in_shards(chosen, read, epoch, trained)
            except torch.OutOfMemoryError:
                if self.shard == 1:
                    raise HeadstartError(
                        "the memory of the GPU does not hold one image of the part that is trained; lower fine_tune.depth, or use device: cpu"
                    ) from None
            self.shard = -(-self.shard // 2)
            torch.cuda.empty_cache()
            log.warning("the memory of the GPU ran out: batches of %d go on in parts of %d", self.recipe.batch_size, self.shard)

    def _in_shards(
        self, chosen: np.ndarray, read: torch.Tensor | None, epoch: int, trained: list[nn.Parameter]
    ) -> tuple[list[torch.Tensor], float, float]:
        mine = self._mine(chosen)
        share = self.scale / self.class_weights[torch.from_numpy(self.train.labels[chosen]).to(self.place)].sum()

        def shard(start: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
            one_thread()
            part = mine[start : start + self.shard]
            given = self._rows(part, epoch) if read is None else read[start : start + self.shard]
            labels = torch.from_numpy(self.train.labels[part]).to(self.place)
            with devices.autocast(self.device, self.place.type):
                outputs = self.tail(_tensor(given, self.place)).float()
            loss = functional.cross_entropy(
                outputs, labels, self.class_weights, label_smoothing=self.recipe.label_smoothing, reduction="sum"
            )
            gradients = torch.autograd.grad(loss * share, trained, allow_unused=True, materialize_grads=True)
            return list(gradients), loss.detach() * share / self.scale, (outputs.argmax(1) == labels).sum()

        starts = range(0, len(mine), self.shard)
        parts = list(_on(self.place)(shard, starts))
        if not parts:  # a last batch smaller than the team
            return [torch.zeros_like(parameter) for parameter in trained], 0.0, 0.0
        gradients = [sum(values[1:], values[0]) for values in zip(*(part[0] for part in parts), strict=True)]
        return gradients, float(sum(part[1] for part in parts)), float(sum(part[2] for part in parts))


def one_cycle_of(optimizer: torch.optim.Optimizer, steps: int) -> Callable[[], None]:
    """Give the optimizer the rates of the first of `steps` steps; each call of what is returned gives it those of the next."""
    highest, number = [group["lr"] for group in optimizer.param_groups], itertools.count()

    def advance() -> None:
        share = one_cycle(next(number), steps)
        for group, rate in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = rate * share

    advance()
    return advance


def one_cycle(step: int, steps: int) -> float:
    """Share of the highest rate at a step of `steps`: up in a line, then down to nothing along a cosine."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _in_views(views: Sequence[Activations], images: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Rows of `images`, each from the view that `which` names, in the type they are stored in."""
    parts = {number: views[number][images[which == number]] for number in np.unique(which).tolist()}
    out = np.empty((len(images), *views[0].shape[1:]), next((part.dtype for part in parts.values()), np.dtype(np.float32)))
    for number, part in parts.items():
        out[which == number] = part
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


def _tensor(rows: np.ndarray | torch.Tensor, place: torch.device) -> torch.Tensor:
    """float32 on the device, pictures with their channels last: a training step on them takes two thirds of the time."""
    tensor = (torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows).to(place, non_blocking=True).float()
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


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
