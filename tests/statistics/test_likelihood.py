"""headstart.statistics.likelihood: the bytes that figures and choices rest on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from headstart.statistics import likelihood


def test_softmax_of_large_logits() -> None:
    probabilities = likelihood.softmax(np.array([[1000, 1000, -1000], [0, np.log(3), -np.inf]], np.float32))
    np.testing.assert_allclose(probabilities, [[0.5, 0.5, 0], [0.25, 0.75, 0]], atol=1e-6)
    assert probabilities.dtype == np.float64


def logits(kind: type[np.floating], n: int = 500, classes: int = 7) -> np.ndarray:
    return (10 * np.random.default_rng(0).normal(size=(n, classes))).astype(kind)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_softmax_has_the_bits_of_its_definition(kind: type[np.floating]) -> None:
    """Shifted by the largest logit of each row, in float64: what was written before SciPy did it."""
    given = logits(kind)
    shifted = np.exp(given.astype(np.float64) - given.max(axis=1, keepdims=True))
    assert likelihood.softmax(given).tobytes() == (shifted / shifted.sum(axis=1, keepdims=True)).tobytes()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_likelihood_of_labels_has_the_bits_of_its_definition(kind: type[np.floating]) -> None:
    given, labels = logits(kind), np.arange(500) % 7
    found = likelihood.of_labels(given, labels)
    assert found.shape == (500,)
    assert found.tobytes() == log_softmax(given.astype(np.float64), axis=1)[np.arange(500), labels].tobytes()
    np.testing.assert_allclose(found, np.log(likelihood.softmax(given)[np.arange(500), labels]), rtol=1e-9, atol=1e-12)


def test_the_temperature_takes_out_how_confident_logits_are() -> None:
    given = np.random.default_rng(1).normal(size=(4000, 3)) * 2
    labels = np.array([np.random.default_rng([1, row]).choice(3, p=p) for row, p in enumerate(likelihood.softmax(given))])
    assert likelihood.temperature(given, labels) == pytest.approx(1, abs=0.08)
    assert likelihood.temperature(3 * given, labels) == pytest.approx(3, abs=0.24)


@pytest.mark.parametrize("n", [4, 9, 50, 1000])
def test_images_that_are_all_right_do_not_make_the_temperature_certain(n: int) -> None:
    """Their probabilities say n + 1 of n + 2, however far apart the logits are."""
    labels = np.arange(n) % 4
    given = np.where(np.eye(4)[labels] > 0, 6.0, 0.0)
    probabilities = likelihood.softmax(given / likelihood.temperature(given, labels))
    assert probabilities[np.arange(n), labels] == pytest.approx((n + 1) / (n + 2), rel=1e-3)
