"""The report on the choice of the source: the ranking, its frontier, the race, the depths, and what of it may be missing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from headstart.report import choice, findings, page
from tests.left import LITE, Page, changed, dump, leave, rendered, svg


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Path]]:
    paths = leave(tmp_path_factory.mktemp("usual"))
    return page.render(findings.gather(findings.Places(**paths)), mistakes=24), paths


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {},
            "in the reverse order of the ranking (Kendall's tau -1.00; 1 is the same order, -1 the reverse), and b, which the ranking had taken, was 2.5 points",
        ),
        (
            {"kendall_tau": 1.0, "winner": "b", "regret": 0.0},
            "in the order of the ranking (Kendall's tau 1.00; 1 is the same order, -1 the reverse), and b, which the ranking had taken, won.",
        ),
        (
            {"kendall_tau": 1 / 3, "regret": -0.01},
            "in another order than the ranking (Kendall's tau 0.33; 1 is the same order, -1 the reverse), and b, which the ranking had taken, lost no",
        ),
    ],
)
def test_how_well_the_ranking_foretold_the_race(values: dict[str, Any], words: str) -> None:
    race = {"winner": "a", "kendall_tau": -1.0, "regret": 0.025, **values}
    assert choice.foretold(race, "b").startswith(f"The race ended {words}")


def test_a_race_that_overrules_the_ranking_is_told(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    changed(paths["ranking"], chosen=LITE.format(0), reason=f"{LITE.format(0)} beat {LITE.format(1)} in the race")
    text = rendered(paths).text
    assert f"The ranking had no clear winner. {LITE.format(0)} beat {LITE.format(1)} in the race." in text
    assert f"{LITE.format(1)} Apache-2.0; taken before the race, level with the leader 41.7%" in text
    assert f"{LITE.format(0)} Apache-2.0; chosen 6.3%" in text


def test_a_clear_winner_is_called_one(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    changed(paths["ranking"], clear=True, reason=f"{LITE.format(1)} is the clear winner")
    assert f"Choice of the source {LITE.format(1)} is the clear winner. The ranking to beat" in rendered(paths).text


def test_a_single_candidate_wins_nothing(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    ranking = json.loads(paths["ranking"].read_text())
    changed(
        paths["ranking"], candidates=ranking["candidates"][1:2], clear=True, reason="it is the only candidate that could be had", race=None
    )
    text = rendered(paths).text
    assert "Choice of the source It is the only candidate that could be had." in text
    assert "level with" not in text
    assert "Accuracy against cost" not in text


def test_the_frontier_joins_its_sources_alone(usual: tuple[str, dict[str, Path]]) -> None:
    chart = svg(usual[0], "Accuracy of a linear probe over the cost")
    line = re.findall(r'<polyline class="edge" points="([^"]*)"', chart)[0].split()
    dots = {
        name: f"{x},{y}" for x, y, name in re.findall(r'<circle class="\w+" cx="([\d.]+)" cy="([\d.]+)" r="5.5"><title>([^ ]*): ', chart)
    }
    assert line == [dots[LITE.format(0)], dots[LITE.format(1)]]
    assert "wheel:efficientnet_lite0 91.5% at 0.78 GFLOPs, on the frontier" in chart


def test_the_chance_of_being_best_is_a_bar(usual: tuple[str, dict[str, Path]]) -> None:
    assert re.findall(r'<span class="bar"><i style="--part:([\d.]+)%">', usual[0]) == ["52.0", "41.7", "6.3"]


def test_a_new_score_gets_its_column_unasked(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    ranking = json.loads(paths["ranking"].read_text())
    ranking["scores"].append(
        {"name": "n", "title": "N", "paper": "P", "assumptions": "A", "cost": "C", "keys": ["new_score", "unused"], "votes": []}
    )
    for row in ranking["candidates"][:3]:
        row |= {"new_score": 0.12345, "unused": None}
    dump(paths["ranking"], ranking)
    text = rendered(paths).text
    assert "LEEP nats new score wheel:" in text
    assert "3.436 -0.464 -0.564 0.123 wheel:" in text


def test_the_depth_curve_marks_what_was_retrained(tmp_path: Path, usual: tuple[str, dict[str, Path]]) -> None:
    chart = svg(usual[0], "Accuracy of a linear probe at the end of every stage")
    assert "conv_stem 42.0%; blocks.0 50.0%" in chart
    assert "blocks.4 78.0%; blocks.5 85.0%, retrained; blocks.6 93.0%, retrained; conv_head 92.5%, retrained" in chart
    assert re.findall(r'<circle class="chosen"[^>]*><title>([^:]*)', chart) == ["blocks.5", "blocks.6", "conv_head"]
    assert "which is not what the probe proposes" not in Page(usual[0]).text
    paths = leave(tmp_path)
    changed(paths["fine_tuned"] / "summary.json", trained=["conv_head", "head"])
    assert "Filled: retrained, which is not what the probe proposes" in rendered(paths).text


def test_a_ranking_without_race_depths_and_bootstrap(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    ranking = json.loads(paths["ranking"].read_text())
    for key in ("race", "depth", "depths", "clear", "ranked_first", "votes", "scores", "bootstrap"):
        del ranking[key]
    for row in ranking["candidates"]:
        for key in ("aggregate", "chance_best", "level_with_leader", "frontier", "nce", "leep", "logme", "h_score", "imagenet_accuracy"):
            row.pop(key, None)
    dump(paths["ranking"], ranking)
    text = rendered(paths).text
    for words in ("The race", "How deep", "Chance", "What each score is", "LogME", "counts", "A clear winner"):
        assert words not in text, words
    assert "wheel:efficientnet_lite1 Apache-2.0; chosen 93.8% ± 1.1% 0.262 90.8% 1.2 4.1 M, 240 px" in text
