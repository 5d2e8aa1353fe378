"""headstart.race: who meets whom for how long, who counts as beaten, and how the ranking's foresight is measured."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from headstart.base import cores
from headstart.choice import race
from headstart.features import of_source
from headstart.networks import heads, sources
from headstart.networks.cards import SourceCard
from headstart.params import FineTune
from headstart.training import fine_tuning
from tests import tiny

N_TRAIN, N_HELD = 30, 20
RANDOM = np.random.default_rng(0).normal(size=(5, N_HELD))
LAP: dict[str, Any] = {"epochs": 1, "views": 2, "folds": 3, "seed": 0}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    cores.one_thread()


def table(held: int = N_HELD) -> pd.DataFrame:
    """Rows of two classes; no image is behind them."""
    n = N_TRAIN + held
    labels = np.array(["a", "b"])[np.arange(n) % 2]
    return pd.DataFrame({"split": ["train"] * N_TRAIN + ["validation"] * held, "label": labels, "group": np.arange(n)})


class Course:
    """Stands in for fine-tuning: what each source reaches, by name and epochs, and what was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, margins: dict[str, dict[int, np.ndarray]]) -> None:
        self.margins, self.asked, self.plans, self.heads = margins, list[tuple[str, int]](), list[fine_tuning.Plan](), 0
        monkeypatch.setattr(fine_tuning, "run", self.run)
        monkeypatch.setattr(of_source, "of_source", self.features)

    def features(self, card: SourceCard, some: pd.DataFrame, *_: Any) -> np.ndarray:
        self.heads += 1
        assert set(some["split"]) == {"train"}
        return np.random.default_rng(len(card.name)).normal(size=(len(some), 3)).astype(np.float32)

    def run(
        self,
        some: pd.DataFrame,
        root: Path,
        card: SourceCard,
        head: heads.Head,
        classes: list[str],
        plan: fine_tuning.Plan,
        *,
        begun: Any,
        **_: Any,
    ) -> Any:
        epochs = plan.epochs
        self.asked.append((card.name, epochs))
        self.plans.append(plan)
        name, total = begun or (card.name, 0)
        assert name == card.name
        total += epochs
        assert head.weight.shape == (2, 3)
        held = np.searchsorted(classes, some.loc[some["split"] == "validation", "label"])
        logits = np.zeros((len(held), 2), np.float32)
        logits[np.arange(len(held)), held] = self.margins[name][total][: len(held)]
        return SimpleNamespace(network=(name, total), logits=logits, summary={"image_passes": epochs * (some["split"] == "train").sum()})


def cards(*names: str) -> list[SourceCard]:
    card = tiny.source("", tiny.trunk()).card()
    return [replace(card, name=name) for name in names]


def steady(level: float, number: int = 0) -> dict[int, np.ndarray]:
    """Margins of the right class about a level, the same in each round."""
    return dict.fromkeys((1, 2, 4, 8), level + 0.1 * RANDOM[number])


def test_of_three_two_go_on_and_one_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    course = Course(monkeypatch, {"a": steady(0), "b": steady(3, 1), "c": steady(2, 2)})
    done = race.run(table(), Path(), cards("a", "b", "c"), taken="a", **LAP)
    assert course.asked == [("a", 1), ("b", 1), ("c", 1), ("b", 1), ("c", 1)]
    assert done.winner == "b"
    assert done.report["order"] == ["b", "c", "a"]
    assert [(row["round"], row["place"], row["name"], row["epochs"]) for row in done.report["rows"]] == [
        (1, 1, "b", 1),
        (1, 2, "c", 1),
        (1, 3, "a", 1),
        (2, 1, "b", 2),
        (2, 2, "c", 2),
    ]
    assert course.heads == 3  # fitted once for each, whatever the rounds


