"""headstart.evaluation.metrics: the figures are scikit-learn's, and the intervals cover."""

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


def describe(probabilities: np.ndarray, labels: np.ndarray, draws: int = 200, seed: int = 0) -> dict[str, Any]:
    return metrics.describe(probabilities, labels, CLASSES, draws=draws, bins=15, seed=seed)


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
def test_the_reliability_table_has_a_row_for_each_bin_with_images(bins: int) -> None:
    probabilities, labels = predictions()
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    rows = []
    for i in range(bins):
        inside = (confidence >= i / bins) & ((confidence < (i + 1) / bins) | (i == bins - 1))
        if inside.any():
            rows.append({"bin": i, "confidence": confidence[inside].mean(), "accuracy": right[inside].mean(), "n": inside.sum()})
    assert metrics.reliability(probabilities, labels, bins) == [pytest.approx(row) for row in rows]


@pytest.mark.parametrize(("n", "lowest"), [(12, 0.779), (300, 0.990)])
def test_no_error_among_few_images_is_not_certainty(n: int, lowest: float) -> None:
    """Of n images without an error, the lower end of the accuracy is where such a sample has a chance of one in twenty."""
    labels = np.arange(n) % 3
    figures = describe(np.eye(3)[labels], labels)
    assert figures["interval"]["accuracy"] == pytest.approx([0.05 ** (1 / n), 1])
    assert figures["interval"]["accuracy"][0] == pytest.approx(lowest, abs=1e-3)
    for key in ("balanced_accuracy", "macro_f1"):
        assert figures[key] == 1
        low, high = figures["interval"][key]
        assert 0.6 * lowest < low < lowest + 0.005
        assert high == 1
    assert figures["ece"] == 0
    assert figures["interval"]["ece"][1] > 0.8 * (1 - lowest)
    assert metrics.reliability(np.eye(3)[labels], labels, 15) == [{"bin": 14, "confidence": 1, "accuracy": 1, "n": n}]


def test_a_class_that_the_test_images_lack_does_not_count() -> None:
    labels = np.array([0] * 10 + [1] * 10)
    figures = describe(np.eye(3)[[*labels[:-1], 0]], labels)
    assert figures["balanced_accuracy"] == pytest.approx(0.95)
    low, high = figures["interval"]["balanced_accuracy"]
    assert 0.7 < low < 0.95 < high < 1
    json.dumps(figures, allow_nan=False)


@pytest.mark.parametrize("skill", [0.0, 1.5, 6.0])
@pytest.mark.parametrize("n", [3, 30, 3000])
def test_every_interval_holds_its_figure_and_has_a_width(n: int, skill: float) -> None:
    for seed in range(3):
        figures = describe(*predictions(n, skill, seed))
        for key, (low, high) in figures["interval"].items():
            assert 0 <= low <= figures[key] <= high <= 1
            assert high - low > 0.2 / n


def test_intervals_narrow_with_more_images() -> None:
    few, many = (describe(*predictions(n)) for n in (100, 10_000))
    for key, (low, high) in many["interval"].items():
        assert high - low < 0.4 * (few["interval"][key][1] - few["interval"][key][0])


def test_the_same_seed_gives_the_same() -> None:
    probabilities, labels = predictions()
    assert describe(probabilities, labels) == describe(probabilities, labels)
    assert describe(probabilities, labels)["interval"]["ece"] != describe(probabilities, labels, seed=1)["interval"]["ece"]


@pytest.mark.parametrize(("n", "skill"), [(12, 1.5), (300, 1.5), (300, 3.0)])
def test_intervals_cover_the_truth_as_often_as_they_say(n: int, skill: float) -> None:
    """Many samples from a table of probabilities that is known."""
    probabilities, labels = predictions(200_000, skill, seed=99)
    table = metrics.confusion_matrix(labels, probabilities.argmax(1), 3)
    truth, _ = metrics.shares(table)
    drawn = np.random.default_rng(0).multinomial(n, table.ravel() / table.sum(), 1000).reshape(-1, 3, 3)
    _, ends = metrics.shares(drawn)
    for key, (low, high) in ends.items():
        assert 0.92 < np.mean((low <= truth[key]) & (truth[key] <= high)) < 0.995, key


def test_with_many_images_the_interval_is_that_of_resampled_images() -> None:
    probabilities, labels = predictions(400)
    random = np.random.default_rng(5)
    guess = probabilities.argmax(1)
    drawn = [random.integers(0, 400, 400) for _ in range(500)]
    interval = describe(probabilities, labels)["interval"]
    for key, score in (
        ("balanced_accuracy", balanced_accuracy_score),
        ("macro_f1", lambda actual, found: f1_score(actual, found, average="macro")),
    ):
        scores = [score(labels[rows], guess[rows]) for rows in drawn]
        np.testing.assert_allclose(interval[key], np.quantile(scores, [0.025, 0.975]), atol=0.025)
