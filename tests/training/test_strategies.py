"""headstart.strategies: which stages train when, and at which rate."""

from __future__ import annotations

import pytest

from headstart.params import FineTune
from headstart.training.strategies import STRATEGIES, Phase, from_scratch

STAGES = ["stem", "one", "two", "three"]


def phases(name: str, depth: int = 2) -> list[Phase]:
    return STRATEGIES[name](STAGES, depth=depth, epochs=5, rate=0.1, decay=0.5)


def test_head_only() -> None:
    assert phases("head_only") == []


def test_last_stages() -> None:
    assert phases("last_stages") == [Phase("last 2", 5, {"head": 0.1, "three": 0.05, "two": 0.025})]


def test_gradual_adds_a_stage_a_phase() -> None:
    assert phases("gradual") == [
        Phase("last 1", 5, {"head": 0.1, "three": 0.05}),
        Phase("last 2", 5, {"head": 0.1, "three": 0.05, "two": 0.025}),
    ]


def test_full_trains_everything() -> None:
    assert phases("full") == [Phase("all", 5, {"head": 0.1, "three": 0.05, "two": 0.025, "one": 0.0125, "stem": 0.00625})]


def test_from_scratch_trains_everything_at_one_rate_with_the_statistics_of_the_batch() -> None:
    rates = {"head": 0.1, "three": 0.1, "two": 0.1, "one": 0.1, "stem": 0.1}
    assert from_scratch(STAGES, epochs=5, rate=0.1) == [Phase("from scratch", 5, rates, "batch")]


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_fine_tuning_keeps_the_statistics_of_the_source(name: str) -> None:
    assert {phase.statistics for phase in phases(name)} <= {"source"}


@pytest.mark.parametrize("name", ["last_stages", "gradual"])
def test_a_depth_beyond_the_network_is_the_whole_network(name: str) -> None:
    deep = phases(name, depth=100)
    assert list(deep[-1].rates) == ["head", *reversed(STAGES)]
    assert deep[-1].name == "last 4"
    assert len(deep) == (4 if name == "gradual" else 1)


def test_the_parameter_allows_every_strategy_and_no_other() -> None:
    assert set(FineTune.model_json_schema()["properties"]["strategy"]["enum"]) == set(STRATEGIES)
