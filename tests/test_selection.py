"""headstart.selection: who wins and why, who is skipped, on which images and at which size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from headstart import features, selection, sources
from headstart.errors import HeadstartError, ParamsError
from tests import networks


def rows(*described: tuple[str, float, np.ndarray]) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Ranked rows, best first, from (name, GFLOPs, log likelihoods), as rank makes them."""
    listed = [
        {"name": n, "status": "ranked", "gflops": g, "probe_log_likelihood": v.mean(), "probe_accuracy": 0.9} for n, g, v in described
    ]
    listed.sort(key=lambda row: -row["probe_log_likelihood"])
    return listed, {n: v for n, _, v in described}


NOISE = np.random.default_rng(0).normal(size=400)
NOISE -= NOISE.mean()
BASE = -1 + NOISE


def other(gap: float, spread: float = 1.0) -> np.ndarray:
    """Likelihoods whose paired difference to BASE has mean `gap` standard errors."""
    paired = np.roll(NOISE, 7) * spread
    return BASE - paired - gap * paired.std(ddof=1) / 20


def test_the_cheapest_within_a_standard_error_wins() -> None:
    ranked, likelihoods = rows(("best", 5.0, BASE), ("near", 2.0, other(0.9)), ("nearer", 3.0, other(0.5)), ("far", 1.0, other(1.1)))
    name, reason = selection.choose(ranked, likelihoods)
    assert name == "near"
    assert "cannot be told from the best, best" in reason
    assert "2.00 against 5.00 GFLOPs" in reason


def test_beyond_a_standard_error_the_best_wins() -> None:
    name, reason = selection.choose(*rows(("best", 5.0, BASE), ("far", 1.0, other(1.1))))
    assert name == "best"
    assert "no other is within a standard error" in reason


def test_the_standard_error_is_that_of_the_paired_difference() -> None:
    """A small but steady loss is a loss, however much the images differ."""
    assert selection.choose(*rows(("best", 5.0, BASE), ("steady", 1.0, BASE - 0.01 - NOISE * 0.001)))[0] == "best"


def test_the_best_wins_where_others_cost_more() -> None:
    name, reason = selection.choose(*rows(("best", 1.0, BASE), ("near", 2.0, other(0.2))))
    assert name == "best"
    assert "none that is as good costs less" in reason


def test_where_cost_is_equal_the_likelier_wins() -> None:
    assert selection.choose(*rows(("best", 1.0, BASE), ("near", 1.0, other(0.2))))[0] == "best"


def test_the_only_one_wins() -> None:
    ranked, likelihoods = rows(("one", 1.0, BASE))
    skipped = {"name": "two", "status": "skipped", "gflops": None, "probe_log_likelihood": None}
    assert selection.choose([*ranked, skipped], likelihoods) == ("one", "one is the only candidate that could be had")


def sides(*pixels: int) -> pd.DataFrame:
    return pd.DataFrame({"width": pixels, "height": [p * 3 for p in pixels]})


@pytest.mark.parametrize(
    ("side", "native", "size"), [(8, 224, 64), (9, 224, 96), (1, 224, 32), (100, 224, 224), (27, 224, 224), (20, 224, 160), (500, 64, 64)]
)
def test_auto_enlarges_at_most_eight_times(side: int, native: int, size: int) -> None:
    source = networks.source("a", networks.trunk(), input_size=native)
    assert selection.choose_size(source, "auto", sides(1, side, 1000)) == size


def test_a_given_size_is_taken_where_the_network_allows_it() -> None:
    free = networks.source("a", networks.trunk(), input_size=224)
    fixed = networks.source("b", networks.trunk(), input_size=224, fixed_size=True)
    assert selection.choose_size(free, 96, sides(8)) == 96
    assert selection.choose_size(fixed, 224, sides(8)) == 224
    assert selection.choose_size(fixed, "auto", sides(8)) == 224
    with pytest.raises(ParamsError, match="toy:b takes 224 pixels only; use auto"):
        selection.choose_size(fixed, 96, sides(8))


def many(counts: dict[str, int]) -> pd.DataFrame:
    labels = [label for label, n in counts.items() for _ in range(n)]
    return pd.DataFrame({"label": labels, "sha256": [f"{i:064x}" for i in range(len(labels))]})


def test_a_sample_keeps_proportions_whatever_the_order() -> None:
    table = many({"a": 600, "b": 300, "c": 100})
    chosen = selection.sample(table, 100, seed=0)
    assert chosen["label"].value_counts().to_dict() == {"a": 60, "b": 30, "c": 10}
    shuffled = selection.sample(table.sample(frac=1, random_state=1), 100, seed=0)
    assert set(shuffled["sha256"]) == set(chosen["sha256"])
    assert set(selection.sample(table, 100, seed=1)["sha256"]) != set(chosen["sha256"])
    assert len(selection.sample(table, 1000, seed=0)) == 1000


