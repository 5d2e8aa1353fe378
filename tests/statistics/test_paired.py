"""headstart.statistics.paired: the difference, its error, and who is better."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from headstart.statistics import paired


def test_the_paired_difference_and_its_error() -> None:
    first, second = np.array([1, 1, 1, 0, 1, 1, 0, 1], bool), np.array([1, 0, 1, 0, 0, 1, 1, 1], bool)
    difference, error = paired.difference(first, second)
    values = first.astype(float) - second.astype(float)
    assert difference == pytest.approx(values.mean()) == pytest.approx(0.125)
    assert error == pytest.approx(np.sqrt(values.var(ddof=1) / 8))
    assert paired.difference(first, first) == (0, 0)
    assert paired.difference(first[:1], second[:1]) == (0, 0)


@pytest.mark.parametrize(("gained", "better"), [(0, False), (1, False), (2, True), (-3, False)])
def test_better_is_by_more_than_a_standard_error_which_one_image_is(gained: int, better: bool) -> None:
    right = np.arange(50) < 30
    assert paired.better(np.arange(50) < 30 + gained, right) is better


@pytest.mark.parametrize(("gained", "better"), [(0, False), (2, False), (5, False), (6, True), (-20, False)])
def test_better_with_certainty_is_a_paired_t_test(gained: int, better: bool) -> None:
    right, now = np.arange(50) < 30, np.arange(50) < 30 + gained
    assert paired.better(now, right, 0.99) is better
    if gained:
        assert better == (ttest_rel(now.astype(float), right.astype(float), alternative="greater").pvalue < 0.01)
    assert not paired.better(now[:1], right[:1], 0.99)


def test_a_gain_of_one_image_is_no_more_than_a_standard_error_whatever_their_number() -> None:
    for n in range(4, 300):
        now, before = np.arange(n) <= n // 2, np.arange(n) < n // 2
        assert not paired.better(now, before), n
        assert not paired.beyond_error(*paired.difference(now, before)), n


@pytest.mark.parametrize("gained", [0, 1])
@pytest.mark.parametrize("n", [9, 50, 1000])
def test_no_or_one_discordant_image_leaves_an_interval(n: int, gained: int) -> None:
    """Nine images of which none tells the models apart leave room for a quarter of them either way."""
    before = np.arange(n) < n // 2
    low, high = paired.interval(np.arange(n) < n // 2 + gained, before)
    assert low < -0.5 / n
    assert high > (1.5 + gained) / n
    assert n > 9 or high - low > 0.5


def test_a_difference_in_words() -> None:
    assert paired.points(0.1111, -0.096, 0.417) == "+11.1 points, 90% interval -9.6 to +41.7"
