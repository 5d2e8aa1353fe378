"""The space in which groups are looked for: what a network gives for the images, in few dimensions."""

from __future__ import annotations

import numpy as np

DIRECTIONS = 50
NEIGHBOURS = 10


def unit(rows: np.ndarray) -> np.ndarray:
    """The rows (n, d), each of length one."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def reduced(features: np.ndarray, most: int = DIRECTIONS) -> np.ndarray:
    """Features (n, d) in their main directions (n, at most `most`), float64: of rows of length one, less their mean.

    A direction points where its largest part is positive, so that the same features always give the same numbers.
    """
    return Axes.of(features, most).place(features)


class Axes:
    """Main directions, found on some images and applied to others."""

    def __init__(self, mean: np.ndarray, directions: np.ndarray) -> None:
        self.mean, self.directions = mean, directions  # (d,), (d, at most DIRECTIONS)

    @classmethod
    def of(cls, features: np.ndarray, most: int = DIRECTIONS) -> Axes:
        """The directions (n, d) of features in which they vary most."""
        rows = unit(features.astype(np.float64))
        mean = rows.mean(0)
        _, _, found = np.linalg.svd(rows - mean, full_matrices=False)
        found = found[: max(1, min(most, len(rows) - 1))]
        signs = np.sign(found[np.arange(len(found)), np.abs(found).argmax(1)])
        return cls(mean, (found * signs[:, None]).T)

    def place(self, features: np.ndarray) -> np.ndarray:
        """Features (m, d) along the directions."""
        return (unit(features.astype(np.float64)) - self.mean) @ self.directions


def neighbours(space: np.ndarray, count: int = NEIGHBOURS) -> np.ndarray:
    """Weights (n, n), symmetric: 1 if two rows are among each other's nearest by angle, 0.5 if one is, else 0."""
    likeness = unit(space) @ unit(space).T
    np.fill_diagonal(likeness, -np.inf)
    count = min(count, len(space) - 1)
    nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    edges = np.zeros_like(likeness)
    edges[np.arange(len(edges))[:, None], nearest] = 1.0
    return (edges + edges.T) / 2
