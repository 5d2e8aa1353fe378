"""Probabilities and log likelihoods from logits, in float64 whatever the type of the logits."""

from __future__ import annotations

import numpy as np
from scipy import special

MAX_TEMPERATURE = 1e3  # and its inverse: far beyond what a network is too sure or too unsure by


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


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """What to divide logits (n, classes) by, so that their probabilities mean what they say (Guo et al., ICML 2017).

    As many images can be right by chance, the probabilities never claim more than n + 1 right images of n + 2, which are the targets of
    Platt (Advances in Large Margin Classifiers, 1999): otherwise a network without an error would be told to be certain.
    """
    from scipy.optimize import minimize_scalar  # every stage would wait for it

    scores, rows, doubt = logits.astype(np.float64), np.arange(len(labels)), 1 / (len(labels) + 2)

    def loss(log_temperature: float) -> float:
        logs = special.log_softmax(scores / np.exp(log_temperature), axis=1)
        right = logs[rows, labels]
        logs[rows, labels] = -np.inf
        return -float(((1 - doubt) * right + doubt * special.logsumexp(logs, axis=1)).mean())

    bound = np.log(MAX_TEMPERATURE)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-6}).x))
