"""headstart.scores: each score is the figure it says, computed otherwise here; its rows carry its spread; it tells signal from noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from threadpoolctl import threadpool_limits

from headstart.choice import scores
from headstart.data import folding
from headstart.linear import logistic
from headstart.networks import heads


def data(n: int = 150, d: int = 12, classes: int = 3, signal: float = 1.0, neighbours: int = 5, seed: int = 0) -> scores.Inputs:
    """Normal classes around random means in features of very different scales; the source's classifier knows the means."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(n) % classes)
    means, scale = signal * random.normal(size=(classes, d)), np.logspace(-1, 1, d)
    features = (means[labels] + random.normal(size=(n, d))) * scale + 2
    weight = means / scale
    classifier = heads.Head(weight.astype(np.float32), (-2 * weight.sum(1) - (means**2).sum(1) / 2).astype(np.float32))
    folds = folding.split_folds(labels, np.arange(n), 5, 0)
    return scores.Inputs(features.astype(np.float32), labels, folds, classes, neighbours, classifier, 0.75)


def rows(name: str, given: scores.Inputs) -> np.ndarray:
    """The rows of a score that has one key, its own name."""
    (found,) = scores.SCORES[name].rows(given).items()
    assert found[0] == name
    return found[1]


@pytest.mark.parametrize("neighbours", [1, 4, 7])
def test_knn_is_that_of_scikit_learn(neighbours: int) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    given = data(neighbours=neighbours)
    features = given.features[:].astype(np.float64)
    spread = features.std(0)
    standard = (features - features.mean(0)) / np.maximum(spread, 0.1 * np.median(spread))
    expected = np.zeros(len(standard))
    for fold in range(5):
        seen = given.folds != fold
        theirs = KNeighborsClassifier(neighbours, metric="cosine", algorithm="brute").fit(standard[seen], given.labels[seen])
        expected[~seen] = theirs.predict(standard[~seen]) == given.labels[~seen]
    assert np.array_equal(scores.knn(given)["knn_accuracy"], expected)


def test_more_neighbours_than_rows_are_all_rows() -> None:
    given = data(n=20, neighbours=200)
    assert scores.knn(given)["knn_accuracy"].shape == (20,)


def test_the_probe_gives_accuracy_and_likelihood_of_each_row() -> None:
    given = data()
    found = scores.probe(given)
    validated = logistic.cross_validate(given.features, given.labels, given.folds, classes=3, penalties=scores.PENALTIES, what="x")
    assert found["probe_accuracy"].mean() == pytest.approx(validated.figures["accuracy"])
    assert -found["probe_log_likelihood"].mean() == pytest.approx(validated.figures["log_loss"])
    assert (found["probe_log_likelihood"] <= 0).all()


def dense(features: np.ndarray, log_precisions: np.ndarray) -> multivariate_normal:
    """What Bayesian linear regression on `features` says of all targets together, alpha and beta given."""
    alpha, beta = np.exp(log_precisions)
    return multivariate_normal(cov=np.eye(len(features)) / beta + features @ features.T / alpha)


