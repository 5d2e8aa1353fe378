"""The contenders: whole models that could ship, and what each says of the validation images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import encoding
from headstart.features import classify, of_source
from headstart.networks import averaging, kept, pairing
from headstart.networks.cards import SourceCard
from headstart.networks.heads import Head
from headstart.statistics import goals, likelihood, operating
from headstart.statistics.goals import ACCURACY, Goal
from headstart.statistics.operating import Point
from headstart.words import naming

HEAD, FINE_TUNED, AVERAGE, BOTH, SCRATCH = "head", "fine_tuned", "average", "both", "scratch"
MIXED = (AVERAGE, BOTH)  # what no training has scaled
SHARES = np.linspace(0.1, 1, 10)  # of the fine-tuned model in the logits of both that are weighed


@dataclass(frozen=True)
class Contender:
    """A whole model that could ship, and what it says of the validation images."""

    name: str
    weights: dict[str, np.ndarray]  # under the library's names
    card: SourceCard  # of its network
    logits: np.ndarray  # (n, classes) of the validation images
    mix: float | None = None  # share (0-1) of the fine-tuned weights in an average, of the fine-tuned model in the logits of both
    goal: Goal = ACCURACY  # what it is to be good at
    classes: tuple[str, ...] = ()  # needed if a recall or precision is to be reached
    temperature: float = 1.0  # by which its logits were divided, as far as that is known

    @property
    def subject(self) -> str:
        """What it is called in a sentence."""
        return naming.subject(self.name, self.mix)

    def point(self, labels: np.ndarray) -> Point:
        """From which probability it names a class, chosen on the validation images."""
        names = list(self.classes) or [str(number) for number in range(self.logits.shape[1])]
        return operating.choose(self.goal, likelihood.softmax(self.logits), labels, names)

    def right(self, labels: np.ndarray) -> np.ndarray:
        """Whether each image (n,) is classified rightly at its operating point."""
        return self.point(labels).named(likelihood.softmax(self.logits)) == labels

    def gain(self, labels: np.ndarray) -> np.ndarray:
        """What each image (n,) brings: 1 or 0, or, if classes count alike, so much that the mean is the balanced accuracy."""
        return np.asarray(self.right(labels) * self.goal.counts(labels))

    def merits(self, labels: np.ndarray) -> np.ndarray:
        """The log likelihood (n,) in nats of each label, at the best temperature and as the goal counts it.

        The temperature takes out how sure a model is overall, which moves no prediction.
        """
        logits = self.logits / likelihood.temperature(self.logits, labels)
        return self.goal.merits(logits, labels, goals.shares(labels, self.logits.shape[1]))

    def merit(self, labels: np.ndarray) -> float:
        """The mean of `merits`."""
        return float(self.merits(labels).mean())

    def likelihood(self, labels: np.ndarray) -> float:
        """Mean log likelihood (nats) of the labels (n,)."""
        return float(likelihood.of_labels(self.logits, labels).mean())


class Figures(TypedDict):
    """What a contender reaches on the validation images at its operating point: accuracy (0-1) and mean log likelihood (nats)."""

    name: str
    mix: float | None
    validation_accuracy: float
    log_likelihood: float
    validation_gain: float  # accuracy or balanced accuracy (0-1), as the goal has it
    point: dict[str, object]  # the fields of statistics/operating.py's Point


@dataclass(frozen=True)
class DataSet:
    """The images that contenders are trained and measured on, and the device that does it."""

    table: pd.DataFrame
    root: Path
    classes: list[str]
    device: Device = CPU
    goal: Goal = ACCURACY

    @property
    def validation(self) -> pd.DataFrame:
        """The validation rows."""
        return self.table[self.table["split"] == "validation"].reset_index(drop=True)

    @property
    def labels(self) -> np.ndarray:
        """Their classes (n,) as integers."""
        return encoding.encode(self.validation["label"], self.classes)


def measure(
    name: str, weights: dict[str, np.ndarray], card: SourceCard, data: DataSet, mix: float | None = None, temperature: float = 1.0
) -> Contender:
    """A whole model, and its logits of the validation images. What else is given are fields of Contender."""
    what = f"{name.replace('_', ' ')}, validation images"
    logits = classify.logits(weights, card, data.validation, data.root, data.device, what)
    return Contender(name, weights, card, logits, mix, data.goal, tuple(data.classes), temperature)


def frozen(head: Head, weights: dict[str, np.ndarray], card: SourceCard, data: DataSet) -> Contender:
    """The frozen head, measured from the stored features; `weights` are the source's with it on top."""
    logits = head.logits(of_source.of_source(card, data.validation, data.root, data.device))
    return Contender(HEAD, weights, card, logits, None, data.goal, tuple(data.classes))


