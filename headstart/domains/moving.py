"""Methods that move one domain onto the other, and leave the head as it is."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from headstart.domains import discriminant
from headstart.domains.spaces import Spaces, moments, turned
from headstart.linear import logistic
from headstart.statistics.goals import ACCURACY
from headstart.statistics.probabilities import tempered

PENALTY = 10.0  # of the head; the middle of the grid
SUBSPACE = 40  # directions per domain in subspace alignment
ROUNDS = 50  # of expectation and maximisation


def head(a: np.ndarray, labels: np.ndarray, classes: int, b: np.ndarray) -> np.ndarray:
    """Probabilities (m, classes) of the rows b by a logistic head that is fitted on the rows a (n, d) with their labels (n,)."""
    with threadpool_limits(1):
        head = logistic.once(a.astype(np.float32), labels, classes=classes, penalty=PENALTY, balanced=False, goal=ACCURACY)
    return softmax(head.logits(b.astype(np.float32)).astype(np.float64), axis=1)


def nothing(spaces: Spaces) -> np.ndarray:
    """The head of the labelled domain, as it is: what adapting is compared with."""
    return head(spaces.source[-1], spaces.labels, spaces.classes, spaces.target[-1])


def standardising(spaces: Spaces) -> np.ndarray:
    """Each domain gets mean 0 and deviation 1 in every feature (as AdaBN does in every layer; Li et al., 2018)."""
    a, b = spaces.standardised
    return head(a, spaces.labels, spaces.classes, b)


def coral(spaces: Spaces) -> np.ndarray:
    """The labelled domain gets the mean and covariance of the other (Sun et al., AAAI 2016), in the main directions of both."""
    mean, scale = moments(np.concatenate([spaces.source[-1], spaces.target[-1]]))
    a, b = turned((spaces.source[-1] - mean) / scale, (spaces.target[-1] - mean) / scale)
    moved = (a - a.mean(0)) @ _root(a, -0.5) @ _root(b, 0.5) + b.mean(0)
    return head(moved, spaces.labels, spaces.classes, b)


def _root(x: np.ndarray, power: float) -> np.ndarray:
    """A power of the covariance of x (n, d), which is made larger by its mean variance, so that it can be inverted."""
    covariance = np.cov(x.T)
    covariance += np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * values**power) @ vectors.T


def subspace(spaces: Spaces) -> np.ndarray:
    """The main directions of one domain are turned to those of the other (Fernando et al., ICCV 2013)."""
    a, b = spaces.standardised
    pa, pb = (np.linalg.svd(x, full_matrices=False)[2][:SUBSPACE].T for x in (a, b))
    return head(a @ pa @ (pa.T @ pb), spaces.labels, spaces.classes, b @ pb)


def label_shift(spaces: Spaces) -> np.ndarray:
    """The standardised head, for the shares that the classes have in the other domain.

    They are found by expectation and maximisation (Saerens et al., 2002), from probabilities that are as sure as the head is right on
    labelled images left out of its fit.
    """
    a, b = spaces.standardised
    half = np.arange(len(a)) % 2 == 0
    left_out = head(a[half], spaces.labels[half], spaces.classes, a[~half])
    right = float((left_out.argmax(1) == spaces.labels[~half]).mean())
    p = _calibrated(head(a, spaces.labels, spaces.classes, b), right)
    before = np.maximum(spaces.shares, 1e-9)
    shares = before
    q = p
    for _ in range(ROUNDS):
        q = p * shares / before
        q /= q.sum(1, keepdims=True)
        shares = q.mean(0)
    return q


def _calibrated(p: np.ndarray, right: float) -> np.ndarray:
    """Probabilities that are no surer than `right` in the mean."""
    if p.max(1).mean() <= right:
        return p
    return tempered(np.log(p + 1e-12), max(right, 1.01 / p.shape[1]))


def discriminants(spaces: Spaces) -> np.ndarray:
    """Linear discriminants of all layers in common coordinates (m, k): where the methods that iterate begin."""
    weights = np.ones(len(spaces.labels))
    return np.sum([discriminant.scaled(discriminant.logits(a, spaces.known, weights, b)) for a, b in spaces.common], axis=0)
