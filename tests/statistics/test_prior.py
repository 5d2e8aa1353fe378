"""headstart.statistics.prior: probabilities where classes are as common as elsewhere."""

from __future__ import annotations

import numpy as np

from headstart.statistics import prior


def drawn(shares: tuple[float, float], n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Exact probabilities (n, 2) under even classes of points from two normal distributions, and the classes (n,) that they are of."""
    random = np.random.default_rng(0)
    labels = random.choice(2, n, p=shares)
    x = random.normal(2.0 * labels - 1)
    second = 1 / (1 + np.exp(-2 * x))
    return np.stack([1 - second, second], 1), labels


def test_shares_are_found_and_answers_get_better() -> None:
    before = np.array([0.5, 0.5])
    probabilities, labels = drawn((0.9, 0.1))
    shares = prior.estimated(probabilities, before)
    assert abs(shares[1] - 0.1) < 0.02
    moved = prior.corrected(probabilities, shares / before)
    assert (moved.argmax(1) == labels).mean() > (probabilities.argmax(1) == labels).mean() + 0.05
    assert abs(moved[:, 1].mean() - 0.1) < 0.02
    np.testing.assert_allclose(moved.sum(1), 1)


def test_shares_as_before_change_nothing() -> None:
    probabilities, _ = drawn((0.5, 0.5))
    before = np.array([0.5, 0.5])
    assert abs(prior.estimated(probabilities, before)[0] - 0.5) < 0.03
    np.testing.assert_allclose(prior.corrected(probabilities, np.ones(2)), probabilities)


def test_a_class_that_none_is_of() -> None:
    shares = prior.estimated(np.tile([0.999, 0.0, 0.001], (50, 1)), np.array([0.2, 0.4, 0.4]))
    assert (shares > 0).all()
    assert shares[0] > 0.99
