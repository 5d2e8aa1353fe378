"""Fine-tuning as the stage does it: train, and try again in another way if that brought nothing.

If the frozen head leaves enough validation images wrong, most of the network is trained (whole.py), else its last stages, and these for
fewer epochs on fewer views if it is shown to leave few wrong. What is no better
than the head by itself and beside it, as the two may ship together (proof/contenders.py), and worse by a standard error, brought nothing: then
the last stages are trained, and then these at a tenth of the rate, as the training lost what the head knew and never won it back. Only
there the head counts as an epoch too: if nothing brings anything, this is said, and the network is the frozen head that it began with.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
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
from headstart.statistics import likelihood, paired
from headstart.training import augmenting, budget, fine_tuning, outcome, whole
from headstart.training.augmenting import Change

log = logging.getLogger(__name__)
DEEP, USUAL, GENTLER = "deep", "usual", "gentler"
LESS = 0.1  # factor on the rate if a training brought nothing


class Try(TypedDict):
    """A training, the epoch whose weights are kept (0: those before the first, so it brought nothing), and its validation loss (nats)."""

    way: str  # DEEP (whole.py), USUAL, or GENTLER
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

    way: str
    block: FineTune
    result: outcome.Result

    def forms(self, head: np.ndarray) -> list[np.ndarray]:
        """The logits (n, classes) of the network by itself, and with the head beside it that gives the logits `head`."""
        return [self.result.logits, (head + self.result.logits) / 2]

    def beside(self, head: np.ndarray, labels: np.ndarray) -> float:
        """The lower validation loss (nats) of its forms."""
        return float(-max(_merits(logits, labels).mean() for logits in self.forms(head)))

    def lost(self, head: np.ndarray, labels: np.ndarray) -> bool:
        """Whether it brought nothing: no epoch counts, or both of its forms are worse than the head by a standard error."""
        before = _merits(head, labels)
        return not self.result.best or all(paired.better(before, _merits(logits, labels)) for logits in self.forms(head))

    @property
    def row(self) -> Try:
        """What is told of it."""
        done, block = self.result, self.block
        return {
            "way": self.way,
            "strategy": block.strategy,
            "statistics": block.statistics,
            "rate": block.rate,
            "epochs": len(done.curve) - 1,
            "best_epoch": done.best,
            "validation_loss": done.curve[done.best]["validation_loss"],
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
    labels, before = encoding.encode(held["label"], classes), head.logits(of_source.of_source(card, held, root, device))
    tries: list[_Trained] = []
    much = whole.needed(before, labels, int((table["split"] != "test").sum()))
    for way, how in ways(settled, card, table, much, whole.little(before, labels), device):
        tries.append(train_as(way, how))
        if not tries[-1].lost(before, labels):
            break
        if how.strategy != "head_only":
            log.info("fine-tuning at a rate of %g brought nothing: on validation it is worse than the frozen head", how.rate)
    best = min(tries, key=lambda one: (one.lost(before, labels), one.beside(before, labels)))
    done = best.result
    summary: Summary = {
        **done.summary,
        "augmentation": best.block.augmentation.model_dump(),
        "changes": changes,
        "tries": [one.row for one in tries],
        "changed": done.best > 0,
    }
    return Tuned(done, best.block, summary)


def ways(
    settled: FineTune, card: SourceCard, table: pd.DataFrame, much_is_wrong: bool, little_is_wrong: bool, device: Device
) -> Iterator[tuple[str, FineTune]]:
    """How to train, one way after the other: what each is called, and its block.

    settled: the block of params.yaml with its changes of pictures settled. much_is_wrong: whether the frozen head leaves enough wrong for most
    of the network to be trained. little_is_wrong: whether it leaves so little that the last stages need not be trained for long.
    """
    images, on_gpu = int((table["split"] == "train").sum()), device.kind != "cpu"
    if settled.strategy == "last_stages" and much_is_wrong:
        deep = whole.way(settled, card, images, on_gpu=on_gpu)
        yield from [(DEEP, deep)] if deep else []
    little = little_is_wrong and settled.strategy == "last_stages"
    epochs = budget.usual(settled, images, little=little, on_gpu=on_gpu)
    views = budget.FEWEST_VIEWS if little and settled.views == "auto" and epochs <= budget.FEWEST_USUAL else settled.views
    lasting = settled.model_copy(update={"epochs": epochs, "views": views})
    yield USUAL, lasting.model_copy(update={"keep": "trained" if settled.keep == "best" else settled.keep})
    if settled.strategy != "head_only":
        yield GENTLER, lasting.model_copy(update={"rate": LESS * settled.rate})


def _train(
    table: pd.DataFrame, root: Path, card: SourceCard, head: Head, classes: list[str], way: str, how: FineTune, *, seed: int, device: Device
) -> _Trained:
    """One training as the block `how` has it."""
    plan = fine_tuning.plan_of(how, table, classes, seed)
    return _Trained(way, how, fine_tuning.run(table, root, card, head, classes, plan, device=device))


def _merits(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The log likelihood (n,) of each label, at the best temperature, as in training (nats)."""
    return np.asarray(likelihood.of_labels(logits / likelihood.temperature(logits, labels), labels))
