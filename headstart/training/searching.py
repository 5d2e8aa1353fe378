"""How deep, at which rate and with which BatchNorm statistics a source is fine-tuned, if the short way does not beat the frozen head.

This is successive halving (Jamieson & Talwalkar, AISTATS 2016) over WAYS. Each is a whole training from the converged head, in one cycle
of rates, on views that are drawn anew in every epoch. The order of a round is that of the validation log likelihood of the best weights; a way
that never got past the head comes after all that did, by how near it came. The better half begin again with twice the epochs. The budget
is in passes over the training images, never in seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import encoding, sampling
from headstart.networks.cards import SourceCard
from headstart.networks.heads import Head
from headstart.params import FineTune
from headstart.statistics import likelihood, paired
from headstart.training import fine_tuning

log = logging.getLogger(__name__)
MOST = 2_000  # training images that a round sees
FEWEST_WRONG = 10  # validation images that the head must have wrong: fewer cannot tell ways apart


@dataclass(frozen=True)
class Way:
    """All of the network on fresh views of whole pictures, mirrored and turned as the block has it.

    The rate is the block's times a factor, BatchNorm's `statistics` are those of strategies.Phase.
    """

    factor: float
    statistics: str

    def of(self, block: FineTune) -> FineTune:
        """The block of this way; a rate is 1 at most."""
        whole = block.augmentation.model_copy(update={"min_crop_share": 1.0, "rotation": 0.0, "colour": 0.0})
        rate = min(1.0, self.factor * block.rate)
        changed = {"strategy": "full", "views": fine_tuning.FRESH, "rate": rate, "statistics": self.statistics, "augmentation": whole}
        return block.model_copy(update=changed)


WAYS: Mapping[str, Way] = {
    "whole network": Way(1.0, "source"),
    "whole network, three times the rate": Way(3.0, "source"),
    "whole network, three times the rate, BatchNorm adapted": Way(3.0, "batch"),
}


class Row(TypedDict):
    """A way in a round: what it reached on validation, and how far (nats per image) it was behind the first."""

    round: int  # from 1
    place: int  # from 1
    way: str
    rate: float
    epochs: int
    best_epoch: int  # 0: never better than the head
    validation_loss: float  # nats, the lowest after an epoch
    image_passes: int
    gap: float
    standard_error: float


@dataclass(frozen=True)
class Found:
    """The block of the way that won, None if none got past the head; and a row per way and round, best first."""

    block: FineTune | None
    rows: list[Row]


@dataclass(frozen=True)
class _Lap:
    """What a way reached in a round."""

    block: FineTune
    likelihood: np.ndarray  # (n,) of each validation image's class, nats
    best_epoch: int
    nearest: float  # lowest validation loss after an epoch, nats
    image_passes: int

    @property
    def order(self) -> tuple[bool, float]:
        """The smaller the better."""
        return not self.best_epoch, self.nearest


def needed(head: np.ndarray, tuned: np.ndarray, labels: np.ndarray) -> bool:
    """Whether a search may pay, from logits (n, classes) of the validation images of `labels` (n,).

    Not if the fine-tuned network is better than the head by more than a standard error already, or the head is wrong too seldom.
    """
    better = paired.better(likelihood.of_labels(tuned, labels), likelihood.of_labels(head, labels))
    return not better and int((head.argmax(1) != labels).sum()) >= FEWEST_WRONG


def run(
    table: pd.DataFrame,
    root: Path,
    card: SourceCard,
    head: Head,
    classes: list[str],
    block: FineTune,
    *,
    seed: int,
    device: Device = CPU,
) -> Found:
    """Search among WAYS for `block.search` passes over the train split, of which at most MOST images are seen.

    `block` says all that the ways do not; its changes of the pictures are settled.
    """
    parts = [sampling.sample(table[table["split"] == "train"], MOST, seed), table[table["split"] == "validation"]]
    some = pd.concat(parts, ignore_index=True)
    field = {name: way.of(block) for name, way in WAYS.items()}
    rows: list[Row] = []
    best: _Lap | None = None
    for number, (count, epochs) in enumerate(rounds(len(WAYS), block.search), 1):
        log.info("search for a way to fine-tune, round %d: %d ways, epochs: %d", number, count, epochs)
        laps = {name: _lap(some, root, card, head, classes, way, epochs, seed, device) for name, way in list(field.items())[:count]}
        order = sorted(laps, key=lambda name: laps[name].order)
        field, best = {name: field[name] for name in order}, laps[order[0]]
        rows += _rows(number, {name: laps[name] for name in order})
    return Found(field[next(iter(field))] if best and best.best_epoch else None, rows)


def rounds(ways: int, passes: int) -> list[tuple[int, int]]:
    """How many ways are in each round, and for how many epochs: half as many for twice as long, within so many passes in all.

    Rounds that the passes do not reach are left out; none are left if they are fewer than the ways.
    """
    counts = []
    while ways > 1:
        counts.append(ways)
        ways = -(-ways // 2)
    for first in range(passes, 0, -1):
        plan = [(count, first * 2**number) for number, count in enumerate(counts)]
        if sum(count * epochs for count, epochs in plan) <= passes:
            return plan
    return []


def _lap(
    table: pd.DataFrame,
    root: Path,
    card: SourceCard,
    head: Head,
    classes: list[str],
    way: FineTune,
    epochs: int,
    seed: int,
    device: Device,
) -> _Lap:
    """Train in a way for so many epochs, however they go."""
    short = way.model_copy(update={"epochs": epochs, "patience": epochs})
    done = fine_tuning.run(table, root, card, head, classes, fine_tuning.plan_of(short, table, classes, seed), device=device)
    held = encoding.encode(table.loc[table["split"] == "validation", "label"], classes)
    nearest = min(row["validation_loss"] for row in done.curve[1:])
    return _Lap(short, likelihood.of_labels(done.logits, held), done.best, nearest, done.summary["image_passes"])


def _rows(number: int, laps: Mapping[str, _Lap]) -> list[Row]:
    """The rows of a round, from its laps, best first."""
    first = next(iter(laps.values()))
    rows: list[Row] = []
    for place, (name, lap) in enumerate(laps.items(), 1):
        gap, error = paired.difference(first.likelihood, lap.likelihood)
        rows.append(
            {
                "round": number,
                "place": place,
                "way": name,
                "rate": lap.block.rate,
                "epochs": lap.block.epochs,
                "best_epoch": lap.best_epoch,
                "validation_loss": lap.nearest,
                "image_passes": lap.image_passes,
                "gap": gap,
                "standard_error": error,
            }
        )
    return rows
