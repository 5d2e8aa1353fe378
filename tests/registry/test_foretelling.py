"""headstart.registry.foretelling: what races teach of published accuracy, and what promote says of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from headstart.choice import ranking
from headstart.params import Published
from headstart.registry import foretelling
from headstart.registry.foretelling import Foretold, Raced

POINTS = np.array([72.0, 75.0, 76.0, 79.0])


def race(worth: float, data: str = "1", *, error: float = 0.01, seed: int = 0, noise: float = 0.0) -> Foretold:
    """A race in which a point of published accuracy is worth so many nats beside what the images foretold."""
    random = np.random.default_rng(seed)
    foretold = random.normal(-0.5, 0.1, len(POINTS))
    reached = foretold + 0.3 + worth * POINTS + random.normal(0, noise, len(POINTS))
    raced: list[Raced] = [
        {"name": f"s{i}", "published": float(p) / 100, "foretold": float(f), "reached": float(r), "error": error if i else 0.0}
        for i, (p, f, r) in enumerate(zip(POINTS, foretold, reached, strict=True))
    ]
    names = [one["name"] for one in raced]
    return {
        "data_sha256": data,
        "ranking_sha256": data,
        "candidates": names,
        "winner": "s0",
        "kendall_tau": 1.0,
        "regret": 0.0,
        "raced": raced,
    }


@pytest.mark.parametrize("worth", [0.0, 0.006, 0.05])
def test_what_a_point_was_worth_is_found_again(worth: float) -> None:
    found = foretelling.learn([race(worth)])
    assert found is not None
    assert found.seen == pytest.approx(worth)
    assert min(worth, 0.018) <= found.worth <= max(worth, 0.018)
    assert found.error < min(found.seen_error, Published().error)


def test_its_error_is_that_of_races_whose_noise_is_as_large_as_they_say() -> None:
    """The noise of a source is its own luck, and what its images leave open."""
    own = np.hypot(ranking.SOURCE_ERROR, 0.03)
    found = [foretelling.learn([race(0.01, error=0.03 * np.sqrt(2), seed=seed, noise=own)]) for seed in range(300)]
    off = np.array([(one.seen - 0.01) / one.seen_error for one in found if one])
    assert len(off) == 300
    assert off.std() == pytest.approx(1, abs=0.15)


def test_the_last_run_of_each_data_set_counts_and_more_data_sets_make_it_no_surer() -> None:
    """They share most of their images."""
    one, twice = foretelling.learn([race(0.0)]), foretelling.learn([race(0.1), race(0.0)])
    assert one == twice
    several = foretelling.learn([race(0.0, "1"), race(0.02, "2")])
    assert one is not None
    assert several is not None
    assert (several.races, several.seen, several.seen_error) == (2, pytest.approx(0.01), one.seen_error)


def test_sources_of_one_accuracy_teach_nothing() -> None:
    alike = race(0.01)
    for one in alike["raced"]:
        one["published"] = 0.75
    old: Any = {key: value for key, value in race(0.01).items() if key != "raced"}
    assert foretelling.learn([alike, old]) is None
    assert foretelling.told(None, Published()) == []


def test_promote_says_it_with_the_command_only_if_it_is_something_else() -> None:
    found = foretelling.learn([race(0.0)])
    assert found is not None
    (text,) = foretelling.told(found, Published())
    assert "counts 0.018 nats an image in the ranking; the race on these images showed 0.000" in text
    assert text.endswith(
        f"headstart run --keep --set select_source.published.worth={found.worth:.3f} --set select_source.published.error={found.error:.3f}"
    )
    assert foretelling.told(found, Published(worth=round(found.worth, 3), error=0.004)) == []


def report(**changes: Any) -> bytes:
    rows = [{"name": name, "status": "ranked", "imagenet_accuracy": 0.7, "x": -0.4, "y": -0.6} for name in "ab"]
    rows[1]["imagenet_accuracy"] = None
    laps = [{"round": 1, "name": name, "validation_log_likelihood": -0.3, "standard_error": 0.02} for name in "ab"]
    race = {"winner": "a", "order": ["a", "b"], "kendall_tau": 1.0, "regret": 0.0, "rows": [*laps, {**laps[0], "round": 2}]}
    return json.dumps({"candidates": rows, "votes": ["x", "y"], "race": race} | changes).encode()


def test_a_run_keeps_what_its_first_round_showed() -> None:
    kept = foretelling.line(report(), "1")
    assert kept is not None
    assert kept["raced"] == [{"name": "a", "published": 0.7, "foretold": -0.5, "reached": -0.3, "error": 0.02}]
    assert foretelling.line(report(race=None), "1") is None
    assert foretelling.line(b"", "1") is None
    assert foretelling.line(report(votes=["not there"]), "1") is None, "a damaged report is no reason not to promote"
