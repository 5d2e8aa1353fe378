"""What can be said of groups without labels: how stable they are, and how far apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from sklearn.metrics import adjusted_rand_score

from headstart.grouping import describing, methods
from headstart.grouping.spaces import unit

SHARE = 0.5  # of the images in a sample that is grouped anew: halves differ as much as new sets of images of the whole size would
SHRINK = 0.3  # of the covariance within groups, towards a ball
Cluster = Callable[[np.ndarray], np.ndarray]  # rows, as numbers (m,) -> groups (m,)


def samples(n: int, count: int, seed: int, share: float = SHARE) -> Iterator[np.ndarray]:
    """Rows (m,) of samples of n images, without replacement: copies of an image would be a group of their own."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        yield np.sort(random.permutation(n)[: max(2, round(share * n))])


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """How far two groupings (n,) agree beyond chance: 1 if they are the same, about 0 if neither knows of the other (adjusted Rand index)."""
    return float(adjusted_rand_score(first, second))


def stability(cluster: Cluster, whole: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """The groups of samples, as far as they match those of all images (n,): for each sample its groups (n,), -1 for images that are not in it."""
    found = []
    for rows in samples(len(whole), count, seed):
        labels = np.full(len(whole), -1)
        labels[rows] = cluster(rows)
        found.append(labels)
    return found


def agreements(whole: np.ndarray, drawn: Sequence[np.ndarray]) -> np.ndarray:
    """For each sample how far its groups agree with those of all images."""
    return np.array([agreement(whole[labels >= 0], labels[labels >= 0]) for labels in drawn])


def together(whole: np.ndarray, drawn: Sequence[np.ndarray]) -> list[float]:
    """For each group the mean share of it that is in one group of a sample with nobody else: the Jaccard index of its best match (Hennig, 2007)."""
    shares = np.zeros((len(drawn), whole.max() + 1))
    for number, labels in enumerate(drawn):
        seen = labels >= 0
        table = np.zeros((whole.max() + 1, labels.max() + 1))
        np.add.at(table, (whole[seen], labels[seen]), 1)
        union = table.sum(1)[:, None] + table.sum(0) - table
        shares[number] = (table / np.maximum(union, 1)).max(1)
    return [float(share) for share in shares.mean(0)]


def silhouettes(distances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much nearer each image (n,) is to its own group than to the next (Rousseeuw, 1987), from distances (n, n): -1 to 1; 0 in a group of its own."""
    _, labels, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        return np.full(len(labels), -1.0)
    sums = distances @ np.eye(len(sizes))[labels]
    rows = np.arange(len(labels))
    own = sums[rows, labels] / np.maximum(sizes[labels] - 1, 1)
    means = sums / sizes
    means[rows, labels] = np.inf
    other = means.min(1)
    return np.asarray(np.where(sizes[labels] > 1, (other - own) / np.maximum(np.maximum(own, other), 1e-12), 0.0))


def silhouettes_of(spaces: Sequence[np.ndarray], made: Sequence[np.ndarray]) -> list[float]:
    """How much nearer images are to their own group than to the next, by angle: of each grouping (n,) the mean over images and spaces, -1 to 1.

    A space at a time, so that one table of distances (n, n) is held.
    """
    found = np.zeros((len(spaces), len(made)))
    for place, space in enumerate(spaces):
        distances = 1 - unit(space) @ unit(space).T
        found[place] = [silhouettes(distances, labels).mean() for labels in made]
    return [float(share) for share in found.mean(0)]


def named(space: np.ndarray, labels: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The groups (m,) of rows `of` (m, d) by a linear discriminant of others (n, d)."""
    there = np.unique(labels)
    means = describing.means(space, np.searchsorted(there, labels))
    within = space - means[np.searchsorted(there, labels)]
    spread = within.T @ within / len(space)
    d = len(spread)
    spread = (1 - SHRINK) * spread + (SHRINK * np.trace(spread) / d + 1e-12) * np.eye(d)
    return there[methods.nearest(*_whitened(of, means, spread))]


def _whitened(rows: np.ndarray, means: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and means where the spread within groups is a ball, so that the nearest mean is that of the discriminant."""
    factor = np.linalg.cholesky(spread)
    return np.linalg.solve(factor, rows.T).T, np.linalg.solve(factor, means.T).T