def densest(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The log alpha and log beta of the highest evidence, by a simplex from several starts."""
    how = {"method": "Nelder-Mead", "bounds": [(-12, 12)] * 2, "options": {"xatol": 1e-7, "fatol": 1e-10}}
    found = [minimize(lambda x: -dense(features, x).logpdf(target), start, **how) for start in ([0.0, 0.0], [6.0, 2.0], [2.0, 5.0])]
    best = min(found, key=lambda result: result.fun).x
    assert (np.abs(best) < 11.9).all(), "these data have their highest evidence at an infinite alpha or beta"
    return best


def blurred(n: int, d: int, classes: int) -> scores.Inputs:
    """Inputs whose labels a few directions explain in part, so that neither alpha nor beta is best at infinity."""
    random = np.random.default_rng(5)
    labels = random.permutation(np.arange(n) % classes)
    latent = random.normal(size=(classes, 4))[labels] + random.normal(size=(n, 4))
    features = latent @ random.normal(size=(4, d)) + 0.1 * random.normal(size=(n, d)) + 0.5
    return scores.Inputs(features, labels, labels, classes, 5)


@pytest.mark.parametrize(("n", "d"), [(40, 7), (24, 60), (30, 30)])
@pytest.mark.parametrize("classes", [2, 3])
def test_logme_is_the_highest_dense_evidence(n: int, d: int, classes: int) -> None:
    given = blurred(n, d, classes)
    features = given.features[:].astype(np.float64)
    expected = []
    for label in range(classes):
        target = (given.labels == label).astype(float)
        expected.append(dense(features, densest(features, target)).logpdf(target) / n)
    assert rows("logme", given).mean() == pytest.approx(np.mean(expected), abs=1e-7)


def test_logme_of_few_images_reaches_the_evidence_without_noise() -> None:
    """Where beta is best at infinity, the evidence is that of the features' Gram matrix alone, its scale in closed form."""
    given, n = data(20, 200), 20
    features = given.features[:].astype(np.float64)
    gram, expected = features @ features.T, []
    for label in range(3):
        target = (given.labels == label).astype(float)
        scale = target @ np.linalg.solve(gram, target) / n
        expected.append(-0.5 * (np.linalg.slogdet(gram)[1] / n + np.log(scale) + np.log(2 * np.pi) + 1))
    assert rows("logme", given).mean() == pytest.approx(np.mean(expected), abs=1e-5)


@pytest.mark.parametrize(("n", "d"), [(30, 6), (14, 40)])
def test_rows_of_logme_are_what_the_evidence_loses_without_the_image(n: int, d: int) -> None:
    given = blurred(n, d, 3)
    features = given.features[:].astype(np.float64)
    lost = np.zeros(n)
    for label in range(3):
        target = (given.labels == label).astype(float)
        best = densest(features, target)
        whole = dense(features, best).logpdf(target)
        lost += [(whole - dense(np.delete(features, i, 0), best).logpdf(np.delete(target, i))) / 3 for i in range(n)]
    found = rows("logme", given)
    np.testing.assert_allclose(found - found.mean(), lost - lost.mean(), atol=2e-4)


@pytest.mark.parametrize(("n", "d"), [(120, 20), (60, 150)])
def test_rows_of_logme_tell_its_standard_error(n: int, d: int) -> None:
    found = [rows("logme", fresh(n, d, seed)) for seed in range(60)]
    spread = np.std([row.mean() for row in found], ddof=1)
    told = np.mean([row.std(ddof=1) for row in found]) / np.sqrt(n)
    assert 0.75 < told / spread < 2


def fresh(n: int, d: int, seed: int) -> scores.Inputs:
    """Other images of the same two classes, which lie a little apart in every direction."""
    random = np.random.default_rng(1000 + seed)
    labels = random.integers(0, 2, n)
    return scores.Inputs(0.4 * (2 * labels - 1)[:, None] + random.normal(size=(n, d)), labels, labels, 2, 5)


def test_logme_of_identical_images_is_bounded() -> None:
    """With fewer images than features they can be fitted without noise, and the evidence has no maximum."""
    given = data(20, 60)
    twice = replace(given, features=np.repeat(given.features[:10], 2, 0), labels=np.repeat(given.labels[:10], 2))
    assert np.isfinite(rows("logme", twice)).all()
    assert 0 < rows("logme", twice).mean() < 10


def dense_h_score(features: np.ndarray, labels: np.ndarray, weights: np.ndarray, shrinkage: float) -> float:
    """The H-score of rows of these weights, spelt out."""
    share = weights / weights.sum()
    centred = features - share @ features
    covariance = (centred * share[:, None]).T @ centred
    between = np.zeros_like(covariance)
    for label in np.unique(labels):
        of = labels == label
        mean = (share[of] @ centred[of]) / share[of].sum()
        between += share[of].sum() * np.outer(mean, mean)
    shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    return float(np.trace(np.linalg.inv(shrunk) @ ((1 - shrinkage) * between)))


@pytest.mark.parametrize(("n", "d"), [(60, 10), (25, 50), (30, 30)])
def test_h_score_and_its_rows_are_the_dense_formula_and_its_derivatives(n: int, d: int) -> None:
    from sklearn.covariance import LedoitWolf

    given = data(n, d)
    features = given.features[:].astype(np.float64)
    shrinkage = LedoitWolf().fit(features).shrinkage_
    even, step = np.full(n, 1 / n), 1e-5
    found = rows("h_score", given)
    assert 0 < shrinkage < 1
    assert found.mean() == pytest.approx(dense_h_score(features, given.labels, even, shrinkage), rel=1e-9)
    towards = [(1 - step) * even + step * np.eye(n)[i] for i in range(n)]
    away = [(1 + step) * even - step * np.eye(n)[i] for i in range(n)]
    slopes = [
        (dense_h_score(features, given.labels, up, shrinkage) - dense_h_score(features, given.labels, down, shrinkage)) / (2 * step)
        for up, down in zip(towards, away, strict=True)
    ]
    np.testing.assert_allclose(found - found.mean(), slopes, atol=1e-5 * np.abs(slopes).max())


def probabilities(given: scores.Inputs) -> list[np.ndarray]:
    """What the source's classifier says of each row, in plain Python arithmetic."""
    assert given.classifier is not None
    logits = [given.classifier.weight.astype(float) @ row.astype(float) + given.classifier.bias for row in given.features[:]]
    return [np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in logits]


def foreign(n: int = 40, sources: int = 6) -> scores.Inputs:
    """Inputs whose source has other classes than the target."""
    random = np.random.default_rng(3)
    given = data(n, 5, signal=0.8)
    head = heads.Head(random.normal(size=(sources, 5)).astype(np.float32) * 0.4, random.normal(size=sources).astype(np.float32))
    return replace(given, classifier=head)


def test_nce_is_the_literal_count() -> None:
    given = foreign()
    guesses = [int(row.argmax()) for row in probabilities(given)]
    expected = []
    for label, guess in zip(given.labels, guesses, strict=True):
        alike = [other for other, theirs in zip(given.labels, guesses, strict=True) if theirs == guess]
        expected.append(np.log(alike.count(label) / len(alike)))
    np.testing.assert_allclose(rows("nce", given), expected, rtol=1e-12)
    assert len(set(guesses)) > 2


def test_leep_is_the_literal_sum() -> None:
    given = foreign()
    theta = probabilities(given)
    expected = []
    for i, label in enumerate(given.labels):
        total = 0.0
        for z in range(6):
            joint = sum(theta[j][z] for j in range(len(theta)) if given.labels[j] == label) / len(theta)
            total += joint / (sum(row[z] for row in theta) / len(theta)) * theta[i][z]
        expected.append(np.log(total))
    np.testing.assert_allclose(rows("leep", given), expected, rtol=1e-5)


def test_scores_that_lack_what_they_take_give_nothing() -> None:
    given = replace(data(), classifier=None, published=None)
    lacking = {name for name, score in scores.SCORES.items() if not score.rows(given)}
    assert lacking == {"nce", "leep", "imagenet_accuracy"}
    assert (rows("imagenet_accuracy", data()) == 0.75).all()


@pytest.mark.parametrize("name", scores.SCORES)
def test_every_score_says_what_it_is_and_votes_by_its_own_keys(name: str) -> None:
    score = scores.SCORES[name]
    found = score.rows(data(n=40))
    assert set(score.votes) <= set(found)
    assert all(value.shape == (40,) and value.dtype == np.float64 for value in found.values())
    assert all([score.title, score.paper, score.assumptions, score.cost])


@pytest.mark.parametrize("name", [name for name in scores.SCORES if name != "imagenet_accuracy"])
@pytest.mark.parametrize("d", [12, 200])
def test_every_score_prefers_signal_to_noise(name: str, d: int) -> None:
    clear, faint, none = (
        scores.SCORES[name].rows(data(d=d, signal=signal)) for signal in (1.5 * (12 / d) ** 0.5, 0.5 * (12 / d) ** 0.5, 0.0)
    )
    for figure in clear:
        assert len(clear[figure]) == 150
        assert clear[figure].mean() > faint[figure].mean() > none[figure].mean(), figure


def test_features_that_say_nothing_score_at_chance() -> None:
    given = replace(data(n=300), features=np.ones((300, 12), np.float32))
    found = {key: value.mean() for score in scores.SCORES.values() for key, value in score.rows(given).items()}
    assert found["probe_log_likelihood"] == pytest.approx(-np.log(3), abs=0.02)
    assert found["probe_accuracy"] == pytest.approx(1 / 3, abs=0.08)
    assert found["knn_accuracy"] == pytest.approx(1 / 3, abs=0.08)
    assert found["h_score"] == 0
    assert found["nce"] == pytest.approx(-np.log(3))
    assert found["leep"] == pytest.approx(-np.log(3))


def alone(given: scores.Inputs) -> scores.Inputs:
    return replace(given, labels=np.where(np.arange(len(given.labels)) == 0, 0, 1 + given.labels % 2))


DEGENERATE: dict[str, Callable[[], scores.Inputs]] = {
    "constant feature": lambda: replace(data(), features=np.where(np.arange(12) == 3, 0.1, data().features[:])),
    "constant features": lambda: replace(data(), features=np.full((150, 12), 0.1)),
    "no features at all": lambda: replace(data(), features=np.zeros((150, 12), np.float16)),
    "class of one image": lambda: alone(data(30, 40)),
    "class without images": lambda: replace(data(), labels=data().labels % 2),
    "identical rows": lambda: replace(data(20, 40), features=data(20, 40).features[np.r_[0, 0, 2:20]]),
    "identical halves": lambda: replace(data(), features=np.where(data().labels[:, None] == 0, 1.0, -1.0) * np.ones(12)),
    "four rows": lambda: data(4, 12),
    "four rows of two": lambda: replace(data(4, 12), features=data(4, 12).features[np.array([0, 0, 1, 1])]),
    "one feature": lambda: data(30, 1),
    "half precision at its ends": lambda: replace(data(), features=(data().features[:] * 6e4).clip(-65504, 65504).astype(np.float16)),
}


@pytest.mark.parametrize("name", scores.SCORES)
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_data_give_finite_rows(name: str, case: str) -> None:
    given = DEGENERATE[case]()
    for value in scores.SCORES[name].rows(given).values():
        assert value.shape == given.labels.shape
        assert np.isfinite(value).all()


@pytest.mark.parametrize("name", ["logme", "h_score"])
@pytest.mark.parametrize("d", [12, 200])
def test_the_unit_of_the_features_does_not_matter(name: str, d: int) -> None:
    given = data(d=d)
    np.testing.assert_allclose(rows(name, replace(given, features=given.features[:] * 1000.0)), rows(name, given), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", scores.SCORES)
def test_bytes_do_not_depend_on_the_threads_of_blas(name: str) -> None:
    given = data(300, 400)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(scores.SCORES[name].rows(given))
    for key, value in found[0].items():
        assert value.tobytes() == found[1][key].tobytes()
