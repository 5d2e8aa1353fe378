"""headstart.selection: who is chosen and why, who is skipped or left out, who races, on which images and at which size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from headstart import params
from headstart.base import cores
from headstart.choice import race, ranking, scores, selection
from headstart.choice.race import Race
from headstart.data import folding
from headstart.features import extraction
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.networks import cards as cards_module
from headstart.networks import common, sizes, sources
from headstart.networks.cards import SourceCard
from tests import tiny

LEAST_RACED, LEAST_WRONG = folding.LEAST_RACED, race.LEAST_WRONG


@pytest.fixture(autouse=True)
def _small_races(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two validation images be enough for a race, right or wrong, so that races here are of few images."""
    monkeypatch.setattr(folding, "LEAST_RACED", 2)
    monkeypatch.setattr(race, "LEAST_WRONG", 0)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    cores.one_thread()


def sides(*pixels: int) -> pd.DataFrame:
    return pd.DataFrame({"width": pixels, "height": [p * 3 for p in pixels]})


@pytest.mark.parametrize(
    ("side", "native", "size"), [(8, 224, 64), (9, 224, 96), (1, 224, 32), (100, 224, 224), (27, 224, 224), (20, 224, 160), (500, 64, 64)]
)
def test_auto_enlarges_at_most_eight_times(side: int, native: int, size: int) -> None:
    source = tiny.source("a", tiny.trunk(), input_size=native)
    assert sizes.choose(source, "auto", sides(1, side, 1000)) == size


def test_a_given_size_is_taken_where_the_network_allows_it() -> None:
    free = tiny.source("a", tiny.trunk(), input_size=224)
    fixed = tiny.source("b", tiny.trunk(), input_size=224, fixed_size=True)
    assert sizes.choose(free, 96, sides(8)) == 96
    assert sizes.choose(fixed, 224, sides(8)) == 224
    assert sizes.choose(fixed, "auto", sides(8)) == 224
    with pytest.raises(common.Unavailable, match=r"pixels only; set select_source.input_size to auto, or leave it out"):
        sources.resized(fixed, 96)
    assert sources.resized(fixed, 224) is fixed


RACE = {"sources": 0, "epochs": 1, "views": 1, "share": 1.0, "max_images": 1000}
SETTINGS: dict[str, Any] = {
    "max_parameters": None,
    "max_gflops": None,
    "licences": [],
    "input_size": "auto",
    "max_images": 1000,
    "folds": 3,
    "neighbours": 3,
    "bootstrap": 100,
    "depths": False,
    "race": RACE,
}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    forgetful = [*(tiny.same() for _ in range(3)), tiny.nothing()]
    tiny.use(
        monkeypatch,
        {
            "seeing": lambda: tiny.source("seeing", tiny.trunk(), head=tiny.head(16, classes=5)),
            "wide": lambda: tiny.source("wide", tiny.trunk(width=64), features=64, licence="mit"),
            "blind": lambda: tiny.source("blind", Blind()),
            "twin": lambda: tiny.source("twin", tiny.trunk()),
            "forgetful": lambda: tiny.source("forgetful", tiny.Blocks(*forgetful), features=3),
            "gone": gone,
        },
    )
    return tiny.table(Path("images"), per_class=15)


