"""Train a whole network from random weights: what transfer is compared with, and a way to make a source of one's own.

The images are decoded once for each view into stores of pixels (uint8), which every network of that input size shares; all of the network is
trained, BatchNorm with the statistics of the batch, for a fixed number of epochs, and the best epoch on validation is kept.

Of a few draws of random weights the one with the best features begins, as a source is chosen among several. Epoch 0 is a head fitted on these features,
as transfer begins with a head fitted on those of a source: a few images are often better served by that than by a short training, and where it is not
tried, any source seems to help. The training itself begins with a head of zeros: the statistics of the batch make other features.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from headstart.base.devices import CPU, Device
from headstart.data import folding, sampling
from headstart.features import extraction, transforms
from headstart.features import pixels as pixels_module
from headstart.features.store import prune
from headstart.features.transforms import View
from headstart.linear import logistic
from headstart.networks import model, skeletons
from headstart.networks.cards import Architecture
from headstart.networks.heads import Head
from headstart.training import checkpoints, loop, parallel, strategies
from headstart.training.examples import Activations, Examples, Recipe
from headstart.training.measure import measure, outputs
from headstart.training.run import Row

LARGEST_START = 2000  # images that the head on random weights is fitted on
DRAWS = 3  # of random weights, of which the best begins


@dataclass(frozen=True)
class Result:
    """The network at its best epoch, a row an epoch, and a summary of plain values."""

    network: model.Network
    curve: list[Row]
    summary: dict[str, Any]
    right: np.ndarray  # (epochs + 1, n validation) bool: what each row of the curve classified rightly
    best: int  # the row of the curve that the network is of
    steps: list[int]  # of the optimizer, done at each row of the curve


def train(
    table: pd.DataFrame,
    root: Path,
    wanted: Architecture,
    classes: list[str],
    *,
    epochs: int,
    rate: float,
    batch_size: int,
    weight_decay: float,
    label_smoothing: float,
    augmentation: dict[str, Any],
    views: int,
    seed: int,
    head_first: bool = True,
    device: Device = CPU,
    cache_gib: float = 20.0,
) -> Result:
    """Train on the train split of `table`, measuring on the validation split before the first epoch and after each.

    `wanted` is the network that is trained. `seed` fixes weights, views and order. `head_first`: epoch 0
    is a head on the best of several draws of random weights; else a head of zeros on one draw, so that what is kept has learned something. At most
    `cache_gib` of pixels are kept, which may mean fewer than `views` views, or none kept. Raises DataError when a file has changed.
    """
    parts = [table[table["split"] == split].reset_index(drop=True) for split in ("train", "validation")]
    labels = [np.searchsorted(classes, part["label"].to_numpy()) for part in parts]
    drawn = transforms.views(View.of(wanted.transform), seed, augmentation, views)
    fitting = extraction.fit_views(
        views, pixels_module.pixel_bytes(wanted.transform.input_size, 1), len(parts[0]), len(parts[1]), cache_gib
    )
    given, validation = pixels(parts[0], parts[1], root, drawn, View.of(wanted.transform), fitting, cache_gib)
    recipe = Recipe(batch_size, epochs, weight_decay, label_smoothing, np.ones(len(classes)), seed)
    decoded, how = pixels_module.decoder(wanted.transform.input_size), pixels_module.PIXELS if fitting else "streamed"
    examples = (
        Examples(given, labels[0], checkpoints.images(decoded, parts[0], drawn[: len(given)], how)),
        Examples([validation], labels[1], checkpoints.images(decoded, parts[1], [View.of(wanted.transform)], how)),
    )
    if head_first:
        network, frozen = begin(parts[0], root, wanted, classes, seed)
    else:
        network = untrained(wanted, classes, seed)
        frozen = copy.deepcopy(network)
    first = measure(whole(frozen), examples[1])
    phases = strategies.from_scratch(network.stage_names(), epochs=epochs, rate=rate)
    done = loop.fit(whole(network), phases, *examples, recipe, device, parallel.ALONE, checkpoints.keeper())
    start: Row = {**done.curve[0], **first.figures()}
    curve, summaries = [start, *done.curve[1:]], done.phases
    best, temperature, right = done.best, done.temperature, np.concatenate([first.right[None], done.right[1:]])
    if best == 0 or first.loss <= curve[best]["validation_loss"]:
        network, best, temperature, summaries = frozen, 0, first.temperature, [{**summaries[0], "best_epoch": 0, **first.figures()}]
    network.divide_logits(temperature)
    summary = {
        "phases": summaries,
        "views": len(given),
        "streamed": not fitting,
        "device": device.name,
        "shard": done.shard,
        "image_passes": done.image_passes,
        "temperature": temperature,
        "validation": {"n": len(labels[1]), "accuracy": float(right[best].mean())},
    }
    return Result(network, curve, summary, right, best, done.steps)


def begin(train: pd.DataFrame, root: Path, wanted: Architecture, classes: list[str], seed: int) -> tuple[model.Network, model.Network]:
    """The best of DRAWS networks with random weights, and a copy with a head fitted on its features of the images of `train`, of at most LARGEST_START.

    The best is that whose head has the lowest cross-validated log loss.
    """
    some = sampling.sample(train, LARGEST_START, seed)
    labels = np.searchsorted(classes, some["label"].to_numpy())
    folds = folding.split_folds(labels, some["group"].to_numpy(), logistic.FOLDS, seed)
    networks = [untrained(wanted, classes, DRAWS * seed + draw) for draw in range(DRAWS)]
    width = networks[0].head.in_features
    images = extraction.Streamed(pixels_module.decoder(wanted.transform.input_size), some, root, View.of(wanted.transform))
    given = outputs(_Beside(whole(network)[:-1] for network in networks), images, DRAWS * width)
    how: dict[str, Any] = {"classes": len(classes), "penalties": logistic.PENALTIES, "what": "head on random weights, fits"}
    fits = [logistic.fit(np.ascontiguousarray(part), labels, folds, **how) for part in np.split(given, DRAWS, axis=1)]
    best = min(range(DRAWS), key=lambda draw: fits[draw][1].figures["log_loss"])
    copied = copy.deepcopy(networks[best])
    copied.head.weight.data.copy_(torch.from_numpy(fits[best][0].weight))
    copied.head.bias.data.copy_(torch.from_numpy(fits[best][0].bias))
    return networks[best], copied


class _Beside(nn.ModuleList):
    """What several networks give for the same images, side by side."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([network(images) for network in self], dim=1)


