"""What could ship, measured on the validation images: the frozen head, the fine-tuned model, averages of both, the network from random weights, remedies.

The choice begins with the frozen head. What replaces it must be right on more validation images by more than a paired standard error. Where the network
from random weights does as well as the fine-tuned one, REMEDIES are tried in their order, and the first ships that a paired t test of 99% calls better: as up
to five are tried, one standard error would let one ship by luck more often than not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from headstart.base.devices import CPU, Device
from headstart.data import encoding
from headstart.features import classify, of_source
from headstart.networks.cards import SourceCard
from headstart.networks.heads import Head
from headstart.statistics import paired
from headstart.words import naming

HEAD, FINE_TUNED, AVERAGE, SCRATCH = "head", "fine_tuned", "average", "scratch"
MIXES = (0.25, 0.5, 0.75)  # shares of the fine-tuned weights in an average


@dataclass(frozen=True)
class Arm:
    """A whole model that could ship: weights under the library's names, the card of its network, and its validation logits (n, classes)."""

    name: str
    weights: dict[str, np.ndarray]
    card: SourceCard
    logits: np.ndarray
    mix: float | None = None

    def right(self, labels: np.ndarray) -> np.ndarray:
        """Whether each image (n,) is classified rightly."""
        return self.logits.argmax(1) == labels

    def likelihood(self, labels: np.ndarray) -> float:
        """Mean log likelihood (nats) of the labels (n,)."""
        return float(log_softmax(self.logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels].mean())


@dataclass(frozen=True)
class Data:
    """Where the arms are measured."""

    table: pd.DataFrame
    root: Path
    classes: list[str]
    device: Device = CPU

    @property
    def held(self) -> pd.DataFrame:
        """The validation rows."""
        return self.table[self.table["split"] == "validation"].reset_index(drop=True)

    @property
    def labels(self) -> np.ndarray:
        """Their classes (n,)."""
        return encoding.encode(self.held["label"], self.classes)


def arm(name: str, values: dict[str, np.ndarray], card: SourceCard, data: Data, mix: float | None = None) -> Arm:
    """Measure a whole model on the validation images."""
    what = f"{name.replace('_', ' ')}, validation images"
    return Arm(name, values, card, classify.logits(values, card, data.held, data.root, data.device, what), mix)


def frozen(head: Head, values: dict[str, np.ndarray], card: SourceCard, data: Data) -> Arm:
    """The frozen head on the validation images, from the stored features; `values` are the source's weights with it on top."""
    return Arm(HEAD, values, card, head.logits(of_source.of_source(card, data.held, data.root, data.device)))


def figures(one: Arm, labels: np.ndarray) -> dict[str, Any]:
    """An arm's validation figures as plain values."""
    return {
        "name": one.name,
        "mix": one.mix,
        "validation_accuracy": float(one.right(labels).mean()),
        "log_likelihood": one.likelihood(labels),
    }


def average(head: Arm, tuned: Arm, data: Data) -> list[Arm]:
    """Averages of two models of one network, in the mixes tried (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022)."""
    return [
        arm(AVERAGE, {key: mixed(head.weights[key], value, mix) for key, value in tuned.weights.items()}, tuned.card, data, mix)
        for mix in MIXES
    ]


def mixed(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """The average of two arrays with a share of the second; counters (integers) are the second's."""
    if not np.issubdtype(second.dtype, np.floating):
        return second
    return np.asarray((1 - share) * first.astype(np.float64) + share * second, second.dtype)


@dataclass(frozen=True)
class Choice:
    """Which arm ships, and why."""

    arm: Arm
    reason: str


def choose(head: Arm, tuned: list[Arm], scratch: Arm | None, labels: np.ndarray) -> Choice:
    """The choice among the arms. tuned: the fine-tuned model first, then averages, of which the likeliest stands for them all."""
    best = max(tuned, key=lambda one: one.likelihood(labels))
    choice = Choice(head, "") if not tuned else better(Choice(head, ""), best, labels)
    if choice.arm is head:
        choice = Choice(head, f"nothing beats the frozen head by a standard error on validation: {compared(best, head, labels)}")
    return better(choice, scratch, labels) if scratch else choice


def better(choice: Choice, other: Arm, labels: np.ndarray, certainty: float | None = None) -> Choice:
    """The choice as it stands, or `other` where it is right on more images, as metrics.better has it."""
    if paired.better(other.right(labels), choice.arm.right(labels), certainty):
        return Choice(other, f"{title(other)} beats {title(choice.arm)} on validation: {compared(other, choice.arm, labels)}")
    return choice


def compared(first: Arm, second: Arm, labels: np.ndarray) -> str:
    """Two arms in words and numbers."""
    ours, theirs = first.right(labels), second.right(labels)
    difference, error = paired.difference(ours, theirs)
    return (
        f"{title(first)} {ours.mean():.1%} of {len(labels)} images right, {title(second)} {theirs.mean():.1%} "
        f"(difference {difference:+.1%}, standard error {error:.1%})"
    )


def title(one: Arm) -> str:
    """An arm in words."""
    known = {HEAD: "the frozen head", FINE_TUNED: "the fine-tuned model", SCRATCH: "the network from random weights"}
    return f"the average with {one.mix:.0%} fine-tuned weights" if one.name == AVERAGE else known.get(one.name, naming.arm(one.name))
