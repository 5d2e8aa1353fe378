"""headstart.statistics.extrapolation: a power law is found, and its interval holds what it foretells."""

from __future__ import annotations

import numpy as np

from headstart.statistics import extrapolation
from headstart.statistics.extrapolation import Curve

SIZES = np.array([20, 40, 80, 160, 320])


def law(n: np.ndarray | float, end: float = 0.1) -> np.ndarray:
    return np.asarray(end + 1.2 * np.asarray(n, float) ** -0.5)


def drawn(seed: int, n: int = 400, end: float = 0.1) -> Curve:
    """Held-out images that are wrong as often as the law says, some harder than others, the same ones at every size."""
    random = np.random.default_rng(seed)
    hard = random.random(n)
    return Curve(SIZES, [(np.clip(hard + random.normal(0, 0.05, (2, n)), 0, 1) > law(size, end)).astype(float) for size in SIZES])


def test_the_interval_holds_the_truth() -> None:
    at = np.array([400, 800, 1600])
    held = []
    for seed in range(20):
        found = extrapolation.foretell(drawn(seed), at, seed)
        assert (found.interval[:, 0] <= found.value).all()
        assert (found.value <= found.interval[:, 1]).all()
        held.append((found.interval[:, 0] <= 1 - law(at)) & (1 - law(at) <= found.interval[:, 1]))
    assert (np.mean(held, axis=0) >= 0.75).all()


def test_more_images_never_hurt_and_the_first_is_the_measure_of_the_others() -> None:
    found = extrapolation.foretell(drawn(0), np.array([400, 800]), 0)
    assert found.more[0] == 0
    assert (found.more_interval[0] == 0).all()
    assert found.more[1] > 0
    assert (found.more_interval[1] >= 0).all()


def test_a_flat_curve_foretells_nothing_more() -> None:
    random = np.random.default_rng(0)
    right = (random.random(400) > 0.1).astype(float)
    found = extrapolation.foretell(Curve(SIZES, [right[None]] * 5), np.array([400, 800, 1600]), 0)
    assert (found.more_interval[:, 1] < 0.01).all()
    assert abs(found.value[0] - right.mean()) < 0.01


def test_the_same_seed_gives_the_same() -> None:
    first, again = (extrapolation.foretell(drawn(0), np.array([400, 800]), 7) for _ in range(2))
    assert (first.interval == again.interval).all()