def untrained(wanted: Architecture, classes: list[str], seed: int) -> model.Network:
    """The network `wanted` as its library initialises it from `seed`, with a head of zeros. Disturbs no other random numbers."""
    size = wanted.transform.input_size
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        trunk, classifier = skeletons.skeleton(wanted.library, wanted.architecture)
        with torch.inference_mode():
            width = trunk.eval()(torch.zeros(1, 3, size, size)).shape[1]
        head = Head(np.zeros((len(classes), width), np.float32), np.zeros(len(classes), np.float32))
        return model.Network(trunk, classifier, head, wanted.transform.mean, wanted.transform.std)


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


def pixels(
    train: pd.DataFrame, validation: pd.DataFrame, root: Path, drawn: list[View], plain: View, fitting: int, cache_gib: float
) -> tuple[Sequence[Activations], Activations]:
    """Pixels of the training images in the first `fitting` views, and of the validation images; where none fit, all views, as they are needed."""
    frozen = pixels_module.decoder(plain.size)
    if not fitting:
        return [extraction.Streamed(frozen, train, root, view) for view in drawn], extraction.Streamed(frozen, validation, root, plain)
    drawn = drawn[:fitting]
    stores = [extraction.store(frozen, view, pixels_module.PIXELS, extraction.FOLDER) for view in [*drawn, plain]]
    prune(extraction.FOLDER, stores, pixels_module.pixel_bytes(plain.size, len(train) * fitting + len(validation)), int(cache_gib * 2**30))
    rows = extraction.extract_views(
        frozen, train, root, drawn, dtype=pixels_module.PIXELS, what=f"pixels, {fitting} views of the training images"
    )
    return rows, extraction.extract(frozen, validation, root, plain, dtype=pixels_module.PIXELS, what="pixels, validation images")
