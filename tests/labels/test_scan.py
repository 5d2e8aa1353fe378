"""headstart.labels.scan: stretches that were planted are found, and by chance hardly any is."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.labels import scan


def row(n: int, *places: int, high: float = 2.0, seed: int = 0) -> np.ndarray:
    """Values about -1, and about `high` at some places."""
    values = np.full(n, -1.0)
    values[list(places)] = high
    return values + np.random.default_rng(seed).normal(0, 0.2, n)


def test_a_planted_stretch_is_found_with_its_ends() -> None:
    (run,) = scan.runs(row(28, *range(10, 18)), 0.001)
    assert (run.first, run.last) == (10, 17)
    assert run.chance < 0.001


def test_values_that_are_high_a_little_add_up() -> None:
    """None of them is beyond those elsewhere by itself."""
    values = row(60, *range(20, 30), high=0.4)
    values[[3, 11, 41, 50]] = 0.5
    (run,) = scan.runs(values, 0.01)
    assert (run.first, run.last) == (20, 29)


def test_a_gap_does_not_end_a_stretch_and_what_lies_apart_is_no_part_of_it() -> None:
    (run,) = scan.runs(row(200, 3, 90, *(place for place in range(50, 62) if place not in (54, 58)), 150), 0.01)
    assert (run.first, run.last) == (50, 61)


def test_two_stretches_are_both_found_in_order() -> None:
    found = scan.runs(row(300, *range(200, 212), *range(40, 48)), 0.01)
    assert [(run.first, run.last) for run in found] == [(40, 47), (200, 211)]


@pytest.mark.parametrize("values", [row(5), row(9, 1, 2), np.ones(16), np.zeros(0), row(12, 0, 3, 6, 9)])
def test_none_where_there_is_none(values: np.ndarray) -> None:
    assert scan.runs(values, 0.05) == []


def test_values_in_random_order_have_one_no_more_often_than_stated() -> None:
    random = np.random.default_rng(0)
    rows = [random.permutation(row(120, *range(count), seed=seed)) for count in (6, 12, 24) for seed in range(60)]
    assert sum(bool(scan.runs(one, 0.05)) for one in rows) <= 0.05 * len(rows) + 3 * np.sqrt(0.05 * len(rows))
    assert sum(bool(scan.runs(one, 0.002)) for one in rows) <= 3


def test_a_long_row_takes_no_long_time() -> None:
    (run,) = scan.runs(row(20_000, *range(5_000, 5_040)), 0.001)
    assert abs(run.first - 5_000) + abs(run.last - 5_039) <= 4
