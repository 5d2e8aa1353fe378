"""What can be said of predictions without labels.

Networks that were trained apart err apart: if each carries the labels over by itself and they come to the same, that is a sign that it
worked, and the share of images on which they agree is close to the accuracy (Jiang et al., ICLR 2022). The mean confidence is not: methods
that sharpen their own predictions are sure of anything.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from headstart.domains import discriminant
from headstart.domains.spaces import Spaces
from headstart.statistics.probabilities import tempered, with_shares

DRAWS = 500
RESOLVED = 0.7  # confidence at which labels that were carried back are read


def kappa(first: np.ndarray, second: np.ndarray, classes: int) -> float:
    """How far two namings (n,) agree beyond chance: 1 if always, 0 if as two that know nothing of each other (Cohen, 1960)."""
    by_chance = float((np.bincount(first, minlength=classes) * np.bincount(second, minlength=classes)).sum()) / len(first) ** 2
    return (float((first == second).mean()) - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0


def mean_kappa(named: list[np.ndarray], classes: int) -> float:
    """The mean over all pairs of namings."""
    return float(np.mean([kappa(a, b, classes) for a, b in combinations(named, 2)]))


def with_others(named: list[np.ndarray], classes: int) -> np.ndarray:
    """For each naming its mean agreement beyond chance with the others."""
    return np.array([np.mean([kappa(a, b, classes) for j, b in enumerate(named) if j != i]) for i, a in enumerate(named)])


def more_than(adapted: list[np.ndarray], plain: list[np.ndarray], classes: int, seed: int) -> tuple[float, float]:
    """By how much adapted namings agree more than plain ones, beyond chance: 95% interval, the images drawn again."""
    random = np.random.default_rng(seed)
    gaps = []
    for _ in range(DRAWS):
        rows = random.integers(0, len(adapted[0]), len(adapted[0]))
        gaps.append(mean_kappa([a[rows] for a in adapted], classes) - mean_kappa([p[rows] for p in plain], classes))
    low, high = np.quantile(gaps, [0.025, 0.975])
    return float(low), float(high)


def accuracy(named: list[np.ndarray], chosen: int, back: float) -> tuple[float, float, float]:
    """What is known without labels of the accuracy of one naming: estimate, lower and upper end (0-1).

    back: share of the labelled images that are right if the labels are carried back. The estimate is the mean of that and of the mean
    agreement with the others. The lower end is the product of the least agreement and the square of `back`: all may err together, most where both domains are
    alike to every network. The upper end is half
    way from the largest agreement to one: two namings of which one is right more often than that would agree more. Both are moved by two
    standard errors. It is no interval of a stated coverage: labels of some images are needed for that.
    """
    agree = [float((named[chosen] == other).mean()) for i, other in enumerate(named) if i != chosen]
    error = 2 * np.sqrt(max(agree[0] * (1 - agree[0]), 0.01) / len(named[chosen]))
    return (float(np.mean(agree)) + back) / 2, max(0.0, min(agree) * back**2 - error), min(1.0, (1 + max(agree)) / 2 + error)


def nuclear_norm(q: np.ndarray) -> float:
    """How sure and how varied probabilities (n, k) are, 0-1: 1 if every image is sure and the classes are even (Cui et al., CVPR 2020)."""
    return float(np.linalg.norm(q, "nuc") / np.sqrt(len(q) * q.shape[1]))


def carried_back(spaces: Spaces, q: np.ndarray) -> float:
    """Share (0-1) of the labelled images that are right if the labels are taken back from the other domain (Zhong et al., 2010)."""
    weights = np.ones(len(q))
    z = np.sum([discriminant.scaled(discriminant.logits(b, q, weights, a)) for a, b in spaces.common], axis=0)
    p = with_shares(tempered(z - z.mean(0), max(RESOLVED, 1.2 / spaces.classes)), np.maximum(spaces.shares, 1e-6))
    return float((p.argmax(1) == spaces.labels).mean())
