"""The neighbours of each unlabelled image among the unlabelled images, and labels that spread along them."""

from __future__ import annotations

import numpy as np

from headstart.domains import moving
from headstart.domains.spaces import Spaces, unit

NEIGHBOURS = 8
HOLD = 0.2  # of its own first probabilities that an image keeps
STEPS = 20


def neighbours(layers: list[np.ndarray]) -> np.ndarray:
    """Weights (m, m) of the nearest neighbours of each row over all layers (m, d); rows add up to one."""
    likeness = sum((unit(t) @ unit(t).T for t in layers), np.zeros((len(layers[0]),) * 2)) / len(layers)
    np.fill_diagonal(likeness, -np.inf)
    n = len(likeness)
    k = min(NEIGHBOURS, n - 1)
    nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
    edges = np.zeros((n, n))
    rows = np.arange(n)[:, None]
    edges[rows, nearest] = np.maximum(likeness[rows, nearest], 1e-6)
    edges = edges + edges.T  # an edge that both have counts twice
    return edges / edges.sum(1, keepdims=True)


def propagation(spaces: Spaces) -> np.ndarray:
    """Probabilities of the standardised head, spread over the graph of the target (Zhou et al., NeurIPS 2003)."""
    first = moving.standardising(spaces)
    edges, q = neighbours([target for _, target in spaces.common]), first
    for _ in range(STEPS):
        q = HOLD * first + (1 - HOLD) * edges @ q
    return q
