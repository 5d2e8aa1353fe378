"""A run of the training loop: what is fixed in it, how far it has come, and what it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from headstart.base.devices import Device
from headstart.training.checkpoints import Keeper
from headstart.training.examples import Examples, Recipe
from headstart.training.measure import Figures, Measure
from headstart.training.parallel import Team
from headstart.training.strategies import Phase


class Row(Figures):
    """A row of the learning curve: one before training (phase `start`) and one per epoch.

    Losses are in nats, accuracies 0-1.
    """

    phase: str
    epoch: int  # of the run, over all phases
    rate: float | None  # the highest of the next step, after this epoch
    train_loss: float | None
    train_accuracy: float | None


class Summary(Figures):
    """What a phase did, and how good the network that it left is on validation."""

    name: str
    epochs: int
    best_epoch: int  # of the phase; 0: it brought nothing
    stopped_early: bool
    rates: dict[str, float]


@dataclass(frozen=True)
class Run:
    """What is fixed in a run: what it trains, on what, how and where."""

    tail: nn.Sequential
    train: Examples
    validation: Examples
    recipe: Recipe
    device: Device
    place: torch.device
    team: Team
    keeper: Keeper | None  # of its checkpoints, if somebody keeps them
    key: str  # the name of its checkpoint
    class_weights: torch.Tensor  # (classes,) float32, on the place
    source: Sequence[tuple[torch.Tensor, torch.Tensor]]  # weights, and what they held at first, for a regulariser


@dataclass
class State:
    """How far a run has come.

    A checkpoint holds all of it, and besides it weights, the moments of the optimizer and PyTorch's random numbers.
    """

    random: np.random.Generator
    shard: int  # images worked on at a time
    scale: float  # of the loss: small gradients vanish in float16
    curve: list[Row] = field(default_factory=list)
    right: list[np.ndarray] = field(default_factory=list)  # (validation images,) per row of the curve
    steps: list[int] = field(default_factory=list)  # of the optimizer, done at each row of the curve
    summaries: list[Summary] = field(default_factory=list)  # of the phases that are done
    epoch: int = 0  # how many of the current phase are done
    best_epoch: int = 0  # of the current phase: after which of them the weights were the best
    taken: int = 0  # steps of the optimizer so far
    best: int = 0  # the row of the curve whose weights are the best
    temperature: float = 1.0  # of the network at that row

    def note(self, phase: str, rate: float | None, train_loss: float | None, train_accuracy: float | None, now: Measure) -> None:
        """Append a row to the curve."""
        self.curve.append(
            {
                "phase": phase,
                "epoch": len(self.curve),
                "rate": rate,
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                **now.figures(),
            }
        )
        self.right.append(now.right)
        self.steps.append(self.taken)

    def left(self, phases: list[Phase]) -> list[Phase]:
        """The phases that are not done; none are left after one that brought nothing."""
        if self.summaries and self.summaries[-1]["best_epoch"] == 0:
            return []
        return phases[len(self.summaries) :]

    def close(self, phase: Phase) -> None:
        """Append the summary of the current phase, and stand before the first epoch of the next one."""
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


@dataclass(frozen=True)
class Trained:
    """What a run of all phases left."""

    curve: list[Row]
    phases: list[Summary]
    image_passes: int  # how many images went through the tail in training
    temperature: float  # of the final network on validation
    shard: int  # images worked on at a time in the end; the gradients of a batch are those of its shards, added
    right: np.ndarray = field(compare=False)  # (rows of the curve, validation images): which are classified rightly
    steps: list[int]  # of the optimizer, done at each row of the curve
    best: int  # the row of the curve whose weights are kept
