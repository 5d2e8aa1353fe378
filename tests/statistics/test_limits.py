"""headstart.statistics.limits: the cuts hold what they promise on new images of the same kind."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.statistics import limits


def test_an_error_is_kept_on_new_images() -> None:
    """Confidences that are true probabilities, and answers drawn by them: in nine of ten sets at least the error is what was asked for."""
    random, kept = np.random.default_rng(0), 0
    for _ in range(100):
        sure = random.beta(4, 1, 600)
        chosen = limits.choose_unsure(sure, random.random(600) < sure, "error", 0.1)
        assert chosen.reached
        new = random.beta(4, 1, 20_000)
        wrong = random.random(20_000) >= new
        kept += wrong[new >= chosen.confidence].mean() <= 0.1
    assert kept >= 85


def test_few_images_cannot_show_an_error() -> None:
    chosen = limits.choose_unsure(np.linspace(0.5, 1, 20), np.ones(20), "error", 0.05)
    assert not chosen.reached
    assert (chosen.coverage, chosen.error) == (1.0, 0.0)
    assert chosen.bound == pytest.approx(1 - 0.1 ** (1 / 20))


def test_a_coverage_leaves_out_the_least_sure() -> None:
    sure = np.array([0.9, 0.6, 0.8, 0.7, 0.99])
    chosen = limits.choose_unsure(sure, np.array([1, 0, 1, 1, 1]), "coverage", 0.8)
    assert (sure >= chosen.confidence).tolist() == [True, False, True, True, True]
    assert (chosen.coverage, chosen.error) == (0.8, 0.0)


def test_images_of_one_confidence_are_answered_together() -> None:
    chosen = limits.choose_unsure(np.array([1.0, 1.0, 0.5, 0.5]), np.array([1, 1, 1, 0]), "coverage", 0.6)
    assert chosen.coverage == 1.0
    assert chosen.error == 0.25


def test_all_wrong() -> None:
    chosen = limits.choose_unsure(np.array([0.9, 0.8]), np.zeros(2), "error", 0.05)
    assert not chosen.reached
    assert chosen.error == 1.0


def test_confidence_is_that_of_the_class_that_is_named() -> None:
    probabilities = np.array([[0.4, 0.6], [0.9, 0.1]])
    np.testing.assert_allclose(limits.confidence(probabilities), [0.6, 0.9])
    np.testing.assert_allclose(limits.confidence(probabilities, np.array([3.0, 1.0])), [1.2 / 1.8, 2.7 / 2.8])


def test_false_alarms_are_as_stated_for_any_distances() -> None:
    random, alarms = np.random.default_rng(0), []
    for _ in range(300):
        cut = limits.conformal(random.exponential(size=60), 0.05)
        assert cut is not None
        alarms.append((random.exponential(size=1000) > cut).mean())
    assert 0.035 < np.mean(alarms) <= 0.052
    assert limits.conformal(np.arange(18.0), 0.05) is None
    assert limits.conformal(np.arange(19.0), 0.05) == 18.0
    assert limits.conformal(np.empty(0), 0.05) is None


def test_distances_are_those_of_a_plain_loop() -> None:
    random = np.random.default_rng(0)
    known, new = limits.unit(random.normal(size=(30, 8))), random.normal(size=(7, 8)).astype(np.float32)
    for rank in (1, 5, 30, 99):
        plain = [sorted(1 - known @ (one / np.linalg.norm(one)))[min(rank, 30) - 1] for one in new]
        np.testing.assert_allclose(limits.distances(new, known, rank), plain, atol=1e-5)
