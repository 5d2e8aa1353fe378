"""Transferability scores: how well a source's frozen features suit the target data. To add one, put a function into SCORES.

A score is a function from features (n, d), labels (n,) and folds (n,) to one number a row, higher is better; its mean is the score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from headstart import heads
from headstart.heads import Features

PENALTIES = [300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3]  # of the probe: coarser than train_head's, since only the ranking matters


@dataclass(frozen=True)
class Data:
    """Frozen features of training images and what the scores compare them with."""

    features: Features  # (n, d)
    labels: np.ndarray  # (n,) integers
    folds: np.ndarray  # (n,) the fold each row is held out in
    classes: int
    neighbours: int


def probe(data: Data) -> dict[str, np.ndarray]:
    """Cross-validated logistic regression: whether each row is classified rightly, and its log likelihood (nats)."""
    validated = heads.cross_validate(
        data.features, data.labels, data.folds, classes=data.classes, penalties=PENALTIES, what="linear probe, fits"
    )
    logits = validated.held_out.astype(np.float64)
    return {
        "probe_accuracy": (logits.argmax(1) == data.labels).astype(np.float64),
        "probe_log_likelihood": log_softmax(logits, axis=1)[np.arange(len(logits)), data.labels],
    }


def knn(data: Data) -> dict[str, np.ndarray]:
    """Cross-validated k-nearest-neighbour vote by cosine similarity over standardised features (Wu et al., CVPR 2018, unweighted)."""
    mean, scale = heads.moments(data.features)
    rows = (data.features[:].astype(np.float32) - mean.astype(np.float32)) / scale.astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    right = np.zeros(len(rows))
    for fold in range(int(data.folds.max()) + 1):
        train, held = np.flatnonzero(data.folds != fold), np.flatnonzero(data.folds == fold)
        k = min(data.neighbours, len(train))
        for part in heads.blocks(len(held), 512):
            near = np.argpartition(-(rows[held[part]] @ rows[train].T), k - 1, axis=1)[:, :k]
            votes = np.apply_along_axis(np.bincount, 1, data.labels[train][near], minlength=data.classes)
            right[held[part]] = votes.argmax(1) == data.labels[held[part]]
    return {"knn_accuracy": right}


SCORES: dict[str, Callable[[Data], dict[str, np.ndarray]]] = {"probe": probe, "knn": knn}
