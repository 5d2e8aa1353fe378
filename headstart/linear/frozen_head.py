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
from headstart.linear import joining, learning_curve, logistic
from headstart.linear.joining import Joining
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
    self_training: NotRequired[joining.Report]  # what became of images without labels, if there are some


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
    without: Joining | None = None,
    device: Device = CPU,
) -> tuple[dict[str, heads.Head], Summary]:
    """Fit the `final` and the `train_only` head on the source that `card` names.

    `final` is fitted on train and validation, and has its out-of-fold logits; `train_only` is fitted on train.
    Each chooses its own penalty, and class weights if `balanced` is None, by cross-validation over its own images, as the goal counts them.
    `curve`: measure the learning curve too. `without`: images without labels, which teach both heads if that is shown to help. Raises DataError when a file has changed since it was indexed,
    HeadstartError if the source's weights have changed since it was chosen.
    """
    seen = table[table["split"].isin(["train", "validation"])].reset_index(drop=True)
    classes = encoding.classes(seen)
    labels = encoding.encode(seen["label"], classes)
    rows = of_source.of_source(card, seen, root, device)
    groups, is_train = seen["group"].to_numpy(), (seen["split"] == "train").to_numpy()

    def fit(chosen: np.ndarray, parts: np.ndarray) -> tuple[heads.Head, logistic.CrossValidated]:
        how = partial(logistic.fit, classes=len(classes), penalties=penalties, balanced=balanced, goal=goal, what=FITS, device=device)
        return how(rows.take(chosen), labels[chosen], parts)

    parts = folding.split_folds(labels, groups, folds, seed)
    final, validated = fit(np.arange(len(seen)), parts)
    alone, alone_validated = fit(np.flatnonzero(is_train), folding.split_folds(labels[is_train], groups[is_train], folds, seed))
    made = {FINAL: replace(final, held_out=validated.held_out), TRAIN_ONLY: alone}
    told: joining.Report | None = None
    if without:
        given = joining.Labelled(rows, labels, groups, parts, is_train, classes, goal)
        pool = joining.pool(without, table, root, card, seed=seed, device=device)
        more, told = joining.join(given, pool, without.when, {FINAL: validated, TRAIN_ONLY: alone_validated})
        made |= more
    right = float((made[TRAIN_ONLY].logits(rows.take(np.flatnonzero(~is_train))).argmax(1) == labels[~is_train]).mean())
    summary = _summary(made[FINAL], labels, classes, goal, validated, {**_chosen(alone_validated), "validation_accuracy": right})
    if told:
        summary["self_training"] = told
    if curve:
        summary["learning_curve"] = learning_curve.measure(
            rows, labels, parts, classes=len(classes), validated=validated, goal=goal, seed=seed
        )
    return made, summary


def _summary(
    final: heads.Head, labels: np.ndarray, classes: list[str], goal: Goal, validated: logistic.CrossValidated, train_only: Held
) -> Summary:
    """What is told of both heads; `final` has its out-of-fold logits."""
    assert final.held_out is not None
    return {
        "classes": classes,
        "final": _chosen(validated),
        "penalties": validated.path,
        "train_only": train_only,
        "goal": goal,
        "point": operating.choose(goal, likelihood.softmax(final.held_out), labels, classes),
    }


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
