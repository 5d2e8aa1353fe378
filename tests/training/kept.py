"""Toy trainings that keep checkpoints, are killed and go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from headstart.base.devices import CPU, Device
from headstart.training import checkpoints, loop
from headstart.training.checkpoints import Keeper, keeping
from headstart.training.examples import Examples
from headstart.training.parallel import ALONE
from headstart.training.run import Run, State, Trained
from tests.training.tails import RATE, examples, phase, recipe, state, tail

FOLDER = Path("kept")
BOTH = [phase(3, "one"), phase(4, "two", head=RATE, blocks_1=RATE)]  # 7 epochs


class Killed(BaseException):
    """Instead of a kill -9."""


def named(given: Examples, name: str) -> Examples:
    return replace(given, images=name)


TRAIN, HELD = named(examples(90, views=2), "train"), named(examples(30, seed=1), "held")


def fit(keeper: Keeper | None, phases: list[Any], network: nn.Sequential, device: Device = CPU, **how: Any) -> Trained:
    return loop.fit(network, phases, TRAIN, HELD, recipe(**{"batch_size": 40, **how}), device, ALONE, keeper)


def everything(network: nn.Sequential, done: Trained) -> dict[str, Any]:
    """All that a training leaves, to the bit, and the random numbers that come next."""
    left = [done.curve, done.phases, done.image_passes, done.temperature, done.shard, done.steps, done.best]
    return {"weights": state(network), "rest": repr(left), "right": done.right.tobytes(), "random": torch.get_rng_state().tolist()}


def epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every epoch that is begun from now on."""
    begun: list[int] = []
    real = loop.epoch

    def watch(run: Run, state: State, *given: Any) -> tuple[float, float]:
        begun.append(state.epoch + 1)
        return real(run, state, *given)

    monkeypatch.setattr(loop, "epoch", watch)
    return begun


def killed_after_each(monkeypatch: pytest.MonkeyPatch, train: Callable[[], Any]) -> tuple[Any, int]:
    """What `train` gives if it is killed after each checkpoint and called again; and how many kills."""
    write, kills = Keeper.write, 0

    def die(self: Keeper, *given: Any) -> None:
        write(self, *given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "write", die)
        while True:
            try:
                with keeping(FOLDER):
                    return train(), kills
            except Killed:
                kills += 1
                assert kills < 100, "no process gets any further"


def dies() -> None:
    """Train, and be killed when the third checkpoint was written and is not renamed. For a process."""
    written = 0

    def die(_: int) -> None:
        nonlocal written
        written += 1
        if written == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync, checkpoints.SHARE = die, float("inf")
    with keeping(FOLDER) as keeper:
        fit(keeper, BOTH, tail())
