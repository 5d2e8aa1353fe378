"""Probabilities of images among which classes are as common as elsewhere, not as in training.

Bayes' rule moves a probability by the ratio of the shares; unknown shares are those that are likeliest given the probabilities, by expectation maximisation
(Saerens, Latinne & Decaestecker, Neural Computation 14, 2002). Both take for granted that a class looks the same in both places.
"""

from __future__ import annotations

import numpy as np

ROUNDS, STEADY = 1_000, 1e-7  # of the estimate at most; change of a share at which it ends
LEAST = 1e-6  # share of a class that none seems to be of


def corrected(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Probabilities (n, classes) where each class is `weights` (classes,) times as common as in training."""
    moved = probabilities * weights
    return np.asarray(moved / np.maximum(moved.sum(1, keepdims=True), 1e-300))


def estimated(probabilities: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The shares (classes,) among images of these probabilities (n, classes), which come from a model of the shares `before` (classes,)."""
    shares = before.copy()
    for _ in range(ROUNDS):
        found = np.maximum(corrected(probabilities, shares / before).mean(0), LEAST)
        found /= found.sum()
        moved, shares = float(np.abs(found - shares).max()), found
        if moved < STEADY:
            break
    return shares
