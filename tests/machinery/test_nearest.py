"""headstart.machinery.nearest: what an unknown name may have meant."""

from __future__ import annotations

import pytest

from headstart.machinery import nearest


@pytest.mark.parametrize(
    ("name", "known", "says"),
    [
        ("craked", ["sound", "cracked"], "did you mean cracked?"),
        ("BEES", ["ants", "bees"], "did you mean bees?"),
        ("xyz", ["ants", "bees"], "known are ants, bees"),
        ("xyz", [str(number) for number in range(9)], "known are 0, 1, 2, 3, 4 and 4 more"),
        ("xyz", [], "known are none"),
    ],
)
def test_the_nearest_names_or_those_that_are_known(name: str, known: list[str], says: str) -> None:
    assert nearest.hint(name, known) == says
