"""Spectral clustering: groups are what is loosely joined in the graph of nearest neighbours (Shi & Malik, 2000; Damle et al., 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import eigh, qr
from scipy.sparse import csr_array

from headstart.grouping.spaces import neighbours

DENSE = 1_000  # images of which all eigenvectors are worked out
SPARE, BLOCKS = 8, 24  # vectors of a block beyond those that are wanted; blocks


def joint(spaces: Sequence[np.ndarray]) -> np.ndarray:
    """The graphs (n, n) of all spaces added up: neighbours that unlike networks agree on count most."""
    return np.sum([neighbours(space) for space in spaces], axis=0)


def embedding(edges: np.ndarray, most: int) -> np.ndarray:
    """The slowest ways (n, at most `most`) in which what is spread along the edges evens out: one serves for every number of groups.

    They are the first eigenvectors of the scaled edges: of few images exactly, of more than DENSE by iteration, as the exact ones take n^3.
    """
    scale = 1 / np.sqrt(np.maximum(edges.sum(1), 1e-12))
    n = len(edges)
    if n > DENSE and BLOCKS * (most + SPARE) <= n // 2:
        return np.asarray(_slowest(edges * scale[:, None] * scale, most) * scale[:, None])
    _, vectors = eigh(edges * scale[:, None] * scale, subset_by_index=[max(0, n - most), n - 1])
    return np.asarray(vectors[:, ::-1] * scale[:, None])


def _slowest(scaled: np.ndarray, most: int) -> np.ndarray:
    """The eigenvectors (n, most) of the largest eigenvalues of scaled edges, by block Lanczos from a fixed start (Golub & Underwood, 1977).

    A block is wider than the number that is wanted, so that equal eigenvalues, as of parts that no edge joins, are all found.
    """
    joined = csr_array(scaled)
    basis = np.empty((len(scaled), 0))
    block = np.random.default_rng(0).normal(size=(len(scaled), most + SPARE))
    for _ in range(BLOCKS):
        for _ in range(2):  # once is not enough if little of a block is new
            block = qr(block - basis @ (basis.T @ block), mode="economic")[0]
        basis = np.hstack([basis, block])
        block = joined @ block
    _, turned = eigh(basis.T @ (joined @ basis))
    return np.asarray(basis @ turned[:, ::-1][:, :most])


def cut(vectors: np.ndarray, groups: int) -> np.ndarray:
    """So many groups (n,), by the first vectors of an embedding turned towards the images that differ most."""
    first = vectors[:, :groups]
    first = first / np.maximum(np.linalg.norm(first, axis=0), 1e-12)
    _, _, pivots = qr(first.T, pivoting=True)
    left, _, right = np.linalg.svd(first[pivots[:groups]].T)
    return np.asarray(np.abs(first @ (left @ right)).argmax(1))
