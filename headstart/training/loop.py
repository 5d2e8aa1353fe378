"""The one training loop: phases of AdamW with a rate that rises and falls once, early stopping on validation, the best weights restored.

It trains the tail of a network on activations that the frozen part computed once. The tail stays in eval mode throughout, so that
BatchNorm keeps the statistics of the source: what is frozen is wholly frozen, and training computes what evaluation computes. Only a phase
that asks for the statistics of the batch (from random weights) trains replicas of the tail, one a shard, that share its weights and whose
BatchNorms are in train mode; the running statistics that they gather are averaged into the tail after each step.
A batch is worked on in even shards of a bounded size, a core each, and their gradients are added in order: on two cores that is several times
as fast as one graph on two threads, and the result does not depend on the number of cores. On a GPU a batch is one shard, halved when
memory runs out; several GPUs are a team of processes (parallel.py), each with its part of every batch.
A training that was killed goes on from its checkpoint, where somebody keeps one (checkpoints.py), and ends with the same bytes.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from headstart.base import devices
from headstart.base import weights as weights_module
from headstart.base.cores import ahead, in_order, one_thread
from headstart.base.devices import CPU, Device
from headstart.machinery.errors import HeadstartError
from headstart.machinery.progress import Progress
from headstart.networks import cut
from headstart.training import checkpoints
from headstart.training.checkpoints import Keeper
from headstart.training.cpu.gradients import Gradients
from headstart.training.cpu.pointwise import Pointwise
from headstart.training.cpu.products import Products
from headstart.training.parallel import ALONE, Team
from headstart.training.regularisers import REGULARISERS
from headstart.training.strategies import Phase
from headstart.training.updates import WARM_UP, Updates, added, like

log = logging.getLogger(__name__)
MAX_TEMPERATURE = 4.0
SHARD = 16  # images that one core works on at a time, at most
# What a checkpoint holds of a run as plain values.
_KEPT = ("curve", "summaries", "steps", "epoch", "best_epoch", "taken", "best", "temperature", "scale")
MOMENTUM = 0.1  # of running statistics that a phase gathers; some networks come with 0.01, at which a short training learns none


class Activations(Protocol):
    """Activations (n, ...) of images, read or computed by slice or integer array: store.Rows, features.Streamed, or an array."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice | np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Examples:
    """Activations of images in one or more views, each (n, ...), and their labels (n,).

    `images` names the activations among all others, as checkpoints.images does, for what keeps checkpoints.
    """

    views: Sequence[Activations]
    labels: np.ndarray
    images: str = ""


@dataclass(frozen=True)
class Recipe:
    """How to train, whatever is trained."""

    batch_size: int
    patience: int
    weight_decay: float
    label_smoothing: float
    class_weights: np.ndarray  # (classes,)
    seed: int
    regulariser: str = "none"  # one of REGULARISERS
    strength: float = 0.0  # its factor in the loss


@dataclass(frozen=True)
class Measure:
    """Mean cross-entropy (nats) at the best temperature, accuracy (0-1), that temperature, and which images (n,) are right.

    The temperature (Guo et al., ICML 2017) takes out how confident a network is overall, which label smoothing lowers and overfitting
    raises, so that the loss of networks trained in different ways tells how well they order the classes.
    """

    loss: float
    accuracy: float
    temperature: float
    right: np.ndarray = field(compare=False)


@dataclass(frozen=True)
class Trained:
    """What a run of all phases left: a row before training and one an epoch, a summary a phase, how many images went through the tail."""

    curve: list[dict[str, Any]]
    phases: list[dict[str, Any]]
    image_passes: int
    temperature: float  # of the final network on validation
    shard: int  # images worked on at a time in the end; the gradients of a batch are those of its shards, added
    right: np.ndarray = field(compare=False)  # (rows of the curve, validation images): which are classified rightly
    steps: list[int]  # of the optimizer, done at each row of the curve
    best: int  # the row of the curve whose weights are kept


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
    """Train `tail` (named stages and `head`) in place through the phases; one that brings nothing ends the training.

    Deterministic on one kind of processor: batches, views and order come from the recipe's seed. Every process of a team ends with the
    same weights. With a `keeper` it goes on from the checkpoint of the same training, if one was left, and ends as that would have.
    """
    one_thread()
    key = _key(tail, phases, train, validation, recipe, device, team) if keeper else ""
    with placed(tail, device, team) as place:
        return _Run(tail, train, validation, recipe, device, place, team, keeper, key).through(phases)


