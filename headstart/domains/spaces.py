"""What a network gives for the images of both domains, in coordinates that both share.

Each layer is standardised per domain, so that what all images of a domain have in common (photographs are coloured, sketches are white)
is gone, then scaled to length one, and turned to its main directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

DIRECTIONS = 128  # per layer that are kept
LEAST_SCALE = 0.1  # of the median of the standard deviations: less counts as that much, as in the head


@dataclass(frozen=True)
class Spaces:
    """Both domains as one network sees them.

    `source` (n, d) and `target` (m, d) per layer, from the lower one to the features; `labels` (n,) integers below `classes`.
    """

    source: tuple[np.ndarray, ...]
    target: tuple[np.ndarray, ...]
    labels: np.ndarray
    classes: int

    @cached_property
    def shares(self) -> np.ndarray:
        """Share (classes,) of each class among the labelled images."""
        counts = np.bincount(self.labels, minlength=self.classes)
        return counts / counts.sum()

    @cached_property
    def known(self) -> np.ndarray:
        """The labels as probabilities (n, classes)."""
        return np.eye(self.classes)[self.labels]

    @cached_property
    def standardised(self) -> tuple[np.ndarray, np.ndarray]:
        """The features of both domains, each standardised by itself."""
        return standardised(self.source[-1]), standardised(self.target[-1])

    @cached_property
    def common(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Per layer both domains (n, k), (m, k), standardised, of length one, in their main directions."""
        return [turned(unit(standardised(a)), unit(standardised(b))) for a, b in zip(self.source, self.target, strict=True)]


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (d,) of x (n, d), the least deviations raised."""
    scale = x.std(0)
    scale = np.maximum(scale, LEAST_SCALE * np.median(scale))
    return x.mean(0), np.where(scale > 1e-6, scale, 1.0)


def standardised(x: np.ndarray) -> np.ndarray:
    """x (n, d) with mean 0 and deviation 1 in each column."""
    mean, scale = moments(x)
    return (x - mean) / scale


def unit(x: np.ndarray) -> np.ndarray:
    """The rows of x (n, d), each of length one."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)


def turned(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in the main directions of both together, at most DIRECTIONS."""
    both = np.concatenate([a, b]).astype(np.float64)
    both -= both.mean(0)
    if both.shape[1] <= len(both):
        _, directions = np.linalg.eigh(both.T @ both)
        found = both @ directions[:, ::-1][:, :DIRECTIONS]
    else:
        values, vectors = np.linalg.eigh(both @ both.T)
        found = vectors[:, ::-1][:, :DIRECTIONS] * np.sqrt(np.maximum(values[::-1][:DIRECTIONS], 0))
    return found[: len(a)], found[len(a) :]
