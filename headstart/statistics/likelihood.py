"""Probabilities and log likelihoods from logits, in float64 whatever the type of the logits."""

from __future__ import annotations

import numpy as np
from scipy import special


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (n, classes) of logits (n, classes)."""
    probabilities: np.ndarray = special.softmax(logits.astype(np.float64), axis=1)
    return probabilities


def of_labels(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log likelihood (n,), in nats, of the label of each image.

    logits: (n, classes); labels: (n,) integers below `classes`.
    """
    likelihoods: np.ndarray = special.log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]
    return likelihoods