class Blind(nn.Module):
    """Gives the same features for every image."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = tiny.trunk()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) * 0 + 1


def gone() -> common.Source:
    raise common.Unavailable("it is on the moon")


def select(table: pd.DataFrame, *names: str, **other: Any) -> selection.Selection:
    return chosen(table, **{"candidates": [f"toy:{name}" for name in names], **other})


def chosen(table: pd.DataFrame, **other: Any) -> selection.Selection:
    return selection.select(table, Path("images"), params.SelectSource(**{**SETTINGS, **other}), seed=0)


def test_candidates_are_ranked_and_described(photos: pd.DataFrame) -> None:
    done = select(photos, "blind", "gone", "wide", "seeing")
    listed = done.report["candidates"]
    assert [row["name"] for row in listed][2:] == ["toy:blind", "toy:gone"]
    assert [row["status"] for row in listed] == ["ranked", "ranked", "ranked", "skipped"]
    by_name = {row["name"]: row for row in listed}
    blind, wide, seeing, skipped = (by_name[f"toy:{name}"] for name in ("blind", "wide", "seeing", "gone"))
    assert all(list(row) == list(listed[0]) for row in listed)
    assert skipped == {**dict.fromkeys(listed[0]), "name": "toy:gone", "status": "skipped", "reason": "it is on the moon"}
    assert blind["probe_accuracy"] < 0.6
    assert wide["probe_accuracy"] > 0.9
    assert (wide["parameters"], wide["features"], wide["licence"], wide["input_size"]) == (64 * 76, 64, "mit", 32)
    assert wide["gflops"] == pytest.approx(64 * 75 * 256 / 1e9)
    assert 0 <= wide["probe_standard_error"] < 0.1
    assert (wide["leep"], wide["nce"]) == (None, None)  # it has no classifier of its own
    assert seeing["leep"] < 0
    assert sum(row["chance_best"] for row in listed[:3]) == pytest.approx(1)
    assert blind["chance_best"] == 0
    assert not blind["level_with_leader"]
    assert listed[0]["level_with_leader"]
    assert [row["aggregate"] for row in listed[:3]] == sorted((row["aggregate"] for row in listed[:3]), reverse=True)
    assert (blind["frontier"], seeing["frontier"]) == (False, True)


def test_a_source_is_judged_at_the_depth_where_it_is_best(photos: pd.DataFrame) -> None:
    """Of the stages that may be retrained: what the last has lost is no loss."""
    row, seeing = (select(photos, name).report["candidates"][0] for name in ("forgetful", "seeing"))
    assert row["probe_log_likelihood"] == pytest.approx(-np.log(3), abs=0.1)
    assert row["depth_log_likelihood"] > -0.3
    assert seeing["depth_log_likelihood"] == seeing["probe_log_likelihood"]  # it has one stage


def test_the_report_says_how_it_came_about(photos: pd.DataFrame) -> None:
    done = select(photos, "wide", "seeing", "blind")
    report = done.report
    assert report["n_images"] == (photos["split"] == "train").sum()
    assert (report["folds"], report["neighbours"], report["bootstrap"]) == (3, 3, 100)
    assert report["votes"] == [key for score in scores.SCORES.values() for key in score.votes]
    assert report["chosen"] == report["ranked_first"] == done.chosen.name
    assert done.chosen.name in ("toy:seeing", "toy:wide")
    best = max(row["chance_best"] for row in report["candidates"])
    assert report["clear"] == (best >= ranking.CLEAR)
    assert ("is the clear winner" in report["reason"]) == report["clear"]
    described = {score["name"]: score for score in report["scores"]}
    assert list(described) == list(scores.SCORES)
    assert {"probe_accuracy", "probe_log_likelihood"} <= set(described["probe"]["keys"]) <= set(report["candidates"][0])
    assert described["leep"]["keys"] == ["leep"]
    assert described["imagenet_accuracy"]["keys"] == []  # published of none of these
    assert all(score["title"] and score["paper"] and score["assumptions"] and score["cost"] for score in described.values())
    assert not {"race", "depth", "depths"} & set(report)


def test_the_card_builds_the_network_and_the_architecture_knows_no_weights(photos: pd.DataFrame) -> None:
    done = select(photos, "seeing", input_size=64)
    assert (done.chosen.transform.input_size, done.chosen.fixed_size, done.report["candidates"][0]["input_size"]) == (64, False, 64)
    assert sources.known(done.chosen).name == "toy:seeing"
    other = replace(done.chosen, name="toy:else", weights_sha256="0" * 64, depth=2)
    assert done.chosen.design == other.design
    fields = ["library", "architecture", "input_size", "fixed_size", "mean", "std", "interpolation", "crop"]
    assert list(done.chosen.design.to_json()) == fields


def test_only_training_images_are_ranked_and_no_test_image_is_ever_read(photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[set[str]] = []
    extract = extraction.extract_views

    def watch(frozen: extraction.Frozen, table: pd.DataFrame, *given: Any, **named: Any) -> Any:
        read.append(set(table["path"]))
        return extract(frozen, table, *given, **named)

    monkeypatch.setattr(extraction, "extract_views", watch)
    of = {split: set(photos.loc[photos["split"] == split, "path"]) for split in ("train", "validation", "test")}
    select(photos, "seeing", "wide", depths=True)
    assert set.union(*read) == of["train"]
    select(photos, "seeing", "wide", depths=True, race={**RACE, "sources": 2})
    assert set.union(*read) == of["train"] | of["validation"]
    for path in of["test"]:
        (Path("images") / path).unlink()
    select(photos, "seeing", "wide", depths=True, race={**RACE, "sources": 2})


def test_the_same_images_give_the_same_bytes_whatever_the_order_of_candidates(photos: pd.DataFrame, tmp_path: Path) -> None:
    full = {"depths": True, "race": {**RACE, "sources": 2}}
    first, again = select(photos, "seeing", "wide", "gone", "seeing", **full), select(photos, "gone", "wide", "seeing", **full)
    assert json.dumps(first.report, allow_nan=False) == json.dumps(again.report, allow_nan=False)
    assert json.dumps(first.chosen.to_json(), allow_nan=False) == json.dumps(again.chosen.to_json(), allow_nan=False)


def test_a_new_candidate_computes_features_for_itself_alone(photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    first = select(photos, "seeing", depths=True)
    looked: list[str] = []
    read = extraction.transforms.read

    def watch(source: Path | bytes, views: Any, identity: str) -> list[np.ndarray]:
        looked.append(identity)
        return read(source, views, identity)

    monkeypatch.setattr(extraction.transforms, "read", watch)
    again = select(photos, "seeing", "blind", depths=True)
    assert len(looked) == (photos["split"] == "train").sum()
    for key in ("probe_accuracy", "probe_log_likelihood", "knn_accuracy", "logme", "h_score"):
        assert again.report["candidates"][0][key] == first.report["candidates"][0][key]
    assert again.report["depths"] == first.report["depths"]


def test_the_same_weights_under_two_names_share_the_chance(photos: pd.DataFrame) -> None:
    report = select(photos, "twin", "seeing", "blind").report
    assert {row["name"]: row["chance_best"] for row in report["candidates"]} == {"toy:seeing": 0.5, "toy:twin": 0.5, "toy:blind": 0}
    assert report["chosen"] == "toy:seeing"
    assert report["reason"].startswith("no clear winner: toy:seeing leads")


def test_one_source_neither_races_nor_is_compared(photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Race:
        raise AssertionError

    monkeypatch.setattr(race, "run", never)
    done = select(photos, "seeing", "gone", race={**RACE, "sources": 3})
    assert done.report["reason"] == "toy:seeing is the only candidate that could be had"
    assert (done.report["candidates"][0]["chance_best"], "race" in done.report) == (1, False)
    select(photos, "seeing", "wide", race={**RACE, "sources": 1})


def test_none_left_says_what_would_help(photos: pd.DataFrame) -> None:
    with pytest.raises(HeadstartError) as caught:
        select(photos, "gone")
    assert "toy:gone: it is on the moon" in str(caught.value)
    assert "wheel:efficientnet_lite0" in str(caught.value)
    assert not isinstance(caught.value, common.Unavailable)


def test_a_name_of_no_known_form_is_an_error(photos: pd.DataFrame) -> None:
    with pytest.raises(ParamsError, match="is not of a known kind"):
        chosen(photos, candidates=["resnet50"])


def test_patterns_and_bounds_choose_the_candidates(photos: pd.DataFrame) -> None:
    for name, licence in (("free", "mit"), ("closed", "secret")):
        card = Path(tiny.checkpoint(Path(name), size=32).removeprefix("checkpoint:")) / cards_module.CARD
        card.write_text(json.dumps({**json.loads(card.read_text()), "licence": licence}))
    given = {**SETTINGS, "candidates": ["checkpoint:*e*"]}
    both = chosen(photos, **given).report["candidates"]
    assert {row["name"] for row in both} == {"checkpoint:free", "checkpoint:closed"}
    some = chosen(photos, **{**given, "licences": ["MIT"]}).report["candidates"]
    assert [row["name"] for row in some] == ["checkpoint:free"]
    with pytest.raises(ParamsError, match="loosen them"):
        chosen(photos, **{**given, "max_gflops": 1e-9})


def row(name: str, imagenet: float | None, status: str = "ranked") -> dict[str, Any]:
    return {"name": name, "imagenet_accuracy": imagenet, "status": status}


@pytest.mark.parametrize(
    ("published", "taken", "count", "field"),
    [
        ((0.7, 0.6, 0.75, 0.9, 0.8), "a", 3, "abd"),
        ((0.7, 0.6, 0.75, 0.9, 0.8), "e", 3, "ade"),
        ((0.7, 0.6, 0.75, 0.9, 0.8), "d", 3, "abd"),
        ((0.7, 0.6, 0.75, 0.9, 0.8), "b", 2, "bd"),
        ((None, None, 0.1, None, None), "a", 3, "abc"),
        ((None, None, None, None, None), "c", 3, "abc"),
        ((0.7, 0.6, 0.75, 0.9, 0.8), "a", 50, "abcde"),
    ],
)
def test_the_ranking_s_choice_and_the_prior_s_favourite_always_race(
    published: tuple[float | None, ...], taken: str, count: int, field: str
) -> None:
    rows = [row(name, value) for name, value in zip("abcde", published, strict=True)]
    assert selection.entrants([*rows, row("gone", None, "skipped")], taken, count) == list(field)


def test_entrants_need_no_published_accuracy_at_all() -> None:
    assert selection.entrants([{"name": name, "status": "ranked"} for name in "abc"], "b", 2) == ["a", "b"]


@pytest.mark.parametrize(
    ("right", "gflops", "chosen", "cheap"),
    [
        ((0.95, 0.96, 0.97), (1, 2, 3), "c", "a"),
        ((0.90, 0.96, 0.97), (1, 2, 3), "c", "b"),
        ((0.90, 0.94, 0.97), (1, 2, 3), "c", "c"),
        ((0.95, 0.96, 0.97), (3, 2, 1), "a", "c"),
        ((0.90, 0.99, 0.97), (1, 3, 2), "c", "c"),
        ((0.97, 0.97, 0.97), (2, 1, 1), "a", "b"),
    ],
)
def test_the_cheapest_that_is_nearly_as_good(right: tuple[float, ...], gflops: tuple[float, ...], chosen: str, cheap: str) -> None:
    rows = [{"name": name, "status": "ranked", "probe_accuracy": a, "gflops": g} for name, a, g in zip("abc", right, gflops, strict=True)]
    gone = {"name": "gone", "status": "skipped", "probe_accuracy": None, "gflops": None}
    assert selection.cheapest([*rows, gone], chosen) == cheap


@pytest.mark.parametrize("lost", [False, True])
def test_the_ranking_s_choice_stands_unless_it_is_beaten(lost: bool, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def run(table: pd.DataFrame, root: Path, cards: list[SourceCard], **given: Any) -> Race:
        asked.append({"splits": table["split"].value_counts().to_dict(), "names": [card.name for card in cards], **given})
        other = next(card.name for card in cards if card.name != given["taken"])
        return Race(other, {given["taken"]: (0.25, 0.1)} if lost else {}, {"winner": other})

    monkeypatch.setattr(race, "run", run)
    ranked = select(photos, "seeing", "wide")
    done = select(photos, "seeing", "wide", depths=True, race={**RACE, "sources": 3, "epochs": 2, "views": 4})
    names = {"toy:seeing", "toy:wide"}
    taken = ranked.report["chosen"]
    other = (names - {taken}).pop()
    assert done.report["chosen"] == done.chosen.name == (other if lost else taken)
    assert done.report["ranked_first"] == taken
    assert done.report["race"] == {"winner": other}
    assert done.report["reason"] == (
        f"{other} won the race: its log loss on validation is lower by 0.250 (standard error 0.100) than that of {taken}, "
        "which the ranking had taken"
        if lost
        else f"{ranked.report['reason']}; the race contradicts it, {other} having won, by too little to overrule it"
    )
    assert (asked[0]["taken"], asked[0]["epochs"], asked[0]["views"], asked[0]["folds"]) == (taken, 2, 4, 3)
    assert set(asked[0]["names"]) == names
    assert asked[0]["splits"] == {split: (photos["split"] == split).sum() for split in ("train", "validation")}


def test_the_race_sees_a_sample_of_each_split(photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[dict[str, int]] = []

    def run(table: pd.DataFrame, root: Path, cards: list[SourceCard], **given: Any) -> Race:
        sizes.append(table["split"].value_counts().to_dict())
        assert table.index.is_unique
        return Race(given["taken"], {}, {})

    monkeypatch.setattr(race, "run", run)
    select(photos, "seeing", "wide", race={**RACE, "sources": 2, "max_images": 20})
    assert sizes == [{"train": 18, "validation": 6}]


@pytest.mark.parametrize(
    ("training", "share", "most", "taken"), [(400, 0.5, 1000, 200), (60, 0.5, 1000, 50), (60, 1.0, 1000, 60), (400, 0.5, 100, 100)]
)
def test_the_race_trains_on_a_share_of_the_images(training: int, share: float, most: int, taken: int) -> None:
    table = pd.DataFrame({"split": ["train"] * training + ["validation"] * 70 + ["test"] * 30})
    assert selection.field_size(table, params.Race(share=share, max_images=most)) == {"train": taken, "validation": most}


def test_no_race_is_decided_by_two_validation_images(photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    held = photos["split"] == "validation"
    few = photos[~held | (held & (held.cumsum() <= 2))].reset_index(drop=True)
    assert (few["split"] == "validation").sum() == 2
    monkeypatch.setattr(folding, "LEAST_RACED", LEAST_RACED)
    report = select(few, "seeing", "wide", race={**RACE, "sources": 2}).report
    assert "race" not in report
    assert report["chosen"] == report["ranked_first"]
    assert report["reason"].endswith("; no race, as 2 validation images are too few to overrule the ranking")
    monkeypatch.setattr(folding, "LEAST_RACED", 2)
    report = select(few, "seeing", "wide", race={**RACE, "sources": 2}).report
    assert set(report["race"]["order"]) == {"toy:seeing", "toy:wide"}
    assert report["chosen"] in report["race"]["order"]


@pytest.mark.parametrize(
    ("accuracy", "held", "most", "why"),
    [
        (0.99, 49, 600, "about 0 of 49 validation images would be wrong, too few"),
        (0.9, 50, 600, "about 5 of 50 validation images would be wrong, too few"),
        (0.87, 50, 600, ""),
        (0.99, 700, 1_000, ""),
        (0.99, 700, 500, "about 5 of 500 validation images would be wrong, too few"),
        (0.5, 19, 600, "19 validation images are too few"),
    ],
)
def test_a_race_that_could_not_overrule_the_ranking_is_too_small(
    accuracy: float, held: int, most: int, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "LEAST_RACED", LEAST_RACED)
    monkeypatch.setattr(race, "LEAST_WRONG", LEAST_WRONG)
    rows = [{"name": "other", "probe_accuracy": 0.0}, {"name": "taken", "probe_accuracy": accuracy}]
    table = pd.DataFrame({"split": ["validation"] * held + ["train"] * 100})
    report = cast(selection.Ranking, {"chosen": "taken", "candidates": rows})
    assert selection._too_few(table, report, params.Race(max_images=most)) == why


def test_no_race_is_run_if_too_few_validation_images_would_be_wrong(photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "LEAST_WRONG", 0.1)
    report = select(photos, "seeing", "wide", race={**RACE, "sources": 2}).report
    assert "race" not in report
    assert report["chosen"] == report["ranked_first"]
    held = (photos["split"] == "validation").sum()
    assert report["reason"].endswith(f"; no race, as about 0 of {held} validation images would be wrong, too few to overrule the ranking")


def test_the_depth_is_that_of_the_chosen_source(photos: pd.DataFrame) -> None:
    name = tiny.checkpoint(Path("source"), size=32)
    done = chosen(photos, **{**SETTINGS, "candidates": [name], "depths": True})
    curve = done.report["depths"]
    assert [row["stage"] for row in curve] == ["conv1", "layer1", "layer2", "layer3", "layer4"]
    assert done.chosen.depth == done.report["depth"] == sum(row["retrained"] for row in curve) in (1, 2)
    plain = chosen(photos, **{**SETTINGS, "candidates": [name]})
    assert plain.chosen == replace(done.chosen, depth=None)
    # The probe at the end is that of the features themselves, with a coarser choice of penalties.
    assert curve[-1]["width"] == plain.report["candidates"][0]["features"]
    assert curve[-1]["log_likelihood"] == pytest.approx(plain.report["candidates"][0]["probe_log_likelihood"], abs=0.05)


class Raising(nn.Module):
    """Raises what some network might, when it sees an image."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error, self.layer = error, tiny.trunk()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise self.error


