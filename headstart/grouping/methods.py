"""Ways to put n images into groups: METHODS. Each is given what every source sees and the number of the source that leads.

All are deterministic for a seed, on one thread, as sums of several come in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from headstart.grouping import graph, turtle
from headstart.grouping.spaces import neighbours

Method = Callable[[Sequence[np.ndarray], int, int], np.ndarray]
_STARTS = 10
_SIZES = (0.2, 0.1, 0.05, 0.03, 0.02, 0.01)  # share of the images that a group of HDBSCAN has at least


def kmeans(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """Lloyd's k-means in the first space, the best of ten starts."""
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(groups, n_init=_STARTS, random_state=seed).fit_predict(spaces[0]))


def ward(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """Agglomeration in the first space that adds the least variance at each step (Ward, 1963)."""
    from sklearn.cluster import AgglomerativeClustering

    return np.asarray(AgglomerativeClustering(groups).fit_predict(spaces[0]))


def hdbscan(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """Dense regions of the first space (Campello et al., 2013), of the least size that gives nearest to `groups` of them.

    What it calls noise joins the group of the nearest mean. It finds how many it finds, if need be a single one.
    """
    from sklearn.cluster import HDBSCAN

    space, best = spaces[0], np.zeros(len(spaces[0]), int)
    for share in _SIZES:
        found = HDBSCAN(min_cluster_size=max(3, round(share * len(space))), copy=True).fit_predict(space)
        if abs(found.max() + 1 - groups) < abs(best.max() + 1 - groups):
            best = found
    if best.min() < 0:
        means = np.stack([space[best == group].mean(0) for group in range(best.max() + 1)])
        best = np.where(best < 0, nearest(space, means), best)
    return np.asarray(best)


def spectral(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """Cuts of the graph of nearest neighbours in the first space (Shi & Malik, 2000)."""
    return graph.cut(graph.embedding(neighbours(spaces[0]), groups), groups)


def joint_spectral(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """Cuts of the graphs of nearest neighbours in all spaces, added up: neighbours that unlike networks agree on count most."""
    return graph.cut(graph.embedding(graph.joint(spaces), groups), groups)


def margins(spaces: Sequence[np.ndarray], groups: int, seed: int) -> np.ndarray:
    """The labelling that linear classifiers in all spaces learn best (turtle.py), begun from the joint graph."""
    return turtle.label(list(spaces), joint_spectral(spaces, groups, seed), groups)


METHODS: dict[str, Method] = {
    "kmeans": kmeans,
    "ward": ward,
    "hdbscan": hdbscan,
    "spectral": spectral,
    "joint_spectral": joint_spectral,
    "turtle": margins,
}


def nearest(space: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The number of the nearest of some means (k, d) for each row (n, d)."""
    return np.asarray(((space**2).sum(1)[:, None] - 2 * space @ means.T + (means**2).sum(1)).argmin(1))
