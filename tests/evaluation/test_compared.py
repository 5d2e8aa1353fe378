"""The figures that people compare: a dozen, short, from whatever arms there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headstart.evaluation.compared import Compared, compared
from tests import left


@pytest.fixture
def metrics(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(left.leave(tmp_path)["metrics"].read_text())
    return found


def test_a_dozen_short_figures(metrics: dict[str, Any]) -> None:
    found = compared(metrics)  # type: ignore[arg-type]
    assert set(found) == set(Compared.__annotations__)
    assert len(found) == 12
    assert found["accuracy"] == round(metrics["test"]["accuracy"], 4)
    assert (found["frozen_head"], found["random_weights"]) == (
        round(metrics["head"]["accuracy"], 4),
        round(metrics["scratch"]["accuracy"], 4),
    )
    assert (found["ships"], found["transfer"]) == (metrics["shipped"], metrics["transfer"]["verdict"])
    assert not any(isinstance(value, (list, dict)) for value in found.values()), "dvc would spread it over columns"


def test_what_was_not_trained_is_empty(metrics: dict[str, Any]) -> None:
    del metrics["scratch"]
    found = compared({**metrics, "transfer": None})  # type: ignore[typeddict-item]
    assert (found["random_weights"], found["transfer"]) == (None, "not tested")