def _key(
    tail: nn.Sequential, phases: list[Phase], train: Examples, validation: Examples, recipe: Recipe, device: Device, team: Team
) -> str:
    """The name of a training among all others."""
    return checkpoints.key(
        {
            "weights": weights_module.digest({**dict(tail.named_parameters()), **dict(tail.named_buffers())}),
            "network": [(name, type(module).__qualname__, module.extra_repr()) for name, module in tail.named_modules()],
            "phases": [asdict(phase) for phase in phases],
            "recipe": {**asdict(recipe), "class_weights": recipe.class_weights.tolist()},
            "labels": [examples.labels.tolist() for examples in (train, validation)],
            "images": [train.images, validation.images],
            "device": [device.kind, device.precision, torch.cuda.get_device_name() if device.kind == "cuda" else _processor()],
            "parts": [team.size, SHARD],
        }
    )


def _processor() -> str:
    """What decides the bytes that a CPU computes: its kind and its instructions."""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


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
    right = scores.argmax(1) == examples.labels
    return Measure(float(found.fun), float(right.mean()), float(np.exp(found.x)), right)


def logits(tail: nn.Sequential, rows: Activations, device: Device = CPU, team: Team = ALONE) -> np.ndarray:
    """Logits (n, classes) of all rows, where the tail's weights are."""
    return outputs(tail, rows, _classes(tail), device, team)


def outputs(tail: nn.Module, rows: Activations, width: int, device: Device = CPU, team: Team = ALONE) -> np.ndarray:
    """What a network gives (n, width) for all rows, read and computed in small batches, where its weights are."""
    place = next(tail.parameters()).device
    size = SHARD if place.type == "cpu" else 8 * SHARD

    def shard(part: slice) -> np.ndarray:
        one_thread()
        with torch.inference_mode(), devices.autocast(device, place.type), Pointwise():
            return tail(_tensor(rows[part], place)).float().cpu().numpy()

    parts = _parts(len(rows), size)[team.rank :: team.size]
    out = np.zeros((len(rows), width), np.float32)
    for part, given in zip(parts, _on(place)(shard, parts), strict=True):
        out[part] = given
    if team.size > 1:
        whole = torch.from_numpy(out).to(place)
        team.add([whole])
        out = whole.cpu().numpy()
    return out


def _classes(tail: nn.Sequential) -> int:
    head = tail.get_submodule("head")
    assert isinstance(head, nn.Linear)
    return head.out_features