@pytest.mark.parametrize(("entrants", "rounds"), [(2, [2]), (3, [3, 2]), (5, [5, 3, 2])])
def test_each_round_halves_the_field_and_doubles_what_epochs_it_has_had(
    entrants: int, rounds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "abcde"[:entrants]
    course = Course(monkeypatch, {name: steady(place, place) for place, name in enumerate(names)})
    done = race.run(table(), Path(), cards(*names), taken="a", **{**LAP, "epochs": 2})
    more = [2, 2, 4]  # 2, 4 and 8 in all
    assert [epochs for _, epochs in course.asked] == [more[number] for number, size in enumerate(rounds) for _ in range(size)]
    assert [row["epochs"] for row in done.report["rows"]] == [2 * 2**number for number, size in enumerate(rounds) for _ in range(size)]
    assert done.report["order"] == list(reversed(names))
    passes = sum(more[number] * size for number, size in enumerate(rounds)) + LAP["views"] * entrants
    assert done.report["image_passes"] == passes * N_TRAIN
    assert sum(row["image_passes"] for row in done.report["rows"]) == passes * N_TRAIN
    assert {(plan.views, plan.depth, plan.strategy) for plan in course.plans} == {(2, 3, "last_stages")}
    assert [plan.recipe.patience for plan in course.plans] == [epochs for _, epochs in course.asked]  # nobody stops early


def test_every_entrant_is_tuned_as_fine_tune_does_by_default() -> None:
    own = {
        "epochs",
        "patience",
        "passes",
        "views",
        "whole",
    }  # of the round, which sees few images; all of a network is not trained in a race
    assert race.BLOCK.depth == 3
    other = {*own, "depth", "augmentation", "class_weights"}
    assert FineTune().model_dump(exclude=other) == race.BLOCK.model_dump(exclude=other)
    assert race.BLOCK.class_weights == "none", "the aim is not known before the head is fitted"
    assert FineTune().augmentation.settled() == race.BLOCK.augmentation.settled(), "and nothing is left to be measured for each"
    assert "auto" not in race.BLOCK.augmentation.model_dump().values()
    assert race.BLOCK.model_fields_set == set(FineTune.model_fields) - own, "what is not written there would change with the defaults"


@pytest.mark.parametrize("ranked", ["abc", "acb", "bac", "bca", "cab", "cba"])
def test_tau_and_regret_are_what_counting_gives(ranked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the race c beats a beats b. Each is right on other shares of the images, by rounds."""

    def margins(level: float, right: int) -> np.ndarray:
        return np.where(np.arange(N_HELD) < right, 6.0, -0.1) + level

    course = {
        "a": {1: margins(0, 12), 2: margins(0, 13)},
        "b": {1: margins(-0.1, 10)},
        "c": {1: margins(0.01, 12), 2: margins(0.01, 16)},
    }
    Course(monkeypatch, course)
    order, right = "cab", {1: {"a": 12, "b": 10, "c": 12}, 2: {"a": 13, "c": 16}}
    for taken in "abc":
        report = race.run(table(), Path(), cards(*ranked), taken=taken, **LAP).report
        assert report["order"] == list(order)
        pairs = list(combinations("abc", 2))
        agree = sum((ranked.index(x) < ranked.index(y)) == (order.index(x) < order.index(y)) for x, y in pairs)
        assert report["kendall_tau"] == pytest.approx((2 * agree - len(pairs)) / len(pairs))
        last = max(number for number in right if taken in right[number])
        assert report["regret"] == pytest.approx((max(right[last].values()) - right[last][taken]) / N_HELD)


def likelihood(margin: np.ndarray) -> np.ndarray:
    """Log likelihood of the right one of two classes."""
    return -np.log1p(np.exp(-margin))


@pytest.mark.parametrize(("gap", "beaten"), [(0.9, False), (1.1, True)])
def test_beaten_is_who_loses_a_paired_test(gap: float, beaten: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much the images differ: `spread` is common to both."""
    spread, paired = 2 + RANDOM[0], 0.01 * (RANDOM[1] - RANDOM[1].mean())
    better = likelihood(spread)
    gap *= float(t.ppf(0.99, N_HELD - 1))
    worse = better - paired - gap * paired.std(ddof=1) / np.sqrt(N_HELD)
    margin = np.log(np.exp(worse) / -np.expm1(worse))
    Course(monkeypatch, {"a": {1: margin}, "b": {1: spread}})
    done = race.run(table(), Path(), cards("a", "b"), taken="a", **LAP)
    assert done.winner == "b"
    assert list(done.beaten) == (["a"] if beaten else [])
    row = done.report["rows"][1]
    expected = (better - worse).mean(), (better - worse).std(ddof=1) / np.sqrt(N_HELD)
    assert (row["gap"], row["standard_error"]) == pytest.approx(expected, rel=1e-3)
    if beaten:
        assert done.beaten["a"] == (row["gap"], row["standard_error"])


def test_who_was_behind_early_and_comes_first_late_is_not_beaten(monkeypatch: pytest.MonkeyPatch) -> None:
    late = {1: 1 + 0.1 * RANDOM[0], 2: 5 + 0.1 * RANDOM[0]}
    Course(monkeypatch, {"late": late, "early": steady(3, 1), "slow": steady(0, 2)})
    done = race.run(table(), Path(), cards("late", "early", "slow"), taken="late", **LAP)
    assert done.winner == "late"
    assert set(done.beaten) == {"early", "slow"}


@pytest.mark.parametrize(("held", "beaten"), [(1, []), (20, ["a"])])
def test_one_image_beats_nobody(held: int, beaten: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Course(monkeypatch, {"a": steady(0), "b": steady(3, 1)})
    done = race.run(table(held), Path(), cards("a", "b"), taken="a", **LAP)
    assert (done.winner, list(done.beaten)) == ("b", beaten)


def test_equals_stay_in_the_order_of_the_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    Course(monkeypatch, dict.fromkeys("abc", steady(1)))
    done = race.run(table(), Path(), cards("b", "c", "a"), taken="a", **LAP)
    assert done.report["order"] == ["b", "c", "a"]
    assert done.beaten == {}
    assert (done.report["kendall_tau"], done.report["regret"]) == (1, 0)


def test_a_race_of_real_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stands in for anything; the test split is gone."""
    monkeypatch.chdir(tmp_path)
    photos = tiny.table(Path("images"), size=32)
    for path in photos[photos["split"] == "test"]["path"]:
        (Path("images") / path).unlink()
    names = [tiny.checkpoint(Path(f"source{seed}"), seed=seed) for seed in range(2)]
    entrants = [sources.load(name).card().at(32) for name in names]
    report = race.run(photos, Path("images"), entrants, taken=names[0], **LAP).report
    n = int((photos["split"] == "train").sum())
    assert [row["image_passes"] for row in report["rows"]] == [3 * n] * 2
    assert sorted(report["order"]) == sorted(names)
    assert all(row["validation_log_likelihood"] < 0 and 0 <= row["validation_accuracy"] <= 1 for row in report["rows"])
    assert report["rows"][0]["validation_log_likelihood"] > report["rows"][1]["validation_log_likelihood"]


def test_who_goes_on_starts_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three real networks: in the second round each begins with the validation loss that it ended the first with."""
    monkeypatch.chdir(tmp_path)
    photos = tiny.table(Path("images"), size=32)
    names = [tiny.checkpoint(Path(f"source{seed}"), seed=seed) for seed in range(3)]
    entrants = [sources.load(name).card().at(32) for name in names]
    runs: list[tuple[str, fine_tuning.Result]] = []
    run = fine_tuning.run
    monkeypatch.setattr(fine_tuning, "run", lambda *given, **how: (runs.append((given[2].name, run(*given, **how))), runs[-1][1])[1])
    race.run(photos, Path("images"), entrants, taken=names[0], **LAP)
    assert len(runs) == 5
    first = dict(runs[:3])
    for name, again in runs[3:]:
        row = first[name].curve[first[name].best]
        assert again.curve[0]["validation_loss"] == pytest.approx(row["validation_loss"], rel=1e-5)
        assert (
            again.curve[0]["validation_loss"] != pytest.approx(first[name].curve[0]["validation_loss"], rel=1e-3) or first[name].best == 0
        )
        assert again.steps == [0, first[name].steps[1]]
