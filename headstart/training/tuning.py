"""Fine-tuning as the stage does it: train, and try again in another way if that left too much wrong.

If the usual training leaves many validation images wrong, all of the network is trained too (whole.py). Which of both counts is decided by
the validation loss of a network by itself or with the frozen head beside it, as the two may ship together (proof/contenders.py). If
neither is better than the head, the usual training is tried once more at a tenth of the rate: it has lost what the head knew and never won
it back. If that brings nothing either, this is said, and the network is the frozen head that it began with.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import encoding
from headstart.features import of_source
from headstart.networks.cards import SourceCard
from headstart.networks.heads import Head
from headstart.params import FineTune
from headstart.statistics import likelihood
from headstart.training import augmenting, fine_tuning, outcome, whole
from headstart.training.augmenting import Change

log = logging.getLogger(__name__)
GENTLER = 0.1  # factor on the rate if a training brought nothing


class Try(TypedDict):
    """A training, the epoch whose weights are kept (0: those before the first, so it brought nothing), and its validation loss (nats)."""

    strategy: str
    statistics: str  # of BatchNorm
    rate: float
    epochs: int  # that it lasted
    best_epoch: int
    validation_loss: float
    image_passes: int


@dataclass(frozen=True)
class _Trained:
    """A training, and the block that it was done as."""

    block: FineTune
    result: outcome.Result

    @property
    def loss(self) -> float:
        """On validation, of the best epoch (nats)."""
        return self.result.curve[self.result.best]["validation_loss"]

    def beside(self, head: np.ndarray, labels: np.ndarray) -> float:
        """The lower validation loss (nats) of the network by itself, and with the head beside it that gives the logits `head` (n, classes)."""
        return min(self.loss, _loss((head + self.result.logits) / 2, labels))

    @property
    def row(self) -> Try:
        """What is told of it."""
        done, block = self.result, self.block
        return {
            "strategy": block.strategy,
            "statistics": block.statistics,
            "rate": block.rate,
            "epochs": len(done.curve) - 1,
            "best_epoch": done.best,
            "validation_loss": self.loss,
            "image_passes": done.summary["image_passes"],
        }


class Summary(outcome.Summary):
    """What the training that counts did, what was settled before it, and what was tried."""

    augmentation: dict[str, float | bool]  # as the views were drawn
    changes: list[Change]
    tries: list[Try]
    changed: bool  # whether there is a fine-tuned network; if not, it is the frozen head that it began with


@dataclass(frozen=True)
class Tuned:
    """The training that counts, the block of params.yaml as it was done, and the whole summary."""

    result: outcome.Result
    block: FineTune
    summary: Summary


def tune(
    table: pd.DataFrame,
    root: Path,
    card: SourceCard,
    head: Head,
    classes: list[str],
    block: FineTune,
    changes: list[Change],
    *,
    seed: int,
    device: Device = CPU,
) -> Tuned:
    """Fine-tune the source that `card` names from a head of the train split alone.

    `changes` is what augmenting.measure found of the pictures. Raises what fine_tuning.run raises.
    """
    settled = block.model_copy(update={"augmentation": augmenting.settled(block.augmentation, changes)})
    train_as = partial(_train, table, root, card, head, classes, seed=seed, device=device)
    held = table[table["split"] == "validation"].reset_index(drop=True)
    labels = encoding.encode(held["label"], classes)
    best = train_as(settled)
    tries = [best]
    if settled.strategy == "last_stages" and whole.needed(best.result.logits, labels):
        all_of_it = whole.way(settled, card, int((table["split"] == "train").sum()), on_gpu=device.kind != "cpu")
        if all_of_it:
            tries.append(train_as(all_of_it))
            before = head.logits(of_source.of_source(card, held, root, device))
            best = min(tries, key=lambda one: one.beside(before, labels))
    if not best.result.best and best.result.summary["phases"]:
        tries.append(train_as(settled.model_copy(update={"rate": GENTLER * settled.rate})))
        best = min([best, tries[-1]], key=lambda one: one.loss)
    done = best.result
    summary: Summary = {
        **done.summary,
        "augmentation": best.block.augmentation.model_dump(),
        "changes": changes,
        "tries": [one.row for one in tries],
        "changed": done.best > 0,
    }
    return Tuned(done, best.block, summary)


def _train(
    table: pd.DataFrame, root: Path, card: SourceCard, head: Head, classes: list[str], block: FineTune, *, seed: int, device: Device
) -> _Trained:
    """One training as the block has it."""
    done = fine_tuning.run(table, root, card, head, classes, fine_tuning.plan_of(block, table, classes, seed), device=device)
    if not done.best and done.summary["phases"]:
        log.info(
            "fine-tuning at a rate of %g brought nothing: no epoch was better on validation than the head that it began with", block.rate
        )
    return _Trained(block, done)


def _loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """At the best temperature, as in training (nats)."""
    return float(-likelihood.of_labels(logits / likelihood.temperature(logits, labels), labels).mean())
