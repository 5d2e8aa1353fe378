"""The contenders, whole models that could ship, and how one is chosen from the validation images.

Every contender competes at its own operating point, every class counting alike unless the goal is accuracy (headstart/statistics/goals.py). It
is better if it gains more on the validation images by more than a paired standard error; or, if neither does, if it is likelier with
LIKELIER certainty: few images show that far sooner. Few images show little of either. If the epoch of the fine-tuned network was picked on
these images, to be as good as the frozen head there says nothing, and the head ships unless it is better; with ENOUGH_IMAGES of them the luck of that pick
is small, and what gains more ships. If its last weights are taken, it ships unless
the head is better: it was, on many more images (docs/decisions.md, "Fine-tuning"). An average of source and fine-tuned weights takes the place
of the fine-tuned ones if it is better than these. The averages compete as one, by their likelihood: it tells mixes apart when their accuracies
are equal, and does not let the best of several win by luck more often than not. So does the pair of both models, whose logits are averaged:
fine-tuning far from the source leaves weights that cannot be averaged. Of fewer than 20 validation images the pair is asked first, as it
loses least if fine-tuning has lost. A network from random weights ships only if it is better than what else would.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import encoding, folding
from headstart.features import classify, of_source
from headstart.networks import kept, pairing
from headstart.networks.cards import SourceCard
from headstart.networks.heads import Head
from headstart.statistics import goals, likelihood, operating, paired
from headstart.statistics.goals import ACCURACY, Goal
from headstart.statistics.operating import Point
from headstart.words import naming

HEAD, FINE_TUNED, AVERAGE, BOTH, SCRATCH = "head", "fine_tuned", "average", "both", "scratch"
LIKELIER = 0.95  # one-sided certainty of a paired t test, if a contender ships for its likelihood without gaining more
MIXED = (AVERAGE, BOTH)  # what no training has scaled
MIXES = (0.25, 0.5, 0.75)  # shares of the fine-tuned weights in an average


@dataclass(frozen=True)
class Contender:
    """A whole model that could ship, and what it says of the validation images."""

    name: str
    weights: dict[str, np.ndarray]  # under the library's names
    card: SourceCard  # of its network
    logits: np.ndarray  # (n, classes) of the validation images
    mix: float | None = None  # share (0-1) of the fine-tuned weights in an average
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


@dataclass(frozen=True)
class Shipped:
    """The contender that ships, and why."""

    contender: Contender
    reason: str


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


def averages(head: Contender, tuned: Contender, data: DataSet) -> list[Contender]:
    """Averages of two models of one network, in the mixes tried.

    Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022.
    """
    return [measure(AVERAGE, averaged(head.weights, tuned.weights, mix), tuned.card, data, mix) for mix in MIXES]


def averaged(head: dict[str, np.ndarray], tuned: dict[str, np.ndarray], mix: float) -> dict[str, np.ndarray]:
    """The average of two models' weights with a share `mix` (0-1) of the second."""
    return {key: mixed(head[key], value, mix) for key, value in tuned.items()}


def both(head: Contender, tuned: Contender) -> Contender:
    """Both models side by side, their logits averaged: what one has wrong by chance, the other may have right. Nothing is computed anew."""
    joined = side_by_side(head.weights, tuned.weights, tuned.card)
    width = 2 * (tuned.card.features or 0) or None
    card = replace(tuned.card, architecture=f"{pairing.PREFIX}{tuned.card.architecture}", features=width)
    return replace(tuned, name=BOTH, weights=joined, card=card, logits=(head.logits + tuned.logits) / 2)


def side_by_side(head: dict[str, np.ndarray], tuned: dict[str, np.ndarray], card: SourceCard) -> dict[str, np.ndarray]:
    """The weights of both models as one network; `card` is that of either."""
    bias, weight = sorted(set(tuned) - set(kept.of_source(card)))
    return pairing.weights(head, tuned, (weight, bias), 0.5)


def scaled(one: Contender, tuned: Contender, labels: np.ndarray) -> Contender:
    """A mix of the fine-tuned model with its logits divided by the temperature of the validation images of `labels` (n,), as that of a training are."""
    temperature = likelihood.temperature(one.logits, labels)
    weights = divided(one.weights, tuned.weights, tuned.card, temperature)
    return replace(one, weights=weights, logits=one.logits / temperature, temperature=temperature)


