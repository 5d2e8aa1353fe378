"""The operating point: from which probability a class is named.

A point has a factor for each class: the probabilities are multiplied by them, and the class of the largest product is named. Of two classes,
a factor f is the threshold 1 / (1 + f). Points are chosen on images that the model was not fitted on.

- accuracy: all factors are 1, so the likeliest class is named.
- balanced accuracy: each class is divided by its share of the images, which is best if the probabilities hold (Menon et al., Long-tail
  learning via logit adjustment, ICLR 2021). Another strength of that rule is used if a paired test is 99% certain that it is better.
- recall, precision: the factor of the class that is to be found is the largest, or the least, for which the held-out images show what is
  asked for: the lower Clopper-Pearson bound (Biometrika 26, 1934) of its recall or precision at CERTAINTY is not below it. For a recall this is
  a bound on a quantile that holds for any model. If no factor does, the one of the highest bound is taken, and the point says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaincinv

from headstart.statistics import goals, paired
from headstart.statistics.goals import Goal

CERTAINTY = 0.9  # one-sided, that a recall or precision is what was asked for
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.25, 1.5, 2.0)  # of the division by the classes' shares, beside 1
SURE = 0.99  # one-sided, that another strength is better: with one standard error, one of seven would be by chance more often than not
FLOOR = 1e-12  # least probability that is told from 0


@dataclass(frozen=True)
class Point:
    """From which probability a class is named, and what that was chosen by."""

    factors: tuple[float, ...]  # of the classes; the largest product of factor and probability is named
    n: int = 0  # held-out images that it was chosen on
    held_out: float | None = None  # what they show of the measure of the goal (0-1)
    bound: float | None = None  # for a recall or precision: what it is at least, with CERTAINTY
    reached: bool | None = None  # whether that bound is what was asked for

    def named(self, probabilities: np.ndarray) -> np.ndarray:
        """The class (n,) that is named, from probabilities (n, classes)."""
        return np.asarray((probabilities * np.array(self.factors)).argmax(1))

    def threshold(self, number: int) -> float | None:
        """The probability (0-1) from which class `number` is named, if there are two classes; else None."""
        if len(self.factors) != 2:
            return None
        other = self.factors[1 - number]
        return other / (other + self.factors[number])


def read(content: Mapping[str, Any]) -> Point:
    """A point from the JSON values of its fields."""
    return Point(**{**content, "factors": tuple(content["factors"])})


def plain(classes: int) -> Point:
    """The point at which the likeliest class is named."""
    return Point((1.0,) * classes)


def choose(goal: Goal, probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> Point:
    """The point for a goal, from held-out probabilities (n, classes) and labels (n,) as integers."""
    if goal.measure in ("recall", "precision"):
        return _reaching(goal, probabilities, labels, classes)
    if goal.measure == "accuracy":
        right = probabilities.argmax(1) == labels
        return Point((1.0,) * len(classes), len(labels), float(right.mean()))
    return _balanced(goal, probabilities, labels)


def _balanced(goal: Goal, probabilities: np.ndarray, labels: np.ndarray) -> Point:
    prior = goals.shares(labels, probabilities.shape[1])

    def at(strength: float) -> tuple[np.ndarray, np.ndarray]:
        factors = (prior.max() / prior) ** strength
        return factors, ((probabilities * factors).argmax(1) == labels) * goal.counts(labels)

    factors, gain = at(1.0)
    rival, theirs = max((at(strength) for strength in STRENGTHS), key=lambda pair: float(pair[1].mean()))
    if paired.better(theirs, gain, SURE):
        factors, gain = rival, theirs
    return Point(tuple(map(float, factors)), len(labels), float(gain.mean()))


def _reaching(goal: Goal, probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> Point:
    assert goal.label is not None
    assert goal.reach is not None
    number = classes.index(goal.label)
    scores, positive = odds(probabilities, number), labels == number
    cuts, found, named = counted(scores, positive)
    of = np.full(len(named), positive.sum()) if goal.measure == "recall" else named
    bounds = lower_bound(found, of)
    good = np.flatnonzero(bounds >= goal.reach)
    named_least, named_most = (int(good[0]), int(good[-1])) if len(good) else (int(bounds.argmax()),) * 2
    at = named_least if goal.measure == "recall" else named_most
    factors = np.ones(len(classes))
    factors[number] = np.exp(-_between(cuts, at))
    held_out, bound = float(found[at] / max(of[at], 1)), float(bounds[at])
    return Point(tuple(map(float, factors)), len(labels), held_out, bound, bool(len(good)))


def odds(probabilities: np.ndarray, number: int) -> np.ndarray:
    """Log odds (n,) of class `number` against the likeliest other one: it is named if these are above a cut."""
    logs = np.log(np.maximum(probabilities.astype(np.float64), FLOOR))
    return np.asarray(logs[:, number] - np.delete(logs, number, axis=1).max(axis=1))


def counted(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts, from the highest down, and at each the images that it finds and those that it names.

    scores: (n,); positive: (n,) bool. Images of one score are named together.
    """
    order = np.argsort(-scores, kind="stable")
    falls = np.flatnonzero(np.append(np.diff(scores[order]) < 0, True))
    return scores[order][falls], np.cumsum(positive[order])[falls], falls + 1


def _between(cuts: np.ndarray, at: int) -> float:
    """A cut just below the one at `at`: midway to the next, so that rounding names no image twice."""
    return float((cuts[at] + cuts[at + 1]) / 2) if at + 1 < len(cuts) else float(cuts[at] - 1e-6)


def lower_bound(hits: np.ndarray | int, n: np.ndarray | int, certainty: float = CERTAINTY) -> np.ndarray:
    """What a share is at least, with a one-sided certainty, if `hits` of `n` were (Clopper & Pearson)."""
    hits, n = np.asarray(hits), np.asarray(n)
    bound = betaincinv(np.maximum(hits, 1), n - hits + 1, 1 - certainty)
    return np.asarray(np.where(hits > 0, bound, 0.0))


def interval(hits: int, n: int, level: float = 0.95) -> list[float]:
    """Both ends of the exact interval of a share of which `hits` of `n` were; 0 to 1 of none."""
    if n == 0:
        return [0.0, 1.0]
    certainty = (1 + level) / 2
    return [float(lower_bound(hits, n, certainty)), float(1 - lower_bound(n - hits, n, certainty))]
