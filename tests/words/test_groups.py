"""headstart.words.groups: never surer than the data."""

from __future__ import annotations

import pytest

from headstart.words import groups


@pytest.mark.parametrize(
    ("number", "asked", "interval", "said"),
    [
        (7, False, [7, 7], "7 groups of 420 images; so many in 95% of random halves of them"),
        (9, False, [6, 10], "9 groups of 420 images; 95% of random halves of them have 6 to 10"),
        (12, True, [12, 12], "12 groups of 420 images; the number was given"),
    ],
)
def test_how_many(number: int, asked: bool, interval: list[int], said: str) -> None:
    assert groups.number(number, asked, interval, 420) == said


@pytest.mark.parametrize(
    ("shown", "stability", "said"),
    [
        (True, 0.9, "where they end is clear"),
        (True, 0.7, "where they end is fair"),
        (True, 0.3, "where they end is weak"),
        (False, 0.9, "no groups are shown"),
    ],
)
def test_how_sure(shown: bool, stability: float, said: str) -> None:
    told = groups.sure(shown, stability, 0.3, 0.2)
    assert said in told
    assert ("where they end" in told) is shown
    assert "0.300" in told
    assert "0.200" in told


def test_what_is_unlike() -> None:
    assert groups.unlike(0, 0) == "no image is unlike all others; no near-duplicates"
    assert groups.unlike(1, 3) == "1 image is unlike all others; 3 near-duplicates; each set of them counted once"
