"""headstart.statistics.intervals: of two models that ran once; the others are tested where they are chosen (tests/proof)."""

from __future__ import annotations

import numpy as np
import pytest

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
