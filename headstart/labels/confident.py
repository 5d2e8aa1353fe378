"""Confident learning: which labels a model contradicts (Northcutt, Jiang & Chuang, JAIR 70, 2021).

The probabilities must be of models that did not see the image they are for. A class's threshold is the mean probability of that class over the images
labelled so: what is above it counts as confidently of the class, whatever the label says. Those of the lowest probability of
their label, as many as count as another class, are what cleanlab 2.9 finds with filter_by="low_self_confidence" (benchmarks/labels.py compares them).
"""

from __future__ import annotations

import numpy as np

ROUNDING = 1e-6  # by which a probability may miss a threshold


def thresholds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The threshold (classes,) of each class, from probabilities (n, classes) and labels (n,); infinite for one that no image is labelled as."""
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    own = np.bincount(labels, weights=probabilities[np.arange(len(labels)), labels], minlength=classes)
    return np.where(counts > 0, own / np.maximum(counts, 1), np.inf)


def counted(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The class (n,) that each image counts as: the likeliest of those whose threshold it reaches, else its label."""
    reached = probabilities >= thresholds(probabilities, labels) - ROUNDING
    likeliest = np.where(reached, probabilities, -1.0).argmax(1)
    return np.where(reached.any(1), likeliest, labels)


def others(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The likeliest class (n,) that is not the label."""
    without = probabilities.copy()
    without[np.arange(len(labels)), labels] = -1.0
    return without.argmax(1)


def confidence(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probability (n,) of each label: the lower, the more doubtful (self-confidence)."""
    return np.asarray(probabilities[np.arange(len(labels)), labels])
