"""headstart.labels.scan: runs that were planted are found, and by chance hardly any is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from headstart.labels import scan


def marks(n: int, *places: int) -> np.ndarray:
    row = np.zeros(n, bool)
    row[list(places)] = True
    return row


def test_a_planted_run_is_found_with_its_ends() -> None:
    (run,) = scan.runs(marks(28, *range(10, 18)), 0.01)
    assert (run.first, run.last, run.marks) == (10, 17, 8)
    assert run.chance == pytest.approx(28 * 14 / math.comb(28, 8), rel=1e-6)  # all eight in one window of eight, any window


def test_a_gap_does_not_end_a_run_and_what_lies_apart_is_no_part_of_it() -> None:
    (run,) = scan.runs(marks(200, 3, 90, *(place for place in range(50, 62) if place not in (54, 58)), 150), 0.01)
    assert (run.first, run.last, run.marks) == (50, 61, 10)


def test_two_runs_are_both_found_in_order() -> None:
    found = scan.runs(marks(300, *range(200, 212), *range(40, 48)), 0.01)
    assert [(run.first, run.last) for run in found] == [(40, 47), (200, 211)]


@pytest.mark.parametrize("row", [marks(5), marks(5, 1, 2), np.ones(6, bool), np.zeros(0, bool), marks(10, 0, 3, 6, 9)])
def test_no_run_where_there_is_none(row: np.ndarray) -> None:
    assert scan.runs(row, 0.05) == []


def test_marks_at_random_are_called_a_run_no_more_often_than_stated() -> None:
    random = np.random.default_rng(0)
    rows = [random.permutation(marks(120, *range(count))) for count in (6, 12, 24) for _ in range(200)]
    assert sum(bool(scan.runs(row, 0.05)) for row in rows) <= 0.05 * len(rows)