def _on(place: torch.device) -> Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]:
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
    keeper: Keeper | None = None  # of checkpoints, where they are kept
    key: str = ""  # of this run's

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.recipe.seed)
        self.class_weights = torch.from_numpy(self.recipe.class_weights.astype(np.float32)).to(self.place)
        self.shard = SHARD if self.place.type == "cpu" else -(-self.recipe.batch_size // self.team.size)
        self.scale = 2.0**16 if self.device.precision == "float16" else 1.0  # of the loss: small gradients vanish in float16
        self.source = [] if self.recipe.regulariser == "none" else _values(list(self.tail.parameters()))
        self.anchored: list[tuple[torch.Tensor, torch.Tensor]] = []  # those of them that are trained
        self.gathering: set[str] = set()  # stages whose BatchNorms use and gather the statistics of the batch
        self.replicas: list[nn.Sequential] = []  # of the tail, one a shard, where there are such
        self.curve: list[dict[str, Any]] = []
        self.right: list[np.ndarray] = []
        self.steps: list[int] = []
        self.summaries: list[dict[str, Any]] = []  # of the phases that are done
        self.epoch, self.best_epoch = 0, 0  # of the phase at hand: how many are done, and after which of them the weights were the best
        self.taken, self.best = 0, 0  # steps of the optimizer so far; the row of the curve whose weights are the best
        self.temperature = 1.0  # of the network at that row

    def through(self, phases: list[Phase]) -> Trained:
        """Train through the phases."""
        saved = self._restore(phases)
        if not self.curve:
            now = self._measure()
            self.temperature = now.temperature
            self._note("start", None, None, None, now)
        self.tail.requires_grad_(False)
        n = len(self.train.labels)
        if left := self._left(phases):
            images = (sum(phase.epochs for phase in left) - self.epoch) * n
            with Progress(images, "fine-tuning, images", how=f"torch {self.device.name}", quiet=self.team.rank > 0) as progress:
                while left := self._left(phases):
                    self._phase(left[0], phases, progress, saved)
                    saved = {}
                progress.total = progress.done
            self._save(phases)
        passes = sum(done["epochs"] for done in self.summaries) * n
        return Trained(self.curve, self.summaries, passes, self.temperature, self.shard, np.stack(self.right), self.steps, self.best)

    def _left(self, phases: list[Phase]) -> list[Phase]:
        """The phases that are not done; none are left after one that brought nothing."""
        return [] if self.summaries and self.summaries[-1]["best_epoch"] == 0 else phases[len(self.summaries) :]

    def _measure(self) -> Measure:
        return measure(self.tail, self.validation, self.device, self.team)

    def _note(self, phase: str, rate: float | None, train_loss: float | None, train_accuracy: float | None, now: Measure) -> None:
        """Append a row to the curve."""
        row = {"phase": phase, "epoch": len(self.curve), "rate": rate, "train_loss": train_loss, "train_accuracy": train_accuracy}
        self.curve.append({**row, "validation_loss": now.loss, "validation_accuracy": now.accuracy})
        self.right.append(now.right)
        self.steps.append(self.taken)

    def _phase(self, phase: Phase, phases: list[Phase], progress: Progress, saved: Mapping[str, np.ndarray]) -> None:
        """One of the phases, or what is left of it after a checkpoint that `saved` its state; appends to the curve and the summaries."""
        trained = _unfreeze(self.tail, phase)
        trunk = {p for name, parameters in trained.items() if name != "head" for p in parameters}
        self.anchored = [(p, value) for p, value in self.source if p in trunk]
        self.gathering, self.replicas = _gathering(phase), []
        changed = _changed(self.tail, phase)
        to_source = self.recipe.regulariser == "l2_sp"
        n = len(self.train.labels)
        steps = -(-n // self.recipe.batch_size)  # an epoch
        groups = _groups(trained, phase, self.recipe.weight_decay, to_source)
        updates = Updates(groups, phase.epochs * steps, self.epoch * steps)
        best = _values(changed.values())
        if saved:
            best = [(weight, like(weight, saved[f"best.{name}"])) for name, weight in changed.items()]
            updates.resume({name.removeprefix("optimizer."): value for name, value in saved.items() if name.startswith("optimizer.")})
        while self.epoch < phase.epochs and not self._in_vain(phase):
            train_loss, train_accuracy = self._epoch(self.epoch + 1, updates, progress)
            self.epoch += 1
            now = self._measure()
            self._note(phase.name, updates.rate, train_loss, train_accuracy, now)
            if now.loss < self.curve[self.best]["validation_loss"]:
                best = _values(changed.values())
                self.best_epoch, self.best, self.temperature = self.epoch, len(self.curve) - 1, now.temperature
            self._save(phases, updates, dict(zip(changed, best, strict=True)))
        progress.total -= (phase.epochs - self.epoch) * n
        for weight, value in best:
            weight.data.copy_(value)
        self.tail.requires_grad_(False)
        self.summaries.append(
            {
                "name": phase.name,
                "epochs": self.epoch,
                "best_epoch": self.best_epoch,
                "stopped_early": self.epoch < phase.epochs,
                "validation_loss": self.curve[self.best]["validation_loss"],
                "validation_accuracy": self.curve[self.best]["validation_accuracy"],
                "rates": phase.rates,
            }
        )
        self.epoch, self.best_epoch = 0, 0

    def _in_vain(self, phase: Phase) -> bool:
        """Whether the epochs since the best one have used up the patience."""
        return self.epoch > self.best_epoch and self.epoch - max(self.best_epoch, WARM_UP * phase.epochs) >= self.recipe.patience

    def _save(
        self,
        phases: list[Phase],
        updates: Updates | None = None,
        best: Mapping[str, tuple[torch.Tensor, torch.Tensor]] | None = None,
    ) -> None:
        """Keep a checkpoint, if one is due: of the phase at hand after an epoch, or, without updates, of all when all is done."""
        if not self.keeper:
            return
        shards = torch.zeros(self.team.size, device=self.place)  # memory may have run out in some processes only
        shards[self.team.rank] = self.shard
        self.team.add([shards])
        if self.team.rank == 0 and self.keeper.due():
            self.keeper.write(self.key, lambda: self._state(phases, updates, best or {}, shards))

    def _state(
        self,
        phases: list[Phase],
        updates: Updates | None,
        best: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
        shards: torch.Tensor,
    ) -> checkpoints.State:
        """What a checkpoint holds. What no phase so far has changed is not in it."""
        tensors = {"right": torch.from_numpy(np.stack(self.right)), "shards": shards, "torch": torch.get_rng_state()}
        if self.place.type == "cuda":
            tensors["cuda"] = torch.cuda.get_rng_state(self.place)
        for phase in phases[: len(self.summaries) + 1]:
            tensors |= {f"weights.{name}": value for name, value in _changed(self.tail, phase).items()}
        tensors |= {f"best.{name}": value for name, (_, value) in best.items()}
        tensors |= {f"optimizer.{name}": value for name, value in (updates.state() if updates else {}).items()}
        values = {name: getattr(self, name) for name in _KEPT} | {"random": self.random.bit_generator.state}
        return {name: value.detach().cpu().numpy() for name, value in tensors.items()}, values

    def _restore(self, phases: list[Phase]) -> dict[str, np.ndarray]:
        """Stand where the checkpoint does, if there is one; returns its arrays, which hold what the phase at hand goes on from."""
        if not self.keeper:
            return {}
        found = self.keeper.read(self.key)
        able = torch.tensor([float(found is not None)], device=self.place)
        self.team.add([able])
        if found is None or int(able) < self.team.size:  # a team goes on together or not at all
            return {}
        arrays, values = found
        for name in _KEPT:
            setattr(self, name, values[name])
        self.random.bit_generator.state = values["random"]
        self.right, self.shard = list(arrays["right"]), int(arrays["shards"][self.team.rank])
        torch.set_rng_state(torch.from_numpy(arrays["torch"]))
        if self.place.type == "cuda":
            torch.cuda.set_rng_state(torch.from_numpy(arrays["cuda"]), self.place)
        for phase in phases[: len(self.summaries) + 1]:
            for name, value in _changed(self.tail, phase).items():
                value.data.copy_(torch.from_numpy(arrays[f"weights.{name}"]))
        log.info("training goes on from a checkpoint: epochs done: %d", len(self.curve) - 1)
        return arrays if self.epoch else {}

    def _epoch(
        self,
        epoch: int,
        updates: Updates,
        progress: Progress,
    ) -> tuple[float, float]:
        """One pass over the images, each in one of its views, the next one in the next epoch. Returns training loss and accuracy."""
        order = self.random.permutation(len(self.train.labels))
        total, hits = 0.0, 0.0
        batches = (order[part] for part in _parts(len(order), self.recipe.batch_size))
        for chosen, read in self._read(batches, epoch):
            gradients, statistics, loss, right = self._gradients(chosen, read, updates)
            sums = torch.tensor([loss, right], dtype=torch.float32, device=self.place)
            self.team.add([*gradients, *statistics, sums])
            if self.scale != 1:
                for gradient in gradients:
                    gradient.div_(self.scale)
            norm = nn.utils.get_total_norm(gradients)
            if self.device.precision == "float16" and not bool(torch.isfinite(norm)):
                self.scale /= 2  # and this step is left out
            else:
                updates.step(gradients, norm)
                self.taken += 1
                self._keep(statistics)
            updates.advance()
            loss, right = sums.tolist()
            total += loss * len(chosen)
            hits += right
            progress.step(len(chosen))
        return total / len(order), hits / len(order)

    def _read(self, batches: Iterator[np.ndarray], epoch: int) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Each batch and its activations (those of this process's part), read while the one before is worked on."""
        read = ((chosen, torch.from_numpy(self._rows(self._mine(chosen), epoch))) for chosen in batches)
        return ahead(((chosen, rows if self.place.type == "cpu" else rows.pin_memory()) for chosen, rows in read), 2)

    def _rows(self, chosen: np.ndarray, epoch: int) -> np.ndarray:
        return _in_views(self.train.views, chosen, (chosen + epoch) % len(self.train.views))

    def _mine(self, chosen: np.ndarray) -> np.ndarray:
        """The part of a batch that falls to this process."""
        return np.array_split(chosen, self.team.size)[self.team.rank]

    def _gradients(
        self, chosen: np.ndarray, read: torch.Tensor, updates: Updates
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], float, float]:
        """Sums over this process's part of a batch: gradients, statistics, loss, right answers. When memory runs out, shards are halved."""
        while True:
            try:
                return self._in_shards(chosen, read, updates)
            except torch.OutOfMemoryError:
                if self.shard == 1:
                    raise HeadstartError(
                        "the memory of the GPU does not hold one image of the part that is trained; lower fine_tune.depth, or use device: cpu"
                    ) from None
            self.shard = -(-self.shard // 2)
            torch.cuda.empty_cache()
            log.warning("the memory of the GPU ran out: batches of %d go on in parts of %d", self.recipe.batch_size, self.shard)

    def _in_shards(
        self, chosen: np.ndarray, read: torch.Tensor, updates: Updates
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], float, float]:
        mine = self._mine(chosen)
        share = self.scale / self.class_weights[torch.from_numpy(self.train.labels[chosen]).to(self.place)].sum()
        parts = _parts(len(mine), self.shard)
        tails = self._tails(parts)
        weights, source = [p for p, _ in self.anchored], [value for _, value in self.anchored]
        strength = self.recipe.strength * self.scale / len(chosen)  # of an image's share in the penalty

        def shard(number: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
            one_thread()
            part, tail = mine[parts[number]], tails[number]
            labels = torch.from_numpy(self.train.labels[part]).to(self.place)
            with self._arithmetic():
                features = tail[:-1](_tensor(read[parts[number]], self.place))
                outputs = tail[-1](features).float()
            loss = functional.cross_entropy(
                outputs, labels, self.class_weights, label_smoothing=self.recipe.label_smoothing, reduction="sum"
            )
            penalty = REGULARISERS[self.recipe.regulariser](features, weights, source) * strength * len(part)
            gradients = torch.autograd.grad(loss * share + penalty, updates.weights, allow_unused=True, materialize_grads=True)
            return list(gradients), loss.detach() * share / self.scale, (outputs.argmax(1) == labels).sum()

        done = list(_on(self.place)(shard, range(len(parts))))
        statistics = self._statistics(tails, parts, len(chosen))
        if not done:  # a last batch smaller than the team
            return [torch.zeros_like(weight) for weight in updates.weights], statistics, 0.0, 0.0
        gradients = added([each[0] for each in done], updates.weights)
        return gradients, statistics, float(sum(each[1] for each in done)), float(sum(each[2] for each in done))

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """How a network and its gradients are computed in training."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(devices.autocast(self.device, self.place.type))
            if self.place.type == "cpu":
                stack.enter_context(Pointwise())
                stack.enter_context(Gradients())
            if self.device == devices.CPU_BFLOAT16:
                stack.enter_context(Products())
            yield

    def _tails(self, parts: list[slice]) -> list[nn.Sequential]:
        """The network that each shard goes through: the tail, or replicas of it as it is now that gather statistics."""
        if not self.gathering:
            return [self.tail] * len(parts)
        while len(self.replicas) < len(parts):
            self.replicas.append(_replica(self.tail, self.gathering))
        for replica in self.replicas[: len(parts)]:
            for own, value in zip(_running(replica, self.gathering), _running(self.tail, self.gathering), strict=True):
                own.copy_(value)
        # One image alone has no statistics (over 1x1 maps PyTorch refuses): it is normalised with the running ones.
        return [
            replica if part.stop - part.start > 1 else self.tail for replica, part in zip(self.replicas[: len(parts)], parts, strict=True)
        ]

    def _statistics(self, tails: list[nn.Sequential], parts: list[slice], n: int) -> list[torch.Tensor]:
        """This process's summand of the running statistics after a batch of `n` images: the mean over its shards, by their images."""
        shards = [
            [value * ((part.stop - part.start) / n) for value in _running(tail, self.gathering)]
            for tail, part in zip(tails, parts, strict=True)
        ]
        return [sum(values[1:], values[0]) for values in zip(*shards, strict=True)] or [
            torch.zeros_like(value) for value in _running(self.tail, self.gathering)
        ]

    def _keep(self, statistics: list[torch.Tensor]) -> None:
        """Take over the running statistics of a batch."""
        for own, value in zip(_running(self.tail, self.gathering), statistics, strict=True):
            own.copy_(value)
        for layer in _batch_norms(self.tail, self.gathering):
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked.add_(1)


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
        name = cut.name(key)
        module.requires_grad_(name in phase.rates)
        if name in phase.rates:
            trained[name] = list(module.parameters())
    return trained


def _groups(trained: dict[str, list[nn.Parameter]], phase: Phase, weight_decay: float, to_source: bool = False) -> list[dict[str, Any]]:
    """Optimizer groups: a rate a stage; biases and the scales of normalisation are not decayed, nor is a trunk that is held `to_source`."""
    groups: list[dict[str, Any]] = []
    for name, parameters in trained.items():
        decays = 0.0 if to_source and name != "head" else weight_decay
        for decay, chosen in ((decays, [p for p in parameters if p.ndim > 1]), (0.0, [p for p in parameters if p.ndim <= 1])):
            if chosen:
                groups.append({"params": chosen, "lr": phase.rates[name], "weight_decay": decay})
    return groups


def _values(tensors: Iterable[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weights and a copy of what they hold now."""
    return [(tensor, tensor.detach().clone()) for tensor in tensors]


def _gathering(phase: Phase) -> set[str]:
    """The stages whose BatchNorms use and gather the statistics of the batch in a phase."""
    return set(phase.rates) if phase.statistics == "batch" else set()


def _changed(tail: nn.Sequential, phase: Phase) -> dict[str, torch.Tensor]:
    """What a phase changes, by name: the weights of the stages that it names, and what their BatchNorms gather."""
    gathered = {id(value) for layer in _batch_norms(tail, _gathering(phase)) for value in layer.buffers(recurse=False)}
    found: dict[str, torch.Tensor] = {}
    for key, stage in tail.named_children():
        if cut.name(key) in phase.rates:
            found |= {f"{key}.{name}": value for name, value in stage.named_parameters()}
            found |= {f"{key}.{name}": value for name, value in stage.named_buffers() if id(value) in gathered}
    return found


def _batch_norms(tail: nn.Sequential, names: set[str]) -> list[_BatchNorm]:
    """The BatchNorms of these stages that keep running statistics."""
    layers = (layer for key, stage in tail.named_children() if cut.name(key) in names for layer in stage.modules())
    return [layer for layer in layers if isinstance(layer, _BatchNorm) and layer.running_mean is not None]


def _running(tail: nn.Sequential, names: set[str]) -> list[torch.Tensor]:
    """The running means and variances of these stages."""
    return [value for layer in _batch_norms(tail, names) for value in (layer.running_mean, layer.running_var) if value is not None]


def _replica(tail: nn.Sequential, names: set[str]) -> nn.Sequential:
    """The tail once more: the same parameters, but buffers of its own, and in these stages BatchNorms in train mode (and nothing else)."""
    replica = copy.deepcopy(tail, {id(parameter): parameter for parameter in tail.parameters()})
    for layer in _batch_norms(replica, names):
        layer.training, layer.momentum = True, MOMENTUM
    return replica


def _parts(n: int, size: int) -> list[slice]:
    """Slices of `n` images, at most `size` and as nearly as may be the same: cores wait for the largest, and a few images have poor statistics."""
    count = -(-n // size)
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def _tensor(rows: np.ndarray | torch.Tensor, place: torch.device) -> torch.Tensor:
    """float32 on the device, pictures with their channels last: a training step on them takes two thirds of the time."""
    tensor = (torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows).to(place, non_blocking=True).float()
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
