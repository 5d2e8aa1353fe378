"""What fine-tuning settles before it trains, and that it tries again more gently if it brought nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.params import FineTune
from headstart.training import fine_tuning, tuning, whole
from headstart.training.augmenting import Change
from headstart.training.fine_tuning import Plan

CHANGES: list[Change] = [
    {"change": "horizontal_flip", "source": "toy", "n": 400, "accuracy": 0.9, "difference": 0.0, "lowest": -0.01, "made": True},
    {"change": "vertical_flip", "source": "toy", "n": 400, "accuracy": 0.9, "difference": -0.3, "lowest": -0.4, "made": False},
]
TABLE = pd.DataFrame({"split": ["train", "train", "validation"], "label": ["ant", "bee", "ant"]})


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans of the trainings that were done; mirroring was found to keep the labels."""
    asked: list[Plan] = []

    def run(table: pd.DataFrame, root: Path, card: Any, head: Any, classes: list[str], plan: Plan, **_: Any) -> Any:
        asked.append(plan)
        best = 2 if plan.rate <= GOOD["rate"] else 0
        curve = [{"validation_loss": loss} for loss in (0.5, 0.6, 0.4 if best else 0.7)]
        phases = [] if plan.strategy == "head_only" else [{"name": "last 1"}]
        return SimpleNamespace(curve=curve, best=best, summary={"phases": phases, "image_passes": 4}, logits=np.full((1, 2), 0.5))

    monkeypatch.setattr(fine_tuning, "run", run)
    monkeypatch.setattr(tuning.of_source, "of_source", lambda *_: None)
    return asked


HEAD = {"logits": np.zeros((1, 2))}  # that the frozen head gives for the validation image
GOOD = {"rate": 1.0}  # the highest rate at which a training brings something


def tune(good: float, **block: Any) -> tuning.Tuned:
    GOOD["rate"] = good
    return tuning.tune(
        TABLE, Path(), None, SimpleNamespace(logits=lambda _: HEAD["logits"]), ["ant", "bee"], FineTune(**block), CHANGES, seed=0
    )  # type: ignore[arg-type]


def test_a_training_that_brings_something_is_the_only_one(plans: list[Plan]) -> None:
    done = tune(1.0, rate=0.001)
    assert [(plan.rate, plan.augmentation.horizontal_flip) for plan in plans] == [(0.001, True)]
    assert done.summary["tries"] == [
        {
            "way": "usual",
            "strategy": "last_stages",
            "statistics": "source",
            "rate": 0.001,
            "epochs": 2,
            "best_epoch": 2,
            "validation_loss": 0.4,
            "image_passes": 4,
        }
    ]
    assert done.summary["changed"] is True
    assert done.block == replace_in(FineTune(rate=0.001, keep="trained"), horizontal_flip=True)


def test_one_that_brings_nothing_is_done_again_at_a_tenth_of_the_rate(plans: list[Plan]) -> None:
    done = tune(0.0002, rate=0.001)
    assert [plan.rate for plan in plans] == [0.001, pytest.approx(0.0001)]
    assert plans[1].augmentation == plans[0].augmentation
    assert [plan.recipe.keep for plan in plans] == ["trained", "best"], "only the last of the ways may end where it began"
    assert [one["best_epoch"] for one in done.summary["tries"]] == [0, 2]
    assert done.summary["changed"] is True
    assert done.block.rate == pytest.approx(0.0001), "which is what others repeat"


def test_if_that_brings_nothing_either_it_is_said(plans: list[Plan]) -> None:
    done = tune(0.0, rate=0.001)
    assert len(plans) == 2
    assert (done.summary["changed"], done.result.best) == (False, 0)
    assert [one["validation_loss"] for one in done.summary["tries"]] == [0.5, 0.5]


def test_a_head_alone_cannot_lose_what_is_frozen(plans: list[Plan]) -> None:
    done = tune(0.0, strategy="head_only")
    assert (done.summary["changed"], done.summary["changes"], len(plans)) == (False, CHANGES, 1)


def replace_in(block: FineTune, **made: bool) -> FineTune:
    values = {"horizontal_flip": False, "vertical_flip": False, "quarter_turns": False, **made}
    return block.model_copy(update={"augmentation": block.augmentation.model_copy(update=values)})


@pytest.fixture
def much_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "needed", lambda *_: True)
    monkeypatch.setattr(whole, "way", lambda block, *_, **__: block.model_copy(update={"strategy": "full", "rate": 0.1 * block.rate}))
    monkeypatch.setattr(tuning.of_source, "of_source", lambda *_: None)


