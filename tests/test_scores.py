"""headstart.scores: each score is the figure it says, cross-validated, and tells signal from noise."""

from __future__ import annotations

import numpy as np
import pytest

from headstart import heads, scores


def data(n: int = 150, d: int = 12, classes: int = 3, signal: float = 1.0, neighbours: int = 5, seed: int = 0) -> scores.Data:
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(n) % classes)
    features = (signal * random.normal(size=(classes, d))[labels] + random.normal(size=(n, d))) * np.logspace(-1, 1, d) + 2
    return scores.Data(features.astype(np.float32), labels, heads.split_folds(labels, np.arange(n), 5, 0), classes, neighbours)


@pytest.mark.parametrize("neighbours", [1, 4, 7])
def test_knn_is_that_of_scikit_learn(neighbours: int) -> None:
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import StandardScaler

    given = data(neighbours=neighbours)
    rows = StandardScaler().fit_transform(given.features[:])
    expected = np.zeros(len(rows))
    for fold in range(5):
        seen = given.folds != fold
        theirs = KNeighborsClassifier(neighbours, metric="cosine", algorithm="brute").fit(rows[seen], given.labels[seen])
        expected[~seen] = theirs.predict(rows[~seen]) == given.labels[~seen]
    assert np.array_equal(scores.knn(given)["knn_accuracy"], expected)


def test_more_neighbours_than_rows_are_all_rows() -> None:
    given = data(n=20, neighbours=200)
    assert scores.knn(given)["knn_accuracy"].shape == (20,)


def test_the_probe_gives_accuracy_and_likelihood_of_each_row() -> None:
    given = data()
    found = scores.probe(given)
    validated = heads.cross_validate(given.features, given.labels, given.folds, classes=3, penalties=scores.PENALTIES, what="x")
    assert found["probe_accuracy"].mean() == pytest.approx(validated.figures["accuracy"])
    assert -found["probe_log_likelihood"].mean() == pytest.approx(validated.figures["log_loss"])
    assert (found["probe_log_likelihood"] <= 0).all()


@pytest.mark.parametrize("name", scores.SCORES)
def test_every_score_prefers_signal_to_noise(name: str) -> None:
    clear, faint, none = (scores.SCORES[name](data(signal=signal)) for signal in (1.5, 0.5, 0.0))
    for figure in clear:
        assert len(clear[figure]) == 150
        assert clear[figure].mean() > faint[figure].mean() > none[figure].mean(), figure


def test_features_that_say_nothing_score_at_chance() -> None:
    given = data(n=300)
    constant = scores.Data(np.ones((300, 12), np.float32), given.labels, given.folds, 3, 5)
    found = {**scores.probe(constant), **scores.knn(constant)}
    assert found["probe_log_likelihood"].mean() == pytest.approx(-np.log(3), abs=0.02)
    assert found["probe_accuracy"].mean() == pytest.approx(1 / 3, abs=0.08)
    assert found["knn_accuracy"].mean() == pytest.approx(1 / 3, abs=0.08)
