"""What a set of predictions is worth: accuracy, balanced accuracy, macro-F1, calibration, intervals."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

LEVEL = 0.95  # of the intervals
MEASURES = ("accuracy", "balanced_accuracy", "macro_f1", "ece")  # those that have an interval


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
    ece: float  # expected calibration error
    interval: dict[str, list[float]]  # of each of MEASURES, from low to high
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
    bootstrap: int,
    bins: int,
    seed: int,
) -> Figures:
    """All figures of one contender.

    probabilities: (n, classes); labels: (n,) integers; predicted: (n,) what is named, the likeliest class if it is left out. Intervals are percentiles over `bootstrap` resamples of the images. Every
    figure depends on the images only through counts, of (actual, predicted) pairs or of (confidence bin, right or wrong), so the
    counts are resampled, which costs the same for a hundred images and for a million.
    """
    confusion = confusion_matrix(labels, probabilities.argmax(1) if predicted is None else predicted, len(classes))
    counts, confidences = _calibration(probabilities, labels, bins)
    random = np.random.default_rng(seed)
    tables = random.multinomial(len(labels), (confusion / confusion.sum()).ravel(), bootstrap).reshape(bootstrap, *confusion.shape)
    resampled = random.multinomial(len(labels), (counts / counts.sum()).ravel(), bootstrap).reshape(bootstrap, *counts.shape)
    values, spread = _from_confusion(confusion), _from_confusion(tables)
    values["ece"], spread["ece"] = _ece(counts, confidences), _ece(resampled, confidences)
    tail = (1 - LEVEL) / 2
    return {
        "accuracy": float(values["accuracy"]),
        "balanced_accuracy": float(values["balanced_accuracy"]),
        "macro_f1": float(values["macro_f1"]),
        "ece": float(values["ece"]),
        "interval": {key: [float(end) for end in np.quantile(spread[key], [tail, 1 - tail])] for key in MEASURES},
        "per_class": _per_class(confusion, classes),
    }


def confusion_matrix(actual: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): rows actual, columns predicted."""
    return np.bincount(actual * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> list[Bin]:
    """The non-empty confidence bins of probabilities (n, classes), from the lowest confidence up."""
    counts, confidences = _calibration(probabilities, labels, bins)
    total = counts.sum(1)
    return [
        {
            "bin": int(i),
            "confidence": float((counts[i] * confidences[i]).sum() / total[i]),
            "accuracy": float(counts[i, 1] / total[i]),
            "n": int(total[i]),
        }
        for i in np.flatnonzero(total)
    ]


def _from_confusion(table: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracy, balanced accuracy and macro-F1 (...) of counts (..., classes, classes).

    Classes that a resample lacks do not count in it.
    """
    right = np.diagonal(table, axis1=-2, axis2=-1)
    actual, predicted = table.sum(-1), table.sum(-2)
    present = actual > 0
    recall = np.where(present, right / np.maximum(actual, 1), 0)
    f1 = np.where(present, 2 * right / np.maximum(actual + predicted, 1), 0)
    return {
        "accuracy": right.sum(-1) / table.sum((-2, -1)),
        "balanced_accuracy": recall.sum(-1) / present.sum(-1),
        "macro_f1": f1.sum(-1) / present.sum(-1),
    }


def _calibration(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts (bins, 2) of wrong and right predictions, and their mean confidences (bins, 2).

    The bins are of equal width in confidence.
    """
    confidence, right = probabilities.max(1), (probabilities.argmax(1) == labels).astype(np.int64)
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1) * 2 + right
    counts = np.bincount(place, minlength=2 * bins)
    sums = np.bincount(place, weights=confidence, minlength=2 * bins)
    return counts.reshape(bins, 2), (sums / np.maximum(counts, 1)).reshape(bins, 2)


def _ece(counts: np.ndarray, confidences: np.ndarray) -> np.ndarray:
    """Expected calibration error (...) (Guo et al., ICML 2017) of counts (..., bins, 2)."""
    gaps = np.abs(counts[..., 1] - (counts * confidences).sum(-1))
    return np.asarray(gaps.sum(-1) / counts.sum((-2, -1)))


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