def test_a_larger_sample_contains_the_smaller_one() -> None:
    table = many({"a": 600, "b": 300})
    assert set(selection.sample(table, 90, seed=0)["sha256"]) < set(selection.sample(table, 300, seed=0)["sha256"])


def test_a_sample_leaves_two_of_a_rare_class() -> None:
    assert selection.sample(many({"a": 990, "b": 10}), 50, seed=0)["label"].value_counts()["b"] == 2


SETTINGS: dict[str, Any] = {"input_size": "auto", "max_images": 1000, "folds": 3, "neighbours": 3, "seed": 0}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    networks.use(
        monkeypatch,
        {
            "seeing": lambda: networks.source("seeing", networks.trunk()),
            "wide": lambda: networks.source("wide", networks.trunk(width=64), features=64, licence="mit"),
            "blind": lambda: networks.source("blind", Blind()),
            "gone": gone,
        },
    )
    return networks.table(Path("images"), per_class=15)


class Blind(nn.Module):
    """Gives the same features for every image."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = networks.trunk()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) * 0 + 1


def gone() -> sources.Source:
    raise sources.Unavailable("it is on the moon")


def rank(table: pd.DataFrame, *names: str, **other: Any) -> selection.Ranking:
    return selection.rank(table, Path("images"), candidates=[f"toy:{name}" for name in names], **{**SETTINGS, **other})


def test_candidates_are_ranked_and_described(photos: pd.DataFrame) -> None:
    ranking = rank(photos, "blind", "gone", "wide", "seeing")
    listed = ranking.report["candidates"]
    assert [row["name"] for row in listed][2:] == ["toy:blind", "toy:gone"]
    assert [row["status"] for row in listed] == ["ranked", "ranked", "ranked", "skipped"]
    by_name = {row["name"]: row for row in listed}
    blind, wide, skipped = by_name["toy:blind"], by_name["toy:wide"], by_name["toy:gone"]
    assert skipped["reason"] == "it is on the moon"
    assert skipped["probe_accuracy"] is None
    assert blind["probe_accuracy"] < 0.6
    assert wide["probe_accuracy"] > 0.9
    assert (wide["parameters"], wide["features"], wide["licence"], wide["input_size"]) == (64 * 76, 64, "mit", 32)
    assert wide["gflops"] == pytest.approx(64 * 75 * 256 / 1e9)
    assert 0 <= wide["probe_standard_error"] < 0.1
    assert ranking.report["n_images"] == (photos["split"] == "train").sum()
    assert ranking.report["folds"] == 3
    assert ranking.report["chosen"] == ranking.chosen["name"]
    assert ranking.chosen["name"] in ("toy:seeing", "toy:wide")
    assert set(listed[0]) >= {"knn_accuracy", "probe_log_likelihood", "weights_sha256"}


def test_only_training_images_are_looked_at(photos: pd.DataFrame) -> None:
    for path in photos[photos["split"] != "train"]["path"]:
        (Path("images") / path).unlink()
    assert rank(photos, "seeing").chosen["name"] == "toy:seeing"


def test_the_chosen_size_is_in_the_card_and_the_features(photos: pd.DataFrame) -> None:
    ranking = rank(photos, "seeing", input_size=64)
    assert ranking.chosen["input_size"] == 64
    assert ranking.report["candidates"][0]["input_size"] == 64


def test_a_new_candidate_computes_features_for_itself_alone(photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rank(photos, "seeing")
    looked: list[str] = []
    read = features.transforms.read

    def watch(source: Path | bytes, views: Any, identity: str) -> list[np.ndarray]:
        looked.append(identity)
        return read(source, views, identity)

    monkeypatch.setattr(features.transforms, "read", watch)
    again = rank(photos, "seeing", "blind")
    assert len(looked) == (photos["split"] == "train").sum()
    assert again.report["candidates"][0] == first.report["candidates"][0]


def test_the_order_of_candidates_does_not_matter(photos: pd.DataFrame) -> None:
    assert rank(photos, "seeing", "wide", "seeing") == rank(photos, "wide", "seeing")


def test_none_left_says_what_would_help(photos: pd.DataFrame) -> None:
    with pytest.raises(HeadstartError) as caught:
        rank(photos, "gone")
    assert "toy:gone: it is on the moon" in str(caught.value)
    assert "wheel:efficientnet_lite0" in str(caught.value)
    assert not isinstance(caught.value, sources.Unavailable)


def test_a_name_of_no_known_form_is_an_error(photos: pd.DataFrame) -> None:
    with pytest.raises(ParamsError, match="is not of a known kind"):
        selection.rank(photos, Path("images"), candidates=["resnet50"], **SETTINGS)
