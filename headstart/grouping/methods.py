"""Ways to put n images into groups: METHODS. Each is given what every source sees and the number of the source that leads.

All are deterministic for a seed, on one thread, as sums of several come in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from headstart.grouping import graph, turtle
from headstart.grouping.spaces import neighbours

DENSEST = 1_000  # images among which dense regions are looked for
Method = Callable[[Sequence[np.ndarray], int, int], np.ndarray]
_STARTS, _ROUNDS = 10, 100
_SIZES = (0.2, 0.1, 0.05, 0.03, 0.02, 0.01)  # share of the images that a group of HDBSCAN has at least


def kmeans(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """Lloyd's k-means in the first space, the best of ten starts (k-means++: Arthur & Vassilvitskii, 2007)."""
    random = np.random.default_rng(seed)
    made = [_lloyd(spaces[0], _spread(spaces[0], groups, random)) for _ in range(_STARTS)]
    return min(made, key=lambda pair: pair[1])[0]


def _spread(space: np.ndarray, groups: int, random: np.random.Generator) -> np.ndarray:
    """First means (groups, d): images that lie far from each other, drawn at random."""
    chosen = [int(random.integers(len(space)))]
    apart = ((space - space[chosen[0]]) ** 2).sum(1)
    for _ in range(groups - 1):
        total = np.cumsum(apart)
        chosen.append(int(min(np.searchsorted(total, random.random() * total[-1], side="right"), len(space) - 1)))
        apart = np.minimum(apart, ((space - space[chosen[-1]]) ** 2).sum(1))
    return space[chosen]


def _lloyd(space: np.ndarray, means: np.ndarray) -> tuple[np.ndarray, float]:
    """The groups (n,) to which the means lead, and their squared distances in all. A group that loses all its images takes the farthest one."""
    labels = nearest(space, means)
    for _ in range(_ROUNDS):
        for group in range(len(means)):
            if not (labels == group).any():
                labels[((space - means[labels]) ** 2).sum(1).argmax()] = group
            means[group] = space[labels == group].mean(0)
        moved = nearest(space, means)
        if (moved == labels).all():
            break
        labels = moved
    return labels, float(((space - means[labels]) ** 2).sum())


def ward(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """Agglomeration in the first space that adds the least variance at each step (Ward, 1963)."""
    from sklearn.cluster import AgglomerativeClustering

    return np.asarray(AgglomerativeClustering(groups).fit_predict(spaces[0]))


def hdbscan(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """Dense regions of the first space (Campello et al., 2013), of the least size that gives nearest to `groups` of them.

    What it calls noise joins the group of the nearest mean, and so do images beyond DENSEST. It finds how many it finds, if need be a single one.
    """
    from sklearn.cluster import HDBSCAN

    whole = spaces[0]
    some = np.sort(np.random.default_rng(seed).permutation(len(whole))[:DENSEST])
    space, best = whole[some], np.zeros(len(some), int)
    for share in _SIZES:
        found = HDBSCAN(min_cluster_size=max(3, round(share * len(space))), copy=True).fit_predict(space)
        if abs(found.max() + 1 - groups) < abs(best.max() + 1 - groups):
            best = found
    if best.min() >= 0 and len(some) == len(whole):
        return np.asarray(best)
    means = np.stack([space[best == group].mean(0) for group in range(best.max() + 1)])
    found = nearest(whole, means)
    found[some] = np.where(best < 0, found[some], best)
    return np.asarray(found)


def spectral(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """Cuts of the graph of nearest neighbours in the first space (Shi & Malik, 2000)."""
    return graph.cut(graph.embedding(neighbours(spaces[0]), groups), groups)


def joint_spectral(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """Cuts of the graphs of nearest neighbours in all spaces, added up: neighbours that unlike networks agree on count most."""
    return graph.cut(graph.embedding(graph.joint(spaces), groups), groups)


def joint_kmeans(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """k-means in all spaces together."""
    return kmeans([np.hstack(spaces)], groups, seed)


def consensus(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """What k-means, Ward and spectral clustering in each space agree on (Strehl & Ghosh, JMLR 2002).

    Two images are as near as the share of the groupings that put them together; Ward's agglomeration makes groups of that.
    """
    made = [method([space], groups, seed) for space in spaces for method in (kmeans, ward, spectral)]
    return ward([nearness(made)], groups, seed)


def nearness(made: Sequence[np.ndarray]) -> np.ndarray:
    """Rows (n, all groups of all groupings) that lie as far from each other as the rows of the table (n, n) of the shares of groupings (n,) that put two images together.

    That table is H H^T / m with H (n, groups) one-hot, so its rows differ as those of H (H^T H)^(1/2) / m do, which has a hundredth of the columns.
    """
    one_hot = np.hstack([np.eye(labels.max() + 1)[labels] for labels in made])
    values, vectors = np.linalg.eigh(one_hot.T @ one_hot)
    return np.asarray(one_hot @ (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T / len(made))


def margins(spaces: Sequence[np.ndarray], groups: int, seed: int, start: np.ndarray | None = None) -> np.ndarray:
    """The labelling that linear classifiers in all spaces learn best (turtle.py), begun from the consensus, which is `start` if it is at hand."""
    return turtle.label(list(spaces), consensus(spaces, groups, seed) if start is None else start, groups)


METHODS: dict[str, Method] = {
    "kmeans": kmeans,
    "ward": ward,
    "hdbscan": hdbscan,
    "spectral": spectral,
    "joint_kmeans": joint_kmeans,
    "joint_spectral": joint_spectral,
    "consensus": consensus,
    "turtle": margins,
}


def nearest(space: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The number of the nearest of some means (k, d) for each row (n, d)."""
    return np.asarray(((space**2).sum(1)[:, None] - 2 * space @ means.T + (means**2).sum(1)).argmin(1))