def figures(one: Contender, labels: np.ndarray) -> Figures:
    """A contender's validation figures, with the labels (n,) of the images."""
    return {
        "name": one.name,
        "mix": one.mix,
        "validation_accuracy": float(one.right(labels).mean()),
        "log_likelihood": one.likelihood(labels),
        "validation_gain": float(one.gain(labels).mean()),
        "point": asdict(one.point(labels)),
    }


def fine_tuned(weights: dict[str, np.ndarray], card: SourceCard, logits: np.ndarray, data: DataSet, temperature: float) -> Contender:
    """The fine-tuned model, measured when it was trained."""
    return Contender(FINE_TUNED, weights, card, logits, None, data.goal, tuple(data.classes), temperature)


def averages(head: Contender, tuned: Contender, logits: Mapping[float, np.ndarray]) -> list[Contender]:
    """Averages of the weights of two models of one network, by the share (0-1) of the second, measured when that was trained."""
    return [
        replace(tuned, name=AVERAGE, weights=averaging.averaged(head.weights, tuned.weights, mix), logits=given, mix=mix, temperature=1.0)
        for mix, given in logits.items()
    ]


def both(head: Contender, tuned: Contender, labels: np.ndarray) -> Contender:
    """Both models side by side, their logits averaged: what one has wrong by chance, the other may have right. Nothing is computed anew.

    Each has the share that the validation images of `labels` (n,) give it.
    """
    mix = share(head, tuned, labels)
    joined = side_by_side(head.weights, tuned.weights, tuned.card, mix)
    width = 2 * (tuned.card.features or 0) or None
    card = replace(tuned.card, architecture=f"{pairing.PREFIX}{tuned.card.architecture}", features=width)
    return replace(tuned, name=BOTH, weights=joined, card=card, logits=averaging.mixed(head.logits, tuned.logits, mix), mix=mix)


def share(head: Contender, tuned: Contender, labels: np.ndarray) -> float:
    """The share (0-1) of the fine-tuned model in the logits of both.

    It is the mean of SHARES, each counting for as much as it makes the labels (n,) of the validation images likely (Hoeting et al., Bayesian
    model averaging, Statistical Science 1999). Few images leave the mean near two thirds, as shares are likely in proportion to themselves
    beforehand: what ships is fitted once more, with these images, from which a network gains more than a head. Many make it the likeliest
    share. Two digits: rounding on another machine is not to change what ships.
    """
    evidence = np.array([replace(tuned, logits=averaging.mixed(head.logits, tuned.logits, part)).merits(labels).sum() for part in SHARES])
    chances = SHARES * np.exp(evidence - evidence.max())
    return round(float((chances * SHARES).sum() / chances.sum()), 2)


def side_by_side(head: dict[str, np.ndarray], tuned: dict[str, np.ndarray], card: SourceCard, share: float) -> dict[str, np.ndarray]:
    """The weights of both models as one network, the second with a share (0-1) of the logits; `card` is that of either."""
    bias, weight = sorted(set(tuned) - set(kept.of_source(card)))
    return pairing.weights(head, tuned, (weight, bias), share)


def scaled(one: Contender, tuned: Contender, labels: np.ndarray) -> Contender:
    """A mix of the fine-tuned model with its logits divided by the temperature of the validation images of `labels` (n,), as that of a training are."""
    temperature = likelihood.temperature(one.logits, labels)
    weights = divided(one.weights, tuned.weights, tuned.card, temperature)
    return replace(one, weights=weights, logits=one.logits / temperature, temperature=temperature)


def divided(mix: dict[str, np.ndarray], tuned: dict[str, np.ndarray], card: SourceCard, temperature: float) -> dict[str, np.ndarray]:
    """The weights of a mix of the model `tuned`, whose source is that of `card`, with its logits divided by a temperature."""
    head = set(tuned) - set(kept.of_source(card))
    return {key: np.asarray(value / temperature, value.dtype) if key in head else value for key, value in mix.items()}
