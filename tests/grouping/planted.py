"""Made-up images as made-up networks see them: groups with other directions in each, or none."""

from __future__ import annotations

import numpy as np


def seen(network: int, truth: np.ndarray, *, noise: float = 0.5, width: int = 24) -> np.ndarray:
    """Features (n, width) of images of the groups `truth` (n,) by one network."""
    random = np.random.default_rng([network, 1])
    means = random.normal(size=(truth.max() + 1, width))
    return (means[truth] + noise * random.normal(size=(len(truth), width))).astype(np.float32)


def without_groups(n: int, width: int = 24) -> list[np.ndarray]:
    """Features of images that lie around one middle, by two networks that see alike."""
    random = np.random.default_rng(0)
    hidden = random.normal(size=(n, 6))
    return [(hidden @ random.normal(size=(6, width)) + 0.3 * random.normal(size=(n, width))).astype(np.float32) for _ in range(2)]