def divided(mix: dict[str, np.ndarray], tuned: dict[str, np.ndarray], card: SourceCard, temperature: float) -> dict[str, np.ndarray]:
    """The weights of a mix of the model `tuned`, whose source is that of `card`, with its logits divided by a temperature."""
    head = set(tuned) - set(kept.of_source(card))
    return {key: np.asarray(value / temperature, value.dtype) if key in head else value for key, value in mix.items()}


def mixed(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """The average of two arrays with a share (0-1) of the second; counters (integers) are the second's."""
    if not np.issubdtype(second.dtype, np.floating):
        return second
    return np.asarray((1 - share) * first.astype(np.float64) + share * second, second.dtype)


def choose(
    head: Contender, tuned: list[Contender], scratch: Contender | None, labels: np.ndarray, absent: str = "", *, picked: bool = True
) -> Shipped:
    """What ships of the contenders, by their gains on the validation images of `labels` (n,).

    tuned: the fine-tuned model first, then averages and the pair. None if there is no fine-tuned model, of which `absent` gives the reason. scratch: the network from random
    weights, None if none was trained. picked: whether the epoch of the fine-tuned model was picked on these images.
    """
    shipped = Shipped(head, absent)
    if tuned:
        best = _best_of(tuned, labels)
        shipped = better_of(shipped, best, labels)
        if shipped.contender is head:
            shipped = _tie(head, best, tuned, labels, picked)
    return better_of(shipped, scratch, labels) if scratch else shipped


def _tie(head: Contender, best: Contender, tuned: list[Contender], labels: np.ndarray, picked: bool) -> Shipped:
    """What ships if `best` of the fine-tuned model and its mixes is not shown to be better than the head."""
    told = compared(best, head, labels)
    if not picked:
        return better_of(Shipped(best, f"{best.subject} is not shown to be worse: {told}"), head, labels)
    most = max(tuned, key=lambda one: one.gain(labels).mean())
    if len(labels) >= folding.ENOUGH_IMAGES and most.gain(labels).mean() > head.gain(labels).mean():
        return better_of(Shipped(most, f"{most.subject} gains more on validation: {compared(most, head, labels)}"), head, labels)
    return Shipped(head, f"nothing beats the frozen head by a standard error on validation: {told}")


def _best_of(tuned: list[Contender], labels: np.ndarray) -> Contender:
    """The fine-tuned model, or the pair if images are very few; or the likeliest of the others if that is better."""
    order = sorted(tuned, key=lambda one: one.name != BOTH) if len(labels) < folding.LEAST_RACED else tuned
    first, *others = order
    return better_of(Shipped(first, ""), max(others, key=lambda one: one.merit(labels)), labels).contender if others else first


def better_of(shipped: Shipped, other: Contender, labels: np.ndarray, certainty: float | None = None) -> Shipped:
    """What ships already, or `other` if it is better.

    With `certainty`, it must gain more (paired.better). Without, it is enough if it is likelier and does not gain less.
    """
    before = shipped.contender
    told = compared(other, before, labels)
    if paired.better(other.gain(labels), before.gain(labels), certainty):
        return Shipped(other, f"{other.subject} beats {before.subject} on validation: {told}")
    if certainty is None and not paired.better(before.gain(labels), other.gain(labels)):
        ours, theirs = other.merits(labels), before.merits(labels)
        if paired.better(ours, theirs, LIKELIER):
            gap, error = paired.difference(ours, theirs)
            likelier = f"its probabilities fit the labels of the validation images better, by {gap:.3f} nats per image (standard error {error:.3f})"
            return Shipped(other, f"{other.subject} beats {before.subject}: {likelier}; {told}")
    return shipped


def compared(first: Contender, second: Contender, labels: np.ndarray) -> str:
    """Two contenders in words and numbers."""
    ours, theirs = first.gain(labels), second.gain(labels)
    n = len(labels)
    start = (
        f"{first.subject} balanced accuracy {ours.mean():.1%} on {n} images"
        if first.goal.even
        else f"{first.subject} {ours.mean():.1%} of {n} images right"
    )
    said = paired.points(paired.difference(ours, theirs)[0], *paired.interval(ours, theirs))
    return f"{start}, {second.subject} {theirs.mean():.1%} ({said})"
