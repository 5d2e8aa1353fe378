"""Toy tails and activations that the tests of training share, and how they are trained."""

from __future__ import annotations

import math
import multiprocessing
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.features.store import Rows
from headstart.training import loop
from headstart.training.examples import Examples, Recipe
from headstart.training.measure import Measure
from headstart.training.run import Trained
from headstart.training.strategies import Phase, from_scratch
from tests import PATIENCE

RATE = 0.02


def block(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, made, 3, padding=1), nn.BatchNorm2d(made), nn.ReLU())


def tail(seed: int = 0) -> nn.Sequential:
    """Two stages and a head: activations (n, 3, 6, 6) -> logits (n, 3)."""
    torch.manual_seed(seed)
    end = nn.Sequential(block(6, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(OrderedDict([("blocks-1", block(3, 6)), ("blocks-2", end), ("head", nn.Linear(6, 3))])).eval()


def rows(values: np.ndarray) -> Rows:
    return Rows(values, np.arange(len(values)))


def examples(n: int = 60, views: int = 1, seed: int = 0, noise: float = 1.0) -> Examples:
    """Activations that tell their class by the mean of one channel each."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    drawn = [random.normal(size=(n, 3, 6, 6)) * noise + np.eye(3)[labels][:, :, None, None] for _ in range(views)]
    return Examples([rows(values.astype(np.float16)) for values in drawn], labels)


def recipe(**other: Any) -> Recipe:
    values = {"batch_size": 20, "patience": 100, "weight_decay": 0.01, "label_smoothing": 0.0, "class_weights": np.ones(3), "seed": 0}
    return Recipe(**{**values, **other})


def phase(epochs: int = 4, name: str = "one", **rates: Any) -> Phase:
    return Phase(name, epochs, {key.replace("_", "."): value for key, value in (rates or {"head": RATE, "blocks_2": RATE}).items()})


def scratch(epochs: int = 4, rate: float = RATE) -> Phase:
    return from_scratch(["blocks.1", "blocks.2"], epochs=epochs, rate=rate)[0]


def state(module: nn.Module) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in module.state_dict().items()}


def run(network: nn.Sequential, *phases: Phase, train: Examples | None = None, **other: Any) -> Trained:
    return loop.fit(network, list(phases), train or examples(), examples(30, seed=1), recipe(**other))


def scripted(monkeypatch: pytest.MonkeyPatch, losses: list[float], seen: list[dict[str, bytes]] | None = None) -> None:
    """Let validation give these losses in turn, and note the weights that it saw."""
    left = iter(losses)

    def measure(network: nn.Module, *_: Any) -> Measure:
        if seen is not None:
            seen.append(state(network))
        return Measure(next(left), 0.5, 1.0, np.zeros(30, bool))

    monkeypatch.setattr(loop, "measure", measure)


def unbiased() -> nn.Sequential:
    """The tail without the biases that BatchNorm takes out again: their gradients are rounding, and Adam makes steps of that."""
    network = tail()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.bias = None
    return network


class Full(nn.Module):
    """A layer whose memory holds the gradients of `room` images at a time, or runs out `times` times only."""

    def __init__(self, room: int, times: float = math.inf) -> None:
        super().__init__()
        self.room, self.times = room, times

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.times and len(x) > self.room and torch.is_grad_enabled():
            self.times -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x


def in_room(room: int, times: float = math.inf) -> nn.Sequential:
    network = tail()
    network.get_submodule("blocks-2").append(Full(room, times))  # type: ignore[operator]
    return network


class Together:
    """One of two threads that add up as the processes of a team do."""

    size = 2

    def __init__(self, rank: int, given: dict[int, list[torch.Tensor]], barrier: threading.Barrier) -> None:
        self.rank, self.given, self.barrier = rank, given, barrier

    def add(self, tensors: list[torch.Tensor]) -> None:
        self.given[self.rank] = [tensor.clone() for tensor in tensors]
        self.barrier.wait()
        for tensor, first, second in zip(tensors, self.given[0], self.given[1], strict=True):
            tensor.copy_(first + second)
        self.barrier.wait()


def in_a_process(function: Callable[..., None], *arguments: Any) -> int:
    """The exit code of a process that calls `function`, or minus the signal that ended it; -9 too if it does not end."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join(PATIENCE)
    process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode
