"""The head on the frozen base.

Features are computed once, and the penalty is chosen by cross-validation. One head is made to ship and one to compare with.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import encoding, folding
from headstart.features import of_source
from headstart.linear import learning_curve, logistic
from headstart.linear.learning_curve import LearningCurve
from headstart.networks import heads
from headstart.networks.cards import SourceCard
from headstart.statistics import likelihood, operating
from headstart.statistics.goals import ACCURACY, Goal
from headstart.statistics.operating import Point

FINAL, TRAIN_ONLY = "final", "train_only"
FITS = "head, fits"  # what a progress line says


class Chosen(TypedDict):
    """A head, and how it was chosen.

    Its penalty, the cross-validated figures that it was chosen by (nats, 0-1), and how many images it was fitted on.
    """

    penalty: float
    cv_log_loss: float
    cv_accuracy: float
    n: int
    class_weights: str  # none or balanced


class Held(Chosen):
    """A head that was fitted without the validation images, and the share (0-1) of them that it has right."""

    validation_accuracy: float


class Summary(TypedDict):
    """Both heads and what they were chosen by, as in models/head/summary.json."""

    classes: list[str]
    final: Chosen
    penalties: list[dict[str, float]]  # of the final head: penalty, log_loss, accuracy
    train_only: Held
    goal: Goal  # what the model is to be good at
    point: Point  # of the final head, chosen out of fold
    learning_curve: NotRequired[LearningCurve]


def train(
    table: pd.DataFrame,
    root: Path,
    card: SourceCard,
    *,
    penalties: list[float],
    folds: int,
    balanced: bool | None,
    seed: int,
    goal: Goal = ACCURACY,
    curve: bool = False,
    device: Device = CPU,
) -> tuple[dict[str, heads.Head], Summary]:
    """Fit the `final` and the `train_only` head on the source that `card` names.

    `final` is fitted on train and validation, and has its out-of-fold logits; `train_only` is fitted on train.
    Each chooses its own penalty, and class weights if `balanced` is None, by cross-validation over its own images, as the goal counts them.
    `curve`: measure the learning curve too. Raises DataError when a file has changed since it was indexed,
    HeadstartError if the source's weights have changed since it was chosen.
    """
    seen = table[table["split"].isin(["train", "validation"])].reset_index(drop=True)
    classes = encoding.classes(seen)
    labels = encoding.encode(seen["label"], classes)
    rows = of_source.of_source(card, seen, root, device)
    groups, is_train = seen["group"].to_numpy(), (seen["split"] == "train").to_numpy()

    def fit(chosen: np.ndarray) -> tuple[heads.Head, logistic.CrossValidated]:
        parts = folding.split_folds(labels[chosen], groups[chosen], folds, seed)
        how = partial(logistic.fit, classes=len(classes), penalties=penalties, balanced=balanced, goal=goal, what=FITS, device=device)
        return how(rows.take(chosen), labels[chosen], parts)

    final, validated = fit(np.arange(len(seen)))
    alone, alone_validated = fit(np.flatnonzero(is_train))
    held = np.flatnonzero(~is_train)
    right = float((alone.logits(rows.take(held)).argmax(1) == labels[held]).mean())
    point = operating.choose(goal, likelihood.softmax(validated.held_out), labels, classes)
    summary: Summary = {
        "classes": classes,
        "final": _chosen(validated),
        "penalties": validated.path,
        "train_only": {**_chosen(alone_validated), "validation_accuracy": right},
        "goal": goal,
        "point": point,
    }
    if curve:
        parts = folding.split_folds(labels, groups, folds, seed)
        summary["learning_curve"] = learning_curve.measure(
            rows, labels, parts, classes=len(classes), validated=validated, goal=goal, seed=seed
        )
    return {FINAL: replace(final, held_out=validated.held_out), TRAIN_ONLY: alone}, summary


def _chosen(validated: logistic.CrossValidated) -> Chosen:
    figures = validated.figures
    return {
        "penalty": validated.penalty,
        "cv_log_loss": figures["log_loss"],
        "cv_accuracy": figures["accuracy"],
        "n": len(validated.held_out),
        "class_weights": "balanced" if validated.balanced else "none",
    }


def on(
    train: pd.DataFrame,
    root: Path,
    card: SourceCard,
    classes: list[str],
    *,
    penalties: list[float],
    folds: int,
    balanced: bool = False,
    seed: int,
    device: Device = CPU,
) -> heads.Head:
    """A head fitted on the rows of `train` alone, on the source that `card` names.

    Its penalty is chosen by cross-validation over those rows.
    """
    labels = encoding.encode(train["label"], classes)
    parts = folding.split_folds(labels, train["group"].to_numpy(), folds, seed)
    rows = of_source.of_source(card, train, root, device)
    return logistic.fit(rows, labels, parts, classes=len(classes), penalties=penalties, balanced=balanced, what=FITS, device=device)[0]
