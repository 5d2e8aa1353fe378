"""docs/odd_inputs.md names a test for each kind of input; each of them exists."""

from __future__ import annotations

import re
from functools import cache

from tests import ROOT

PAGE = ROOT / "docs/odd_inputs.md"


@cache
def names_in(file: str) -> set[str]:
    """The names of the tests of a file below tests/."""
    return set(re.findall(r"^def (test_\w+)\(", (ROOT / "tests" / file).read_text(encoding="utf-8"), re.MULTILINE))


def test_every_kind_has_a_test_that_exists() -> None:
    kinds = PAGE.read_text(encoding="utf-8").partition("## SIGTERM")[0].splitlines()
    rows = [line for line in kinds if line.startswith("| ") and not line.startswith("| kind")]
    assert len(rows) > 50
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row)
        assert named, row
        assert [name for file, name in named if name not in names_in(file)] == [], row
