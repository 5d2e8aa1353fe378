"""headstart.statistics.calibration: the plain error is the direct sum, and the estimate is not higher because images are few."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.statistics import calibration


def sample(n: int, gap: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 2) that are too high by `gap`, and labels."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.7, 0.95, n)
    right = random.random(n) < confidence - gap
    return np.stack([confidence, 1 - confidence], axis=1), np.where(right, 0, 1)


def error(n: int, gap: float, seed: int) -> tuple[float, float, float]:
    return calibration.error(calibration.bins(*sample(n, gap, seed), 15), draws=300, seed=seed)


@pytest.mark.parametrize("count", [2, 15, 100])
def test_the_plain_error_is_the_direct_sum(count: int) -> None:
    probabilities, labels = sample(80, 0.1, 0)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    expected = 0.0
    for i in range(count):
        inside = (confidence >= i / count) & ((confidence < (i + 1) / count) | (i == count - 1))
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration.bins(probabilities, labels, count).error == pytest.approx(expected)


@pytest.mark.parametrize(("n", "gap"), [(12, 0.0), (50, 0.0), (200, 0.0), (50, 0.2), (200, 0.1)])
def test_the_estimate_has_no_bias_where_the_plain_error_has(n: int, gap: float) -> None:
    """As often too high as too low, but that there is nothing below zero; the interval holds the truth and the estimate."""
    found = [error(n, gap, seed) for seed in range(100)]
    estimates, low, high = np.array(found).T
    plain = np.array([calibration.bins(*sample(n, gap, seed), 15).error for seed in range(100)])
    assert abs(np.median(estimates) - gap) < 0.03
    assert np.median(plain) > np.median(estimates)
    assert gap > 0 or np.median(plain) > 0.025
    assert ((low <= estimates) & (estimates <= high)).all()
    assert np.mean((low <= gap + 1e-3) & (gap - 1e-3 <= high)) > 0.92


def test_sure_and_always_wrong() -> None:
    estimate, low, high = calibration.error(calibration.bins(np.eye(2)[np.zeros(50, int)], np.ones(50, int), 15), draws=100, seed=0)
    assert estimate > 0.95
    assert low > 0.9
    assert high == pytest.approx(1, abs=1e-3)
