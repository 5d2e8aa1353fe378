"""How far stated probabilities are off: the expected calibration error, without its bias, and its interval.

The plain error (Guo et al., ICML 2017) averages |share right - mean confidence| over bins of confidence. Chance alone makes it large if images
are few: 0.13 for twelve images of a model whose probabilities are exact and that is right on nine of ten. So it is compared with what it would
be if the true gap were the same in every bin: the estimate is the error of the gap under which the plain one is as often larger as smaller, the
ends of the interval are those under which it would be so small or so large in one draw of 40.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headstart.statistics.intervals import CONFIDENCE

HALVINGS = 12  # of the range of a gap: to a 4096th
CLEAR = 2.0  # standard errors from which on the probabilities are known to be too high, or too low
EQUAL = 1e-9  # what is nearer is equal


@dataclass(frozen=True)
class Bins:
    """The images of each confidence bin that has some: how many, how many are right, and their mean confidence (0-1)."""

    n: np.ndarray
    right: np.ndarray
    confidence: np.ndarray

    @property
    def error(self) -> float:
        """The plain expected calibration error (0-1)."""
        return float(self.of(self.right))

    def of(self, right: np.ndarray) -> np.ndarray:
        """The plain error (...,) if so many (..., bins) were right."""
        return np.asarray(np.abs(right - self.n * self.confidence).sum(-1) / self.n.sum())

    def moved(self, gap: float) -> np.ndarray:
        """What the shares of right answers (bins,) would be, were they off by `gap` (-1 to 1) in every bin."""
        return np.clip(self.confidence + gap, 0, 1)


def bins(probabilities: np.ndarray, labels: np.ndarray, count: int) -> Bins:
    """Probabilities (n, classes) of images of the given labels (n,), in `count` bins of equal width in confidence."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    place = np.minimum((confidence * count).astype(np.int64), count - 1)
    n, given = np.bincount(place, minlength=count), np.bincount(place, right, count)
    some = n > 0
    return Bins(n[some], given[some], np.bincount(place, confidence, count)[some] / n[some])


def error(found: Bins, *, draws: int, seed: int, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """The calibration error (0-1) without its bias, and the ends of its interval; the same seed gives the same.

    Both directions of a gap are tried unless the images show which it is.
    """
    tail, seen = (1 - confidence) / 2, found.error
    off = float((found.right - found.n * found.confidence).sum())
    spread = float(np.sqrt((found.n * found.confidence * (1 - found.confidence)).sum()))
    side = 1 if off > 0 else -1

    def larger(gap: float) -> float:
        return float(np.mean(_drawn(found, gap, draws, seed) >= seen - EQUAL))

    def smaller(gap: float) -> float:
        return float(np.mean(_drawn(found, gap, draws, seed) <= seen + EQUAL))

    def at(side: int, holds: Callable[[float], bool]) -> float:
        gap = side * _last(lambda size: holds(side * size))
        return float(found.of(found.n * found.moved(gap)))

    sides = (side,) if abs(off) > CLEAR * spread else (side, -side)
    low = min(at(one, lambda gap: larger(gap) < tail) for one in sides)
    high = max(at(one, lambda gap: smaller(gap) >= tail) for one in sides)
    middle = at(side, lambda gap: larger(gap) < 0.5)
    return min(max(middle, low), high), low, high


def _drawn(found: Bins, gap: float, draws: int, seed: int) -> np.ndarray:
    """Plain errors (draws,) if the true gap were so in every bin. The same random numbers for every gap."""
    random = np.random.default_rng(seed)
    return found.of(random.binomial(found.n, found.moved(gap), size=(draws, len(found.n))))


def _last(holds: Callable[[float], bool]) -> float:
    """The largest gap (0-1) for which something holds that holds for all smaller ones; 0 if it never does."""
    if not holds(0.0):
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
