"""What a set of predictions is worth: accuracy, balanced accuracy, macro-F1, calibration, intervals."""

from __future__ import annotations

from typing import Literal, TypedDict

import numpy as np
from scipy.special import ndtri, stdtrit

from headstart.statistics import calibration, intervals
from headstart.statistics.intervals import Ends

Measure = Literal["accuracy", "balanced_accuracy", "macro_f1"]
TAIL = (1 - intervals.CONFIDENCE) / 2
TINY = 1e-300  # instead of a division by zero


class OfClass(TypedDict):
    """Precision, recall and F1 (0-1) of one class, and its number of images."""

    precision: float
    recall: float
    f1: float
    n: int


class Figures(TypedDict):
    """All figures (0-1) of one contender on the test images, as they are written to reports/metrics.json."""

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    ece: float  # expected calibration error, without its bias
    interval: dict[str, list[float]]  # of each of the four above, from low to high, with 95% confidence
    per_class: dict[str, OfClass]


class Bin(TypedDict):
    """The images of one confidence bin: mean confidence (0-1), accuracy (0-1), and how many they are."""

    bin: int
    confidence: float
    accuracy: float
    n: int


def describe(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: list[str],
    *,
    predicted: np.ndarray | None = None,
    draws: int,
    bins: int,
    seed: int,
) -> Figures:
    """All figures of one contender.

    probabilities: (n, classes); labels: (n,) integers; predicted: (n,) what is named, the likeliest class if it is left out. Accuracy,
    balanced accuracy and macro-F1 have the interval of a share of as many images as are equally uncertain; `draws` are behind the interval
    of the calibration error.
    """
    confusion = confusion_matrix(labels, probabilities.argmax(1) if predicted is None else predicted, len(classes))
    values, interval = shares(confusion)
    ece, *ends = calibration.error(calibration.bins(probabilities, labels, bins), draws=draws, seed=seed)
    return {
        "accuracy": float(values["accuracy"]),
        "balanced_accuracy": float(values["balanced_accuracy"]),
        "macro_f1": float(values["macro_f1"]),
        "ece": ece,
        "interval": {**{key: [float(end) for end in interval[key]] for key in values}, "ece": ends},
        "per_class": _per_class(confusion, classes),
    }


def shares(confusion: np.ndarray) -> tuple[dict[Measure, np.ndarray], dict[Measure, Ends]]:
    """Accuracy, balanced accuracy and macro-F1 (...) of counts (..., classes, classes), and their intervals.

    Each is a mean of what images add to it. Its variance, by the delta method, is that of a share of so many images, of which the interval is
    taken (intervals.share). The variance is taken where a sample without an error has one too (`_smooth`).
    """
    values, smooth = _values(confusion), _smooth(confusion)
    near, variances = _values(smooth), _variances(smooth)
    images = confusion.sum((-2, -1))
    less = (ndtri(TAIL) / stdtrit(np.maximum(images - 1, 1), TAIL)) ** 2  # as the variance is an estimate
    n = {key: less * near[key] * (1 - near[key]) / variances[key] for key in variances}
    n["accuracy"] = images
    return values, {key: intervals.share(values[key] * n[key], n[key]) for key in values}


def confusion_matrix(actual: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): rows actual, columns predicted."""
    return np.bincount(actual * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> list[Bin]:
    """The non-empty confidence bins of probabilities (n, classes), from the lowest confidence up."""
    found = calibration.bins(probabilities, labels, bins)
    place = np.unique(np.minimum((probabilities.max(1) * bins).astype(np.int64), bins - 1))
    return [
        {"bin": int(i), "confidence": float(confidence), "accuracy": float(right / n), "n": int(n)}
        for i, n, right, confidence in zip(place, found.n, found.right, found.confidence, strict=True)
    ]


def _values(table: np.ndarray) -> dict[Measure, np.ndarray]:
    """Accuracy, balanced accuracy and macro-F1 (...) of counts (..., classes, classes), of the classes that are there."""
    right = np.diagonal(table, axis1=-2, axis2=-1)
    actual, predicted = table.sum(-1), table.sum(-2)
    present = actual > 0
    recall = np.where(present, right / np.maximum(actual, TINY), 0)
    f1 = np.where(present, 2 * right / np.maximum(actual + predicted, TINY), 0)
    return {
        "accuracy": right.sum(-1) / table.sum((-2, -1)),
        "balanced_accuracy": recall.sum(-1) / present.sum(-1),
        "macro_f1": f1.sum(-1) / present.sum(-1),
    }


def _variances(table: np.ndarray) -> dict[Measure, np.ndarray]:
    """Variances (...) of balanced accuracy and macro-F1 of counts (..., classes, classes), by the delta method.

    For macro-F1: Takahashi et al., Applied Intelligence 52, 2022.
    """
    actual, right = table.sum(-1), np.diagonal(table, axis1=-2, axis2=-1)
    present = actual > 0
    recall = right / np.maximum(actual, TINY)
    of_recall = np.where(present, recall * (1 - recall) / np.maximum(actual, TINY), 0).sum(-1)
    both = np.maximum(actual + table.sum(-2), TINY)
    lost = np.where(present, 2 * right / both**2, 0)  # of the sum of F1 by a miss or a false alarm
    added = -(lost[..., :, None] + lost[..., None, :])
    each = np.arange(table.shape[-1])
    added[..., each, each] += np.where(present, 2 / both, 0)
    squared = present.sum(-1) ** 2
    return {"balanced_accuracy": of_recall / squared, "macro_f1": (table * added**2).sum((-2, -1)) / squared}


def _smooth(confusion: np.ndarray) -> np.ndarray:
    """Counts (..., classes, classes) in which no class is without an error.

    Each gets one error more, among as many images as have one on average over all classes, with one error more there too.
    """
    actual, count = confusion.sum(-1), confusion.shape[-1]
    others = ~np.eye(count, dtype=bool)
    wrong = confusion * others
    rate = (wrong.sum((-2, -1)) + 1) / (actual.sum(-1) + 2)
    errors = actual * (wrong.sum(-1) + 1) / (actual + 1 / rate[..., None])
    guess = (actual + 1)[..., None, :] * others
    spread = wrong + guess / np.maximum(guess.sum(-1, keepdims=True), TINY)
    table = errors[..., None] * spread / np.maximum(spread.sum(-1, keepdims=True), TINY)
    each = np.arange(count)
    table[..., each, each] = actual - errors
    return np.asarray(table)


def _per_class(confusion: np.ndarray, classes: list[str]) -> dict[str, OfClass]:
    right, actual, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    return {
        name: {
            "precision": float(right[i] / max(predicted[i], 1)),
            "recall": float(right[i] / max(actual[i], 1)),
            "f1": float(2 * right[i] / max(actual[i] + predicted[i], 1)),
            "n": int(actual[i]),
        }
        for i, name in enumerate(classes)
    }
