"""Probabilities of unlabelled images: their temperature, the shares of the classes among them."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

ROUNDS = 30  # of scaling rows and columns in turn


def scale(logits: np.ndarray, confidence: float) -> float:
    """The factor on logits (n, k) at which the mean of the largest probability is `confidence`."""
    low, high = 1e-3, 1e3
    for _ in range(30):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if softmax(logits * middle, axis=1).max(1).mean() < confidence else (low, middle)
    return float(np.sqrt(low * high))


def tempered(logits: np.ndarray, confidence: float) -> np.ndarray:
    """Probabilities (n, k) of logits whose largest is `confidence` in the mean.

    How far logits of another domain lie apart says nothing of how sure they are, so this is set and not read off.
    """
    return softmax(logits * scale(logits, confidence), axis=1)


def with_shares(q: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Probabilities (n, k) nearest to q whose classes have the shares (k,), by scaling (Sinkhorn; Cuturi, NeurIPS 2013)."""
    q = q.copy()
    for _ in range(ROUNDS):
        q *= shares * len(q) / np.maximum(q.sum(0), 1e-12)
        q /= np.maximum(q.sum(1, keepdims=True), 1e-12)
    return q
