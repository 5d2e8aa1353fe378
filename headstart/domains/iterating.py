"""Methods that label the other domain, learn from these labels, and label it again."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from headstart.domains import discriminant, graph, moving
from headstart.domains.spaces import Spaces, turned
from headstart.statistics.probabilities import tempered, with_shares

STEPS = 15
CONFIDENCE = (0.5, 0.9)  # mean of the largest probability, from the first step to the last
FADE = 0.5  # weight of the labelled images at the last step; 1 at the first
SPREAD = 0.5  # of an image's probabilities that come from its neighbours
LOOSEN = 0.3  # how far, per step of the second half, the shares of the classes go to those that are found
TIE = 1.0  # nats of divergence from the first prediction that cost as much as a nat of likelihood


def balanced_em(spaces: Spaces, *, loosened: bool = False) -> np.ndarray:
    """Linear discriminants of both domains, expectation and maximisation, with neighbours, and the shares of the labelled classes.

    The shares are what keeps one class from swallowing the others. `loosened`: they go to what is found in the second half of the
    steps; that is better if they differ, and worse if the labels were carried over wrongly.
    """
    edges = graph.neighbours([target for _, target in spaces.common])
    shares, q = np.maximum(spaces.shares, 1e-6), None
    for step in range(STEPS + 1):
        part = step / STEPS
        z = moving.discriminants(spaces) if q is None else _learned(spaces, q, 1 + (FADE - 1) * max(step - 1, 0) / (STEPS - 1))
        confidence = CONFIDENCE[0] + (CONFIDENCE[1] - CONFIDENCE[0]) * part
        q = with_shares(tempered(z - z.mean(0), max(confidence, 1.2 / spaces.classes)), shares)
        q = with_shares((1 - SPREAD) * q + SPREAD * edges @ q, shares)
        if loosened and part >= 1 / 3:
            found = np.bincount(q.argmax(1), minlength=spaces.classes) / len(q) if part >= 1 / 2 else q.mean(0)
            shares = np.maximum((1 - LOOSEN) * shares + LOOSEN * found, 1e-6)
            shares /= shares.sum()
    assert q is not None
    return q


def _learned(spaces: Spaces, q: np.ndarray, weight: float) -> np.ndarray:
    """Logits (m, k) of discriminants that learn from the labels, at `weight`, and from q (m, k)."""
    n, m = len(spaces.labels), len(q)
    weights = np.concatenate([np.full(n, weight / n), np.full(m, 1 / m)])
    both = np.concatenate([spaces.known, q])
    layers = [discriminant.logits(np.concatenate([a, b]), both, weights, b) for a, b in spaces.common]
    return np.sum([discriminant.scaled(z) for z in layers], axis=0)


def tied_em(spaces: Spaces) -> np.ndarray:
    """Normal distributions with one covariance over the target, tied to the first prediction by a divergence, with neighbours.

    After TransCLIP (Zanella et al., NeurIPS 2024).
    """
    first = np.log(moving.standardising(spaces) + 1e-6)
    edges = graph.neighbours([target for _, target in spaces.common])
    q = softmax(first, axis=1)
    for _ in range(STEPS):
        layers = [discriminant.logits(b, q, np.ones(len(q)), b) for _, b in spaces.common]
        z = np.sum([discriminant.scaled(one) for one in layers], axis=0)
        q = softmax(z + TIE * first + edges @ q, axis=1)
    return q


def self_training(spaces: Spaces) -> np.ndarray:
    """The head learns from ever more of the other domain's images, as many of each class as it has a share of the labels.

    The surest come first (Zou et al., ECCV 2018).
    """
    a, b = spaces.standardised  # not in main directions: the head would blow the small ones up
    q, n = moving.head(a, spaces.labels, spaces.classes, b), len(b)
    for part in np.linspace(0.2, 1, 9):
        even = with_shares(q, np.maximum(spaces.shares, 1e-6))
        taken = [(k, np.argsort(-even[:, k])[: max(1, round(part * n * spaces.shares[k]))]) for k in range(spaces.classes)]
        rows = np.concatenate([one for _, one in taken])
        labels = np.concatenate([np.full(len(one), k) for k, one in taken])
        stay = np.random.default_rng(0).permutation(len(a))[: round((1 - part) * len(a))]  # the labelled images leave as the others come
        q = moving.head(np.concatenate([a[stay], b[rows]]), np.concatenate([spaces.labels[stay], labels]), spaces.classes, b)
    return q


def class_confusion(spaces: Spaces) -> np.ndarray:
    """A head with as little confusion of classes on the other domain as can be (Jin et al., ECCV 2020)."""
    a, b = turned(*spaces.standardised)
    n, k, d = len(a), spaces.classes, a.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = flat[: k * d].reshape(k, d), flat[k * d :]
        own = log_softmax(a @ weight.T + bias, axis=1)
        q = softmax((b @ weight.T + bias) / 2.5, axis=1)  # the paper's temperature
        sizes = q.sum(0) + 1e-9
        together = q.T @ q
        value = -(own * spaces.known).sum() / n + 0.5 * float((weight**2).sum()) * moving.PENALTY / d
        value += 1 - float((np.diag(together) / sizes).sum()) / k
        slope = -(2 * q / sizes - np.diag(together) / sizes**2) / k
        slope = q * (slope - (q * slope).sum(1, keepdims=True)) / 2.5
        residual = (np.exp(own) - spaces.known) / n
        by_weight = residual.T @ a + slope.T @ b + moving.PENALTY / d * weight
        return value, np.concatenate([by_weight.ravel(), residual.sum(0) + slope.sum(0)])

    found = minimize(loss, np.zeros(k * d + k), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return softmax(b @ found[: k * d].reshape(k, d).T + found[k * d :], axis=1)
