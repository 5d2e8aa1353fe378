"""What is told of groups: the images that stand for each, how far every image is from its group's middle, and which are unlike all others."""

from __future__ import annotations

import numpy as np

from headstart.grouping import methods
from headstart.grouping.spaces import unit

MEDOIDS = 3
NEAREST = 5  # images by which it is told whether one is unlike all others
FAR = 3.0  # times the distance of the quartiles above the upper one that is far out (Tukey, 1977)
_BLOCK = 1000


def ordered(labels: np.ndarray) -> np.ndarray:
    """The groups (n,) numbered from 0 by size, the largest first; of equal ones that of the first image."""
    names, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    places = np.empty(len(names), int)
    places[order] = np.arange(len(names))
    return places[np.searchsorted(names, labels)]


def means(space: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The middle (groups, d) of each group in a space (n, d)."""
    return np.stack([space[labels == group].mean(0) for group in range(labels.max() + 1)])


def distances(space: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How far each image (n,) is from the middle of its group: 1 less the cosine, 0 to 2."""
    middle = unit(means(space, labels))
    return 1 - (unit(space) * middle[labels]).sum(1)


def medoids(space: np.ndarray, labels: np.ndarray, count: int = MEDOIDS) -> list[list[int]]:
    """For each group the rows of at most `count` images that stand for it, that of its largest part first; rows of group -1 are passed over.

    The group is cut into so many parts, and each part shows the image next to its middle: a group of unlike things so shows them.
    """
    found = []
    for group in range(labels.max() + 1):
        rows = np.flatnonzero(labels == group)
        parts = ordered(methods.ward([space[rows]], count, 0)) if len(rows) > count else np.arange(len(rows))
        middle = means(space[rows], parts)
        near = ((space[rows] - middle[parts]) ** 2).sum(1)
        found.append([int(rows[parts == part][near[parts == part].argmin()]) for part in range(parts.max() + 1)])
    return found


def parts(space: np.ndarray, labels: np.ndarray, stand: list[list[int]]) -> np.ndarray:
    """For each image (n,) the number of the image of its group that stands for it, from 0: the nearest of them."""
    found = np.zeros(len(labels), int)
    for group, rows in enumerate(stand):
        inside = labels == group
        found[inside] = methods.nearest(space[inside], space[rows])
    return found


def outliers(space: np.ndarray) -> np.ndarray:
    """Whether each image (n,) is unlike all others: the mean angle to its nearest ones is far out among those of all images."""
    rows = unit(space)
    count = min(NEAREST, len(rows) - 1)
    apart = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        likeness = rows[start : start + _BLOCK] @ rows.T
        likeness[np.arange(len(likeness)), np.arange(start, start + len(likeness))] = -np.inf
        apart[start : start + _BLOCK] = 1 - np.sort(np.partition(likeness, -count, axis=1)[:, -count:], axis=1).mean(1)
    low, high = np.quantile(apart, [0.25, 0.75])
    return np.asarray(apart > high + FAR * (high - low))
