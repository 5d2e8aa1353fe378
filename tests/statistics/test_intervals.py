"""headstart.statistics.intervals: of shares and of two models that ran once; the others are tested where they are chosen (tests/proof)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from headstart.statistics import intervals


def test_proportions_are_those_of_the_paper() -> None:
    """One image more either way, then Wald's interval."""
    laplace = np.array([1] * 6 + [-1] * 16 + [0] * 80)
    reach = 1.6448536 * laplace.std() / np.sqrt(102)
    assert intervals.proportions(5, 15, 100, 0.95) == pytest.approx((laplace.mean() - reach, laplace.mean() + reach))


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 0, 1), (1, 0, 1), (0, 0, 1000), (3, 200, 1000)])
def test_proportions_mirror_and_never_leave_what_is_possible(gained: int, lost: int, n: int) -> None:
    low, high = intervals.proportions(gained, lost, n, 0.95)
    assert intervals.proportions(lost, gained, n, 0.95) == pytest.approx((-high, -low))
    assert -1 <= low < high <= 1
    wider = intervals.proportions(gained, lost, n, 0.99)
    assert wider[0] <= low
    assert wider[1] >= high


def test_proportions_of_models_that_never_differ_have_a_width() -> None:
    low, high = intervals.proportions(0, 0, 10, 0.95)
    assert low == -high < -0.15


@pytest.mark.parametrize(("right", "n"), [(0, 12), (1, 12), (11, 12), (12, 12), (180, 200), (3, 1000)])
def test_ends_of_a_share_are_where_what_was_seen_is_as_unlikely_as_they_say(right: int, n: int) -> None:
    """What was seen counts half."""
    low, high = (float(end) for end in intervals.share(right, n))
    assert 0 <= low <= right / n <= high <= 1
    if right > 0:
        assert binom.sf(right, n, low) + binom.pmf(right, n, low) / 2 == pytest.approx(0.025)
    else:
        assert low == 0
    if right < n:
        assert binom.cdf(right, n, high) - binom.pmf(right, n, high) / 2 == pytest.approx(0.025)
    else:
        assert high == 1


@pytest.mark.parametrize("truth", [0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("n", [12, 50, 200, 1000])
def test_a_share_is_covered_as_often_as_its_interval_says(n: int, truth: float) -> None:
    """Not by simulation: every number of right answers, weighted by its chance."""
    seen = np.arange(n + 1)
    low, high = intervals.share(seen, n)
    covered = binom.pmf(seen, n, truth)[(low <= truth) & (truth <= high)].sum()
    assert covered > 0.93
    assert covered < 0.99 or n * (1 - truth) < 2


def test_more_confidence_is_wider_and_numbers_need_not_be_whole() -> None:
    low, high = intervals.share(10.5, 12.5)
    assert intervals.share(10, 12)[0] < low < 0.84 < high < intervals.share(11, 12)[1] + 0.02
    wider = intervals.share(10.5, 12.5, 0.99)
    assert wider[0] < low
    assert wider[1] > high
