"""The labelling that linear classifiers in several feature spaces learn best (TURTLE: Gadetsky, Jiang & Brbic, ICML 2024).

Labels are given by a linear map in each space; linear classifiers learn them, and the maps move to where these classifiers, as they
are, do best. A labelling on which two unlike networks can have large margins is one that both see. Entropy of the shares keeps it from
putting all images into one group.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import log_softmax, softmax

STEPS, INNER = 400, 5
RATE, INNER_RATE = 0.05, 0.1
EVEN = 4.0  # weight of the entropy of the shares
DECAY = 1e-2  # of the classifiers' weights


@dataclass
class _Adam:
    """Steps along gradients, each in units of its own size (Kingma & Ba, ICLR 2015)."""

    rate: float
    mean: np.ndarray | float = 0.0
    square: np.ndarray | float = 0.0
    count: int = 0

    def step(self, gradient: np.ndarray) -> np.ndarray:
        self.count += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        size = np.sqrt(self.square / (1 - 0.999**self.count)) + 1e-8
        return self.rate * np.asarray(self.mean / (1 - 0.9**self.count) / size)


@dataclass
class _Space:
    """A feature space: its rows (n, d), the map that labels, the classifier that learns."""

    rows: np.ndarray
    labelling: np.ndarray
    classifier: np.ndarray
    outer: _Adam = field(default_factory=lambda: _Adam(RATE))
    inner: _Adam = field(default_factory=lambda: _Adam(INNER_RATE))


def label(spaces: list[np.ndarray], start: np.ndarray, groups: int) -> np.ndarray:
    """Labels (n,) of n images, seen in spaces (n, d), from 0 to groups - 1; `start` (n,) is a labelling to begin from."""
    there = [_Space(x / x.std(), _towards(x / x.std(), start, groups), np.zeros((x.shape[1], groups))) for x in spaces]
    n = len(start)
    for _ in range(STEPS):
        named = [softmax(one.rows @ one.labelling, 1) for one in there]
        target = sum(named, np.zeros((n, groups))) / len(named)
        for _ in range(INNER):
            for one in there:
                wrong = softmax(one.rows @ one.classifier, 1) - target
                one.classifier -= one.inner.step(one.rows.T @ wrong / n + DECAY * one.classifier)
        wanted = sum((log_softmax(one.rows @ one.classifier, 1) for one in there), np.zeros((n, groups))) / len(there)
        slope = (EVEN * (np.log(target.mean(0) + 1e-12) + 1) / len(there) - wanted) / n
        for one, q in zip(there, named, strict=True):
            one.labelling -= one.outer.step(one.rows.T @ (q * (slope - (slope * q).sum(1, keepdims=True))))
    total = sum((softmax(one.rows @ one.labelling, 1) for one in there), np.zeros((n, groups)))
    return np.asarray(total.argmax(1))


def _towards(rows: np.ndarray, start: np.ndarray, groups: int) -> np.ndarray:
    """A map (d, groups) that gives about the labelling `start`: ridge regression on it."""
    wanted = np.eye(groups)[start]
    wanted -= wanted.mean(0)
    gram = rows.T @ rows / len(rows)
    return np.linalg.solve(gram + 0.1 * np.trace(gram) / len(gram) * np.eye(len(gram)), rows.T @ wanted / len(rows)) * 3.0