BROKEN = {
    "assertion": lambda: AssertionError("Input height (160) doesn't match model (224)."),
    "key": lambda: KeyError("x"),
    "memory": lambda: MemoryError(),
    "colour": lambda: RuntimeError("\x1b[31mshape\x1b[0m\nmore"),
}


@pytest.mark.filterwarnings("ignore:Raising cannot be cut")
@pytest.mark.parametrize("case", BROKEN)
def test_whatever_goes_wrong_with_a_candidate_the_others_go_on(case: str, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Raising(BROKEN[case]())
    tiny.use(monkeypatch, {"seeing": lambda: tiny.source("seeing", tiny.trunk()), "bad": lambda: tiny.source("bad", bad)})
    done = select(photos, "bad", "seeing")
    assert done.chosen.name == "toy:seeing"
    (skipped,) = [row for row in done.report["candidates"] if row["status"] == "skipped"]
    assert skipped["name"] == "toy:bad"
    assert skipped["reason"].startswith("it could not be scored: ")
    assert "\x1b" not in skipped["reason"]
    assert "\n" not in skipped["reason"]
    assert done.report["reason"] == "toy:seeing is the only candidate that could be had"


def test_an_error_is_said_in_a_line() -> None:
    assert common.said(AssertionError("Input height (160) doesn't match model (224).")) == (
        "AssertionError: Input height (160) doesn't match model (224)"
    )
    assert common.said(RuntimeError("\x1b[31mshape\x1b[0m:\nmore")) == "shape"
    assert common.said(MemoryError()) == "MemoryError"
    assert common.said(ValueError("word " * 100)).endswith("word ...")


def test_weights_and_features_that_are_not_finite_are_skipped_by_name(photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt() -> common.Source:
        made = tiny.trunk()
        made[0].weight.data[0] = float("nan")
        return tiny.source("spoilt", made)

    class Endless(Blind):
        def __init__(self) -> None:
            super().__init__()
            self.layer = tiny.trunk(seed=5)  # features are kept by the hash of the weights

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (super().forward(x) - 1) / 0

    known = {"seeing": lambda: tiny.source("seeing", tiny.trunk()), "spoilt": spoilt, "endless": lambda: tiny.source("endless", Endless())}
    tiny.use(monkeypatch, known)
    done = select(photos, "spoilt", "seeing", "endless")
    reasons = {row["name"]: row["reason"] for row in done.report["candidates"] if row["status"] == "skipped"}
    assert reasons["toy:spoilt"] == "toy:spoilt holds weights that are not finite numbers (NaN or infinite): 0.weight"
    assert "finite" in reasons["toy:endless"] or "could not be scored" in reasons["toy:endless"]


def test_a_candidate_that_cannot_be_raced_is_skipped_too(photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(table: pd.DataFrame, root: Path, cards: list[SourceCard], **rest: Any) -> Race:
        with common.using("toy:wide", "raced"):
            raise RuntimeError("it has no gradient")

    monkeypatch.setattr(race, "run", run)
    done = select(photos, "wide", "seeing", race={**RACE, "sources": 2})
    assert done.chosen.name == "toy:seeing"
    assert done.report["candidates"][-1]["reason"] == "it could not be raced: it has no gradient"
