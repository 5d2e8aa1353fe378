"""What more images would bring: a power law through a learning curve, with an interval.

The mean error of a model that was fitted on n images falls as a + b n^-c (Hestness et al., Deep learning scaling is predictable, empirically,
2017; Viering & Loog, The shape of learning curves, IEEE TPAMI 45, 2023), a, b >= 0. The law is fitted to bootstrap draws of the held-out images and of
the subsets that were fitted on; what is said is the median over the draws, the interval their quantiles. So it holds its estimate, and is
wide where the curve does not tell where it ends. It knows nothing of a law that is another beyond the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POWERS = np.linspace(0.1, 1.5, 29)  # c
LEVEL = 0.9  # of the intervals
DRAWS = 1000
MINIMUM = 3  # sizes, as the law has three parameters


@dataclass(frozen=True)
class Curve:
    """Held-out gains of models fitted on subsets.

    sizes: (m,) images that were fitted on, rising; gains: for each size (repeats, n), the gain of each held-out image, 0 or more.
    """

    sizes: np.ndarray
    gains: list[np.ndarray]


@dataclass(frozen=True)
class Foretold:
    """Mean gains at some sizes (k,) with their intervals (k, 2), and the differences to the first of them."""

    value: np.ndarray
    interval: np.ndarray
    more: np.ndarray
    more_interval: np.ndarray


def foretell(curve: Curve, at: np.ndarray, seed: int) -> Foretold:
    """The mean gain of a model that is fitted on `at` (k,) images, from MINIMUM sizes or more."""
    drawn = 1 - _drawn(curve, np.random.default_rng(seed))
    spread = np.maximum(drawn.std(axis=0), 1e-4)
    law = _fitted(curve.sizes, drawn, 1 / spread**2)
    said = 1 - _at(law, np.asarray(at, float))
    more = said - said[:, :1]
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return Foretold(np.median(said, axis=0), np.quantile(said, ends, axis=0).T, np.median(more, axis=0), np.quantile(more, ends, axis=0).T)


def _drawn(curve: Curve, random: np.random.Generator) -> np.ndarray:
    """Mean gains (DRAWS, sizes) of bootstrap draws: of the held-out images, the same for all sizes, and of the repeats of each size."""
    n = curve.gains[0].shape[1]
    means = np.empty((DRAWS, len(curve.sizes)))
    for draw in range(DRAWS):
        counts = np.bincount(random.integers(n, size=n), minlength=n) / n
        for size, gains in enumerate(curve.gains):
            repeats = random.integers(len(gains), size=len(gains))
            means[draw, size] = (gains[repeats] @ counts).mean()
    return means


def _fitted(sizes: np.ndarray, errors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """a, b and c (draws, 3) of the law that is nearest to errors (draws, sizes), by weighted squares."""
    best, law = np.full(len(errors), np.inf), np.zeros((len(errors), 3))
    for power in POWERS:
        x = (sizes / sizes[-1]) ** -power
        total, of_x, of_xx = weights.sum(), weights @ x, weights @ x**2
        of_y, of_xy = errors @ weights, errors @ (weights * x)
        b = (of_xy - of_x * of_y / total) / (of_xx - of_x**2 / total)
        b = np.maximum(b, 0)
        a = (of_y - b * of_x) / total
        b = np.where(a < 0, np.maximum(of_xy / of_xx, 0), b)
        a = np.maximum(a, 0)
        left = ((errors - a[:, None] - b[:, None] * x) ** 2) @ weights
        closer = left < best
        best = np.where(closer, left, best)
        law[closer] = np.stack([a, b * sizes[-1] ** power, np.full(len(a), power)], axis=1)[closer]
    return law


def _at(law: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The error (draws, k) that laws (draws, 3) foretell for sizes (k,)."""
    a, b, c = law.T[:, :, None]
    return np.asarray(a + b * sizes[None] ** -c)
