"""Spectral clustering: groups are what is loosely joined in the graph of nearest neighbours (Shi & Malik, 2000; Damle et al., 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import eigh, qr

from headstart.grouping.spaces import neighbours


def joint(spaces: Sequence[np.ndarray]) -> np.ndarray:
    """The graphs (n, n) of all spaces added up: neighbours that unlike networks agree on count most."""
    return np.sum([neighbours(space) for space in spaces], axis=0)


def embedding(edges: np.ndarray, most: int) -> np.ndarray:
    """The slowest ways (n, at most `most`) in which what is spread along the edges evens out: one serves for every number of groups."""
    scale = 1 / np.sqrt(np.maximum(edges.sum(1), 1e-12))
    n = len(edges)
    _, vectors = eigh(edges * scale[:, None] * scale, subset_by_index=[max(0, n - most), n - 1])
    return np.asarray(vectors[:, ::-1] * scale[:, None])


def cut(vectors: np.ndarray, groups: int) -> np.ndarray:
    """So many groups (n,), by the first vectors of an embedding turned towards the images that differ most."""
    first = vectors[:, :groups]
    first = first / np.maximum(np.linalg.norm(first, axis=0), 1e-12)
    _, _, pivots = qr(first.T, pivoting=True)
    left, _, right = np.linalg.svd(first[pivots[:groups]].T)
    return np.asarray(np.abs(first @ (left @ right)).argmax(1))
