"""Every interval that people read: of a share of images, and of a mean paired difference in right answers.

`share` is for one model. `crossed`, `folds` and `images` take differences between -1 and 1 and the error rate `level` of one end of the
interval. How each is made, and which papers it is from, is told where they are chosen (headstart/proof/comparison.py). `proportions` is for
two models that were run once. How often they hold is simulated by benchmarks/coverage.py. The interval of the calibration error is made
beside its estimate (calibration.py).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, stdtrit

Ends = tuple[np.ndarray, np.ndarray]  # lower and upper
CONFIDENCE = 0.95  # of the interval of one model's figures
HALVINGS = 50  # of the range of an end: finer than a float can tell


def share(right: ArrayLike, n: ArrayLike, confidence: float = CONFIDENCE) -> Ends:
    """Ends (...,) of the interval of a share of which `right` (...,) of `n` (...,) images were seen.

    Both ends of the exact interval for a binomial share, with the observed number counted half (mid-P; Lancaster, Biometrika 48, 1961): the
    exact one itself holds in more than 99% of samples if errors are few. It holds the observed share, and never has zero width. Numbers need
    not be whole: a figure that is a weighted mean counts as the share of fewer images that is as uncertain (Korn & Graubard, Survey
    Methodology 24, 1998).
    """
    x, total = np.broadcast_arrays(np.asarray(right, np.float64), np.asarray(n, np.float64))
    tail = (1 - confidence) / 2

    def more(p: np.ndarray) -> np.ndarray:
        """How likely a share p gives more than `right`, or as many with half of the weight."""
        as_many = np.where(x > 0, betainc(np.maximum(x, 1e-9), total - x + 1, p), 1.0)
        more = np.where(x < total, betainc(x + 1, np.maximum(total - x, 1e-9), p), 0.0)
        return np.asarray(as_many + more) / 2

    def where(chance: float) -> np.ndarray:
        low, high = np.zeros(x.shape), np.ones(x.shape)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = more(middle) < chance
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    return np.where(x > 0, where(tail), 0.0), np.where(x < total, where(1 - tail), 1.0)


def crossed(differences: np.ndarray, level: float) -> Ends:
    """Ends (...,) of the interval of the mean of paired differences (..., seeds, images).

    There are two seeds at least; seeds and images are random effects.
    """
    *_, seeds, n = differences.shape
    mean, of_seed, of_image = (differences.mean(axis, dtype=np.float64) for axis in ((-2, -1), -1, -2))
    between_seeds = ((of_seed - mean[..., None]) ** 2).sum(-1)
    between_images = ((of_image - mean[..., None]) ** 2).sum(-1)
    total = np.square(differences).sum((-2, -1), dtype=np.float64) - seeds * n * mean**2
    residual = np.maximum(total - n * between_seeds - seeds * between_images, 0) / ((seeds - 1) * max(n - 1, 1))
    of_seeds = between_seeds / (seeds - 1) / seeds
    of_images = np.maximum(between_images / max(n - 1, 1) / n - residual / (seeds * n), 0)
    variance = of_seeds + of_images
    spread = of_seeds**2 / (seeds - 1) + of_images**2 / max(n - 1, 1)
    freedom = np.where(spread > 0, variance**2 / np.where(spread > 0, spread, 1), max(n - 1, 1))
    return _ends(mean, variance, freedom, n, level, _unit(of_image))


def folds(differences: np.ndarray, fold: np.ndarray, level: float) -> Ends:
    """Ends (...,) of the interval of the mean of paired differences (..., images).

    Each image is in one `fold` (images,), from 0; there are two folds at least.
    """
    n, sizes = len(fold), np.bincount(fold)
    mean = differences.mean(-1, dtype=np.float64)
    of_fold = differences @ np.eye(len(sizes))[fold] / sizes
    between = (sizes * (of_fold - mean[..., None]) ** 2).sum(-1) / (len(sizes) - 1)
    inside = n - len(sizes)
    within = np.maximum(np.square(differences).sum(-1, dtype=np.float64) - (sizes * of_fold**2).sum(-1), 0) / max(inside, 1)
    freedom = np.where((between >= within) | (inside == 0), len(sizes) - 1, max(inside, 1))
    return _ends(mean, np.maximum(between, within if inside else 0) / n, freedom, n, level, _unit(differences))


def images(differences: np.ndarray, level: float) -> Ends:
    """Ends (...,) of the interval of the mean of paired differences (..., images), over images only.

    It is that of the seeds at hand.
    """
    n = differences.shape[-1]
    mean = differences.mean(-1, dtype=np.float64)
    variance = ((differences - mean[..., None]) ** 2).sum(-1) / max(n - 1, 1) / n
    return _ends(mean, variance, np.full_like(mean, max(n - 1, 1)), n, level, _unit(differences))


def proportions(gained: int, lost: int, n: int, confidence: float) -> tuple[float, float]:
    """Ends of the interval of the difference between two shares of the same `n` images, between -1 and 1.

    `gained` images are right by the first model alone, `lost` by the second alone; each end holds with `confidence` (0-1) on its own.
    This is the
    adjusted Wald interval for paired proportions (Bonett & Price, Journal of Educational and Behavioral Statistics 37, 2012), which
    keeps its
    width if the two models never differ.
    """
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    reach = NormalDist().inv_cdf(confidence) * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return max(up - down - reach, -1.0), min(up - down + reach, 1.0)


def _unit(of_image: np.ndarray) -> np.ndarray:
    """By how much images (..., n) differ that differ at all.

    They are weighted by how much they do, and an image that differs by 1 is added.
    """
    return (1 + np.square(of_image).sum(-1, dtype=np.float64)) / (1 + np.abs(of_image).sum(-1, dtype=np.float64))


def _ends(mean: np.ndarray, variance: np.ndarray, freedom: np.ndarray, n: int, level: float, unit: np.ndarray) -> Ends:
    """The lowest and the highest δ for which (mean - δ)² <= t² max(variance, |δ| (unit - |δ|) / n).

    They are -1 and 1 if n is too small.
    """
    if 0.5**n > level:
        return np.full_like(mean, -1), np.full_like(mean, 1)
    quantile = stdtrit(freedom, 1 - level)
    reach, k = quantile * np.sqrt(variance), quantile**2 / n
    low = np.minimum(mean - reach, -unit * _wilson(-mean / unit, k))
    high = np.maximum(mean + reach, unit * _wilson(mean / unit, k))
    return np.maximum(low, -1.0), np.minimum(high, 1.0)


def _wilson(mean: np.ndarray, k: np.ndarray) -> np.ndarray:
    """The highest δ for which (mean - δ)² <= k |δ| (1 - |δ|).

    It is the larger root of a δ > 0 if there is one, else that of a δ < 0.
    """
    above, below = k * (k + 4 * mean * (1 - mean)), k * (k - 4 * mean * (1 + mean))
    larger = (2 * mean + k + np.sqrt(np.maximum(above, 0))) / (2 * (1 + k))
    nearest = (2 * mean - k + np.sqrt(np.maximum(below, 0))) / (2 * (1 + k))
    return np.where((mean >= 0) | (above >= 0), larger, nearest)
