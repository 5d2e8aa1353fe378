"""Train a whole network from random weights.

This is what transfer is compared with, and a way to make a source of one's own.

The images are decoded once for each view into stores of pixels (uint8), which every network of that input size shares; all of the network
is
trained, BatchNorm with the statistics of the batch, for a fixed number of epochs, and the best epoch on validation is kept.

Of a few draws of random weights the one with the best features begins, as a source is chosen among several. Epoch 0 is a head fitted on
these features,
as transfer begins with a head fitted on those of a source: a few images are often better served by that than by a short training, and if
it is not
tried, any source seems to help. The training itself begins with a head of zeros: the statistics of the batch make other features.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd
import torch
from torch import nn

from headstart.base.devices import CPU, Device
from headstart.data import encoding, folding, sampling
from headstart.features import extraction, pixels, transforms
from headstart.features.streamed import Streamed
from headstart.features.transforms import View
from headstart.linear import logistic
from headstart.networks import model, skeletons
from headstart.networks.cards import Architecture, Transform
from headstart.networks.heads import Head
from headstart.params import Augmentation, Baseline
from headstart.training import augmenting, budget, cached, checkpoints, loop, parallel, strategies
from headstart.training import run as run_module
from headstart.training.augmenting import Change
from headstart.training.cached import Photos, Wanted
from headstart.training.examples import Examples, Recipe
from headstart.training.measure import measure, outputs
from headstart.training.run import Row

LARGEST_START = 2000  # images that the head on random weights is fitted on
DRAWS = 3  # of random weights, of which the best begins
Trunk = tuple[nn.Module, str]  # a network without its classifier, and the name of that


@dataclass(frozen=True)
class Plan:
    """How a network is trained from random weights."""

    epochs: int
    rate: float  # the highest
    batch_size: int
    weight_decay: float
    label_smoothing: float
    views: int  # of each training image
    augmentation: Augmentation
    cache_gib: float = 20.0  # of pixels that are kept at most, which may mean fewer views, or none kept


class Held(TypedDict):
    """How many validation images there are, and the share (0-1) that the network has right."""

    n: int
    accuracy: float


class Summary(TypedDict):
    """What a training did, as in models/baseline/summary.json."""

    phases: list[run_module.Summary]
    views: int
    streamed: bool  # whether images were decoded in every epoch, as none were kept
    device: str
    shard: int
    image_passes: int
    temperature: float
    validation: Held


@dataclass(frozen=True)
class Result:
    """The network at its best epoch, a row before training and one per epoch, and a summary."""

    network: model.Network
    curve: list[Row]
    summary: Summary
    right: np.ndarray  # (epochs + 1, n validation) bool: what each row of the curve classified rightly
    best: int  # the row of the curve that the network is of
    steps: list[int]  # of the optimizer, done at each row of the curve


def settled(block: Baseline, table: pd.DataFrame, changes: list[Change], device: Device) -> Baseline:
    """The block as it is done on the images of `table`: for fewer epochs if there are many, and with changes of pictures that were found harmless."""
    seen = min(block.max_images, int((table["split"] == "train").sum()))
    epochs = budget.usual(block, seen, on_gpu=device.kind != "cpu")
    return block.model_copy(update={"augmentation": augmenting.settled(block.augmentation, changes), "epochs": epochs})


def plan_of(block: Baseline) -> Plan:
    """The plan of a baseline block of params.yaml."""
    return Plan(
        epochs=block.epochs,
        rate=block.rate,
        batch_size=block.batch_size,
        weight_decay=block.weight_decay,
        label_smoothing=block.label_smoothing,
        views=block.views,
        augmentation=block.augmentation.settled(),
    )


def train(
    table: pd.DataFrame,
    root: Path,
    wanted: Architecture,
    classes: list[str],
    plan: Plan,
    *,
    seed: int,
    head_first: bool = True,
    device: Device = CPU,
) -> Result:
    """Train on the train split of `table`, measuring on the validation split.

    It measures before the first epoch and after each.
    `wanted` is the network that is trained; `seed` fixes weights, views and order. `head_first`: epoch 0 is a head on the best of several
    draws of random weights; else a head of zeros on one draw, so that what is kept has learned something.
    Raises DataError when a file has changed since it was indexed.
    """
    photos = Photos.of(table, root, classes)
    examples = _examples(photos, wanted.transform, plan, seed)
    network, frozen = begin(photos.train, root, wanted, classes, seed) if head_first else _zeros(wanted, classes, seed)
    first = measure(whole(frozen), examples[1])
    phases = strategies.from_scratch(network.stage_names(), epochs=plan.epochs, rate=plan.rate)
    recipe = Recipe(plan.batch_size, plan.epochs, plan.weight_decay, plan.label_smoothing, np.ones(len(classes)), seed)
    done = loop.fit(whole(network), phases, *examples, recipe, device, parallel.ALONE, checkpoints.keeper())
    start: Row = {**done.curve[0], **first.figures()}
    curve, summaries = [start, *done.curve[1:]], done.phases
    best, temperature, right = done.best, done.temperature, np.concatenate([first.right[None], done.right[1:]])
    if best == 0 or first.loss <= curve[best]["validation_loss"]:
        network, best, temperature, summaries = frozen, 0, first.temperature, [{**summaries[0], "best_epoch": 0, **first.figures()}]
    network.divide_logits(temperature)
    summary: Summary = {
        "phases": summaries,
        "views": len(examples[0].views),
        "streamed": isinstance(examples[0].views[0], Streamed),
        "device": device.name,
        "shard": done.shard,
        "image_passes": done.image_passes,
        "temperature": temperature,
        "validation": {"n": right.shape[1], "accuracy": float(right[best].mean())},
    }
    return Result(network, curve, summary, right, best, done.steps)


def head_alone(table: pd.DataFrame, root: Path, wanted: Architecture, classes: list[str], *, seed: int) -> np.ndarray:
    """Which validation images of `table` (n,) are right with what `train` begins with: a head on the best of several draws of random weights.

    Raises DataError when a file has changed since it was indexed.
    """
    photos = Photos.of(table, root, classes)
    (trunk, _), head = _best(photos.train, root, wanted, classes, seed)
    held = Streamed(pixels.decoder(wanted.transform.input_size), photos.validation, root, View.of(wanted.transform))
    features = outputs(_body(trunk, wanted), held, head.weight.shape[1])
    right: np.ndarray = head.logits(features).argmax(1) == encoding.encode(photos.validation["label"], classes)
    return right


def _examples(photos: Photos, transform: Transform, plan: Plan, seed: int) -> tuple[Examples, Examples]:
    """The pixels of the images, which every network of that input size shares."""
    size, plain = transform.input_size, View.of(transform)
    one = pixels.pixel_bytes(size, 1)
    fitting = extraction.fit_views(plan.views, one, len(photos.train), len(photos.validation), plan.cache_gib)
    drawn = transforms.views(plain, seed, plan.augmentation, plan.views)
    return cached.examples(photos, Wanted(pixels.decoder(size), drawn, plain, pixels.PIXELS, "pixels"), fitting, plan.cache_gib)


def _zeros(wanted: Architecture, classes: list[str], seed: int) -> tuple[model.Network, model.Network]:
    """A network with random weights, and a copy of it."""
    network = untrained(wanted, classes, seed)
    return network, copy.deepcopy(network)


def begin(train: pd.DataFrame, root: Path, wanted: Architecture, classes: list[str], seed: int) -> tuple[model.Network, model.Network]:
    """The best of DRAWS networks with random weights, and a copy with its fitted head (`_best`)."""
    drawn, head = _best(train, root, wanted, classes, seed)
    network = _network(*drawn, wanted, np.zeros_like(head.weight))
    copied = copy.deepcopy(network)
    copied.head.weight.data.copy_(torch.from_numpy(head.weight))
    copied.head.bias.data.copy_(torch.from_numpy(head.bias))
    return network, copied


def _best(train: pd.DataFrame, root: Path, wanted: Architecture, classes: list[str], seed: int) -> tuple[Trunk, Head]:
    """The best of DRAWS trunks with random weights, and the head that is fitted on its features.

    It is fitted on the images of `train`, on at most LARGEST_START. The best is that whose head has the lowest cross-validated log loss.
    """
    some = sampling.sample(train, LARGEST_START, seed)
    labels = encoding.encode(some["label"], classes)
    folds = folding.split_folds(labels, some["group"].to_numpy(), logistic.FOLDS, seed)
    trunks = [_trunk(wanted, DRAWS * seed + draw) for draw in range(DRAWS)]
    width = _width(trunks[0][0], wanted)
    images = Streamed(pixels.decoder(wanted.transform.input_size), some, root, View.of(wanted.transform))
    given = outputs(_Beside(_body(trunk, wanted) for trunk, _ in trunks), images, DRAWS * width)
    parts = [np.ascontiguousarray(part) for part in np.split(given, DRAWS, axis=1)]
    what = "head on random weights, fits"
    fits = [logistic.fit(part, labels, folds, classes=len(classes), penalties=logistic.PENALTIES, what=what) for part in parts]
    best = min(range(DRAWS), key=lambda draw: fits[draw][1].figures["log_loss"])
    return trunks[best], fits[best][0]


def _body(trunk: nn.Module, wanted: Architecture) -> nn.Sequential:
    """Pixels (n, size, size, 3) -> features (n, width)."""
    return nn.Sequential(model.Normalise(wanted.transform.mean, wanted.transform.std), ChannelsLast(), trunk)


class _Beside(nn.ModuleList):
    """What several networks give for the same images, side by side."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([network(images) for network in self], dim=1)


