"""headstart.metrics: the figures are scikit-learn's, the calibration error is the direct sum, and the intervals cover."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from headstart.evaluation import metrics
from headstart.statistics import likelihood

CLASSES = ["a", "b", "c"]


def predictions(n: int = 200, skill: float = 1.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.choice(3, n, p=[0.6, 0.3, 0.1])
    return likelihood.softmax(random.normal(size=(n, 3)) + skill * np.eye(3)[labels]), labels


def describe(probabilities: np.ndarray, labels: np.ndarray, bootstrap: int = 200, seed: int = 0) -> dict[str, Any]:
    return metrics.describe(probabilities, labels, CLASSES, bootstrap=bootstrap, bins=15, seed=seed)


@pytest.mark.parametrize("skill", [0.0, 1.5, 4.0])
def test_the_figures_are_those_of_scikit_learn(skill: float) -> None:
    probabilities, labels = predictions(skill=skill)
    guess = probabilities.argmax(1)
    figures = describe(probabilities, labels)
    assert figures["accuracy"] == pytest.approx(accuracy_score(labels, guess))
    assert figures["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, guess))
    assert figures["macro_f1"] == pytest.approx(f1_score(labels, guess, average="macro"))
    columns = precision_recall_fscore_support(labels, guess, zero_division=0.0)
    for i, name in enumerate(CLASSES):
        expected = dict(zip(("precision", "recall", "f1", "n"), (column[i] for column in columns), strict=True))
        assert figures["per_class"][name] == pytest.approx(expected)
    assert np.array_equal(metrics.confusion_matrix(labels, guess, 3), confusion_matrix(labels, guess))
    json.dumps(figures, allow_nan=False)


def test_a_class_that_is_never_predicted_counts_as_missed() -> None:
    labels = np.array([0, 0, 1, 2])
    figures = describe(np.eye(3)[[0, 0, 1, 1]], labels)
    assert figures["macro_f1"] == pytest.approx(f1_score(labels, [0, 0, 1, 1], average="macro", zero_division=0.0))
    assert figures["per_class"]["c"] == {"precision": 0, "recall": 0, "f1": 0, "n": 1}


@pytest.mark.parametrize("bins", [2, 15, 100])
def test_the_calibration_error_is_the_direct_sum(bins: int) -> None:
    probabilities, labels = predictions()
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    expected = 0.0
    rows = []
    for i in range(bins):
        inside = (confidence >= i / bins) & ((confidence < (i + 1) / bins) | (i == bins - 1))
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
            rows.append({"bin": i, "confidence": confidence[inside].mean(), "accuracy": right[inside].mean(), "n": inside.sum()})
    figures = metrics.describe(probabilities, labels, CLASSES, bootstrap=100, bins=bins, seed=0)
    assert figures["ece"] == pytest.approx(expected)
    assert metrics.reliability(probabilities, labels, bins) == [pytest.approx(row) for row in rows]


def test_perfect_predictions() -> None:
    labels = np.arange(30) % 3
    figures = describe(np.eye(3)[labels], labels)
    for key in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert figures[key] == 1
        assert figures["interval"][key] == [1, 1]
    assert figures["ece"] == 0
    assert figures["interval"]["ece"] == [0, 0]
    assert metrics.reliability(np.eye(3)[labels], labels, 15) == [{"bin": 14, "confidence": 1, "accuracy": 1, "n": 30}]


def test_a_class_that_a_resample_lacks_does_not_count_in_it() -> None:
    labels = np.array([0] * 10 + [1] * 10 + [2])  # a third of the resamples lack the last class
    figures = describe(np.eye(3)[labels], labels)
    assert figures["interval"]["balanced_accuracy"] == figures["interval"]["macro_f1"] == [1, 1]


def test_intervals_hold_the_figure_and_narrow_with_more_images() -> None:
    few, many = (describe(*predictions(n)) for n in (100, 10_000))
    for key, (low, high) in many["interval"].items():
        assert low <= many[key] <= high or key == "ece"
        assert high - low < 0.4 * (few["interval"][key][1] - few["interval"][key][0])
    assert many["interval"]["accuracy"][0] < many["accuracy"] < many["interval"]["accuracy"][1]


def test_intervals_are_the_same_for_the_same_seed() -> None:
    probabilities, labels = predictions()
    assert describe(probabilities, labels) == describe(probabilities, labels)
    assert describe(probabilities, labels)["interval"] != describe(probabilities, labels, seed=1)["interval"]


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    truth = describe(*predictions(200_000, seed=99), bootstrap=2)
    covered = dict.fromkeys(("accuracy", "balanced_accuracy", "macro_f1"), 0)
    for seed in range(200):
        interval = describe(*predictions(300, seed=seed), seed=seed)["interval"]
        for key in covered:
            covered[key] += interval[key][0] <= truth[key] <= interval[key][1]
    assert all(0.9 <= count / 200 <= 0.99 for count in covered.values()), covered


def test_the_interval_is_that_of_resampled_images() -> None:
    probabilities, labels = predictions(120)
    random = np.random.default_rng(5)
    guess = probabilities.argmax(1)
    drawn = [random.integers(0, 120, 120) for _ in range(1000)]
    scores = [balanced_accuracy_score(labels[rows], guess[rows]) for rows in drawn]
    interval = describe(probabilities, labels, bootstrap=5000)["interval"]["balanced_accuracy"]
    np.testing.assert_allclose(interval, np.quantile(scores, [0.025, 0.975]), atol=0.02)