def test_most_of_the_network_is_trained_if_much_is_wrong(plans: list[Plan], much_is_wrong: None) -> None:
    done = tune(1.0, rate=0.01)
    assert [(plan.rate, plan.strategy) for plan in plans] == [(pytest.approx(0.001), "full")]
    assert [(one["way"], one["strategy"]) for one in done.summary["tries"]] == [("deep", "full")]
    assert (done.block.strategy, done.summary["changed"]) == ("full", True)


def test_if_that_brings_nothing_the_last_stages_are_trained_and_then_more_gently(plans: list[Plan], much_is_wrong: None) -> None:
    done = tune(0.0, rate=0.01)
    assert [(plan.rate, plan.strategy) for plan in plans[1:]] == [(0.01, "last_stages"), (pytest.approx(0.001), "last_stages")]
    assert done.summary["changed"] is False


@pytest.mark.parametrize(
    ("head", "full", "ways"),
    [
        # Each is right on other images: side by side they are right on most.
        ([[9, 0]] * 12 + [[0, 1]] * 8, [[0, 1]] * 8 + [[9, 0]] * 12, ["deep"]),
        # No better than the head, but no worse.
        ([[1, 0]] * 18 + [[0, 1]] * 2, [[0, 1]] * 2 + [[1, 0]] * 18, ["deep"]),
        # Worse by more than a standard error, by itself and beside the head.
        ([[1, 0]] * 18 + [[0, 1]] * 2, [[0, 3]] * 12 + [[3, 0]] * 8, ["deep", "usual", "gentler"]),
    ],
)
def test_it_counts_unless_it_is_worse_than_the_head_by_itself_and_beside_it(
    head: list[list[float]], full: list[list[float]], ways: list[str], monkeypatch: pytest.MonkeyPatch, much_is_wrong: None
) -> None:
    table = pd.DataFrame({"split": ["train"] + ["validation"] * 20, "label": ["bee"] + ["ant"] * 20})

    def run(*arguments: Any, **_: Any) -> Any:
        all_of_it = arguments[5].strategy == "full"
        logits = np.array(full if all_of_it else head, float)
        curve = [{"validation_loss": 0.69}, {"validation_loss": 0.9}]
        return SimpleNamespace(curve=curve, best=int(all_of_it), summary={"phases": [{}], "image_passes": 4}, logits=logits)

    monkeypatch.setattr(fine_tuning, "run", run)
    known: Any = SimpleNamespace(logits=lambda _: np.array(head, float))
    done = tuning.tune(table, Path(), None, known, ["ant", "bee"], FineTune(), [], seed=0)  # type: ignore[arg-type]
    assert [one["way"] for one in done.summary["tries"]] == ways
    assert done.summary["changed"] is (len(ways) == 1)


@pytest.mark.parametrize("strategy", ["gradual", "full"])
def test_who_names_another_strategy_gets_that_alone(strategy: str, plans: list[Plan], much_is_wrong: None) -> None:
    tune(1.0, strategy=strategy)
    assert [plan.strategy for plan in plans] == [strategy]


def test_little_wrong_or_no_work_allowed_leaves_it_at_the_usual_training(plans: list[Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    tune(1.0)
    monkeypatch.setattr(whole, "needed", lambda *_: True)
    tune(1.0, whole=0)
    assert [plan.strategy for plan in plans] == ["last_stages", "last_stages"]


def test_many_images_are_seen_in_fewer_epochs_by_each_way_but_the_deep_one(plans: list[Plan]) -> None:
    done = tune(0.0, passes=14, rate=0.001)
    assert [plan.epochs for plan in plans] == [7, 7]
    assert done.block.epochs == 7


@pytest.mark.parametrize(
    ("block", "seen"),
    [
        ({"passes": 40}, (5, 2)),
        ({"passes": 40, "epochs": 3, "views": 4}, (3, 4)),
        ({"passes": 40, "views": "fresh"}, (5, "fresh")),
        ({"passes": 120}, (6, "auto")),
        ({}, (10, "auto")),  # as also with --best
        ({"passes": 40, "strategy": "full"}, (10, "auto")),
    ],
)
def test_what_has_little_to_gain_is_trained_for_less_time(
    block: dict[str, Any], seen: tuple[int, int | str], plans: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "little", lambda *_: True)
    tune(0.0, rate=0.001, **block)
    assert [(plan.epochs, plan.views) for plan in plans] == [seen, seen]
