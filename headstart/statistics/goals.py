"""What a model is to be good at, once the classes are known, and what that makes of its answers.

Under the goal `accuracy` every image counts alike. Under all others every class counts alike, whatever its number of images: the mean gain
of a model is then its balanced accuracy. A recall or a precision that is to be reached is reached by the operating point
(statistics/operating.py); of two models that reach it, the one of higher balanced accuracy does better on all else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from headstart.machinery import nearest
from headstart.machinery.errors import ParamsError

EVEN_UP_TO = 1.5  # images of the largest class for each of the smallest, up to which `auto` is accuracy
Measure = Literal["accuracy", "balanced_accuracy", "recall", "precision"]


@dataclass(frozen=True)
class Goal:
    """What the model is to be good at."""

    measure: Measure
    label: str | None = None  # the class whose recall or precision is to be reached
    reach: float | None = None  # 0-1
    asked: bool = True  # False: `auto` has chosen it
    ratio: float | None = None  # images of the largest class for each of the smallest

    @property
    def even(self) -> bool:
        """Whether every class counts alike, whatever its number of images."""
        return self.measure != "accuracy"

    def counts(self, labels: np.ndarray) -> np.ndarray:
        """How much each image (n,) counts, 1 on average.

        Labels (n,) are integers.
        """
        if not self.even:
            return np.ones(len(labels))
        images = np.bincount(labels)
        return len(labels) / (np.count_nonzero(images) * images[labels])

    def merits(self, logits: np.ndarray, labels: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """The log likelihood (n,) in nats of each of the labels (n,), times how much it counts: the higher the better.

        logits: (n, classes); prior: (classes,) shares of the classes. If classes count alike, it is that of a world in which they are equally common.
        """
        from headstart.statistics import likelihood  # which needs SciPy: every stage would wait for it

        return np.asarray(self.counts(labels) * likelihood.of_labels(self.seen(logits, prior), labels))

    def seen(self, logits: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Logits (n, classes) as they are, or, if classes count alike, in that world; `prior` is that of `merits`."""
        return logits - np.log(prior) if self.even else logits


ACCURACY = Goal("accuracy")


def read(content: Mapping[str, Any]) -> Goal:
    """A goal from the JSON values of its fields."""
    return Goal(**content)


def resolve(measure: str, label: str | None, reach: float, labels: Sequence[str]) -> Goal:
    """The goal that the block `aim` of params.yaml means for images of these labels.

    Raises ParamsError for a class that no image has.
    """
    names, counts = np.unique(np.array(labels, dtype=str), return_counts=True)
    ratio = float(counts.max() / counts.min())
    if measure == "auto":
        return Goal("balanced_accuracy" if ratio > EVEN_UP_TO else "accuracy", asked=False, ratio=ratio)
    check_label(label, names.tolist())
    kind: dict[str, Measure] = {
        "accuracy": "accuracy",
        "balanced_accuracy": "balanced_accuracy",
        "recall": "recall",
        "precision": "precision",
    }
    return Goal(kind[measure], label, reach if label else None, ratio=ratio)


def check_label(label: str | None, classes: Sequence[str]) -> None:
    """Raise ParamsError unless the label, if there is one, is one of the classes."""
    if label and label not in classes:
        raise ParamsError(f"aim.label: there is no class {label!r} here; {nearest.hint(label, sorted(classes), 20)}")


def shares(labels: np.ndarray, classes: int) -> np.ndarray:
    """The share (classes,) of each class among the labels (n,); one that has no image counts as half an image."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 0.5)
    return np.asarray(counts / counts.sum())