def untrained(wanted: Architecture, classes: list[str], seed: int) -> model.Network:
    """The network `wanted` as its library initialises it from `seed`, with a head of zeros.

    Disturbs no other random numbers.
    """
    trunk, classifier = _trunk(wanted, seed)
    return _network(trunk, classifier, wanted, np.zeros((len(classes), _width(trunk, wanted)), np.float32))


def _trunk(wanted: Architecture, seed: int) -> Trunk:
    """The network of `untrained` without its classifier."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        trunk, classifier = skeletons.skeleton(wanted.library, wanted.architecture)
        if wanted.fixed_size and wanted.library == "timm":
            skeletons.resize(trunk, wanted.transform.input_size)
    return trunk.eval(), classifier


def _width(trunk: nn.Module, wanted: Architecture) -> int:
    """How many features it gives."""
    size = wanted.transform.input_size
    with torch.inference_mode():
        return int(trunk(torch.zeros(1, 3, size, size)).shape[1])


def _network(trunk: nn.Module, classifier: str, wanted: Architecture, weight: np.ndarray) -> model.Network:
    """The whole network of a trunk, with a head of these weights (classes, width)."""
    with torch.random.fork_rng(devices=[]):
        return model.Network(
            trunk, classifier, Head(weight, np.zeros(len(weight), np.float32)), wanted.transform.mean, wanted.transform.std
        )


def whole(network: model.Network) -> nn.Sequential:
    """All of a network as the tail that is trained: pixels (n, size, size, 3) -> logits (n, classes)."""
    tail = nn.Sequential()
    tail.add_module("normalise", nn.Sequential(network.normalise, ChannelsLast()))
    for key, module in network.tail(0).named_children():
        tail.add_module(key, module)
    return tail


class ChannelsLast(nn.Module):
    """Lay images (n, 3, size, size) out in memory as the convolutions are fastest on."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.contiguous(memory_format=torch.channels_last)
