"""How fast two groups of trainings learn: the steps that each takes to a share of the better one's final score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from headstart.statistics.records import Record

ENOUGH_SEEDS = 5  # to estimate the variance between seeds
SHARE = 0.9  # of the final score of the better group: the level whose steps are counted
DRAWN = 10_000_000  # image weights drawn at a time

Groups = tuple[list[Record], list[Record]]  # of the first and of the second, a record per seed


class Reached(TypedDict):
    """How many seeds of each group got to the threshold."""

    first: int
    second: int


class Slope(TypedDict):
    """Steps to the threshold (an accuracy, 0-1), the median over seeds.

    None means that it was never reached; as an end of the interval, that it is open.
    """

    threshold: float
    first: float | None
    second: float | None
    difference: float | None
    interval: list[float | None]
    reached: Reached


def slope(groups: Groups, crossed: bool, level: float, resamples: int, random: np.random.Generator) -> Slope:
    """Steps to the threshold, as they are and with the interval of their difference; see `compare`."""
    seeds = len(groups[0])
    threshold, steps = _steps(groups, [[one.right.mean(axis=1)[None] for one in group] for group in groups], np.arange(seeds)[None])
    drawn = []
    size = max(DRAWN // max(len(one.images) for one in groups[0]), 1)
    for start in range(0, resamples, size):
        count = min(size, resamples - start)
        if crossed:
            weights = [_weights(len(groups[0][0].images), count, random)] * seeds
        else:
            weights = [_weights(len(one.images), count, random) for one in groups[0]]
        chosen = random.integers(seeds, size=(count, seeds)) if seeds >= ENOUGH_SEEDS else np.tile(np.arange(seeds), (count, 1))
        scores = [[weight @ one.right.T.astype(np.float32) for weight, one in zip(weights, group, strict=True)] for group in groups]
        drawn.append(_steps(groups, scores, chosen)[1])
    (first, first_most), (second, second_most) = np.concatenate(drawn, axis=2)
    reached = [sum(steps_to(one.right, one.steps, threshold[0]) is not None for one in group) for group in groups]
    return {
        "threshold": float(threshold[0]),
        "first": _finite(steps[0, 1, 0]),
        "second": _finite(steps[1, 1, 0]),
        "difference": _finite(steps[0, 1, 0] - steps[1, 1, 0]) if np.isfinite(steps).all() else None,
        "interval": [_finite(_low(first - second_most, level)), _finite(-_low(second - first_most, level))],
        "reached": {"first": reached[0], "second": reached[1]},
    }


def _steps(groups: Groups, scores: Sequence[Sequence[np.ndarray]], chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds (resamples,), and the median steps to them of both groups (2, 2, resamples).

    Of each group there are two medians, the least and the most that it can be: a record that never got there takes more than its last
    step, so at least that, and at most infinitely many.
    scores: of each group and seed (resamples, rows); chosen: the seeds that count (resamples, seeds).
    """
    final = [
        np.stack([score[:, one.best] for one, score in zip(group, of_seeds, strict=True)], axis=1)
        for group, of_seeds in zip(groups, scores, strict=True)
    ]
    threshold = SHARE * np.maximum(*(np.take_along_axis(some, chosen, axis=1).mean(axis=1) for some in final))
    medians = []
    for group, of_seeds in zip(groups, scores, strict=True):
        least, most = [], []
        for one, score in zip(group, of_seeds, strict=True):
            reached = _at_least(score, threshold[:, None])
            at = one.steps[reached.argmax(axis=1)]
            least.append(np.where(reached.any(axis=1), at, one.steps[-1]))
            most.append(np.where(reached.any(axis=1), at, np.inf))
        medians.append([np.median(np.take_along_axis(np.stack(some, axis=1), chosen, axis=1), axis=1) for some in (least, most)])
    return threshold, np.array(medians)


def _low(values: np.ndarray, level: float) -> float:
    return float(np.quantile(values, level, method="inverted_cdf"))


def _at_least(score: np.ndarray, threshold: np.ndarray | float) -> np.ndarray:
    """Whether a score reaches a threshold; sums of float32 weights are off by less than 1e-6."""
    return score >= threshold - 1e-6


def _weights(n: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Weights (count, n) of n images in `count` bootstrap resamples."""
    rows = random.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
    return (np.bincount(rows.ravel(), minlength=count * n).reshape(count, n) / n).astype(np.float32)


def _finite(value: float) -> float | None:
    return float(value) + 0.0 if np.isfinite(value) else None  # no -0.0


def steps_to(right: np.ndarray, steps: np.ndarray, threshold: float) -> int | None:
    """The steps (rows,) at which the share of right (rows, n) first is `threshold` or more; None: never."""
    reached = np.flatnonzero(_at_least(right.mean(axis=1), threshold))
    return int(steps[reached[0]]) if len(reached) else None
