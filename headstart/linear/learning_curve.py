"""The learning curve of the head on the frozen base: heads fitted on ever fewer of the images, and what more images would bring.

It costs no pass of a network: the features are at hand. Each subset is drawn class by class from the images of all folds but one, and judged
on that fold. The penalty is the one that was chosen for all images, as much heavier as the images are fewer, so that the head believes the
same of its weights before it sees images.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from threadpoolctl import threadpool_limits

from headstart.base.cores import in_order
from headstart.base.reading import Features, Selected
from headstart.linear import logistic
from headstart.linear.logistic import CrossValidated
from headstart.machinery.progress import Progress
from headstart.statistics import extrapolation, goals
from headstart.statistics.extrapolation import Curve
from headstart.statistics.goals import Goal

HALVINGS, FEWEST = 5, 4  # of the images; images of the rarest class in a subset
LARGEST = 20_000  # images in a subset, for time
REPEATS, MANY = 2, 2_000  # subsets for each fold and size, of so many images at most; one beyond
TIMES = (1, 2, 4)  # as many images as there are


class Measured(TypedDict):
    """A point of the curve: images that a head was fitted on, and its accuracy or balanced accuracy (0-1) on others."""

    images: int
    value: float


class Expected(TypedDict):
    """What a head would reach on so many images (0-1), and how much more that is than on those at hand; 90% intervals."""

    images: int
    value: float
    interval: list[float]
    more: float
    more_interval: list[float]


class LearningCurve(TypedDict):
    """The curve and where it leads, as in models/head/summary.json."""

    measure: str  # accuracy or balanced_accuracy
    measured: list[Measured]
    expected: list[Expected]  # of TIMES as many images; none if there are too few to tell


def measure(
    features: Features, labels: np.ndarray, folds: np.ndarray, *, classes: int, validated: CrossValidated, goal: Goal, seed: int
) -> LearningCurve:
    """Measure the curve and extrapolate it.

    features: (n, d); labels: (n,) integers below `classes`; folds, validated: those of the head that was fitted on all of them.
    """
    curve = _curve(features, labels, folds, classes, validated, goal, seed)
    measured: list[Measured] = [
        {"images": int(size), "value": float(gains.mean())} for size, gains in zip(curve.sizes, curve.gains, strict=True)
    ]
    expected: list[Expected] = []
    if len(curve.sizes) >= extrapolation.MINIMUM:
        at = np.array(TIMES) * len(labels)
        found = extrapolation.foretell(curve, at, seed)
        expected = [
            {
                "images": int(images),
                "value": float(found.value[i]),
                "interval": [float(end) for end in found.interval[i]],
                "more": float(found.more[i]),
                "more_interval": [float(end) for end in found.more_interval[i]],
            }
            for i, images in enumerate(at)
        ]
    return {"measure": "balanced_accuracy" if goal.even else "accuracy", "measured": measured, "expected": expected}


def _curve(
    features: Features, labels: np.ndarray, folds: np.ndarray, classes: int, validated: CrossValidated, goal: Goal, seed: int
) -> Curve:
    whole = len(labels) * (1 - 1 / (folds.max() + 1))
    rarest = np.bincount(labels, minlength=classes).min() / len(labels)
    sizes = [int(whole / 2**halving) for halving in range(HALVINGS, 0, -1)]
    sizes = [size for size in sizes if size * rarest >= FEWEST and size <= LARGEST]
    repeats = REPEATS if len(labels) <= MANY else 1
    random = np.random.default_rng(seed)
    gains = [np.empty((repeats, len(labels))) for _ in sizes]
    jobs = [
        (size, repeat, fold, _subset(np.flatnonzero(folds != fold), labels, sizes[size], random))
        for size in range(len(sizes))
        for repeat in range(repeats)
        for fold in range(int(folds.max()) + 1)
    ]

    def one(job: tuple[int, int, int, np.ndarray]) -> np.ndarray:
        *_, fold, rows = job
        penalty = validated.penalty * whole / len(rows)
        head = logistic.once(
            Selected(features, rows), labels[rows], classes=classes, penalty=penalty, balanced=validated.balanced, goal=goal
        )
        return head.logits(Selected(features, np.flatnonzero(folds == fold)))

    with Progress(len(jobs), "learning curve, fits") as progress, threadpool_limits(1):
        for (size, repeat, fold, _), logits in zip(jobs, in_order(one, jobs), strict=True):
            gains[size][repeat, folds == fold] = _gain(logits, labels, folds == fold, classes, goal)
            progress.step()
    everything = np.ones(len(labels), bool)
    last = _gain(validated.held_out, labels, everything, classes, goal)[None]
    return Curve(np.array([*sizes, int(whole)]), [*gains, last])


def _subset(rows: np.ndarray, labels: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """About `size` of these rows, the same share of each class, in order."""
    share = size / len(rows)
    parts = [random.permutation(rows[labels[rows] == label]) for label in np.unique(labels[rows])]
    return np.sort(np.concatenate([part[: max(round(share * len(part)), 1)] for part in parts]))


def _gain(logits: np.ndarray, labels: np.ndarray, rows: np.ndarray, classes: int, goal: Goal) -> np.ndarray:
    """The gain of each of `rows` (n,) bool from their logits; classes that count alike are named by their shares of all images."""
    seen = goal.seen(logits, goals.shares(labels, classes))
    return np.asarray((seen.argmax(1) == labels[rows]) * goal.counts(labels)[rows])
