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
    {"change": "horizontal_flip", "n": 400, "accuracy": 0.9, "difference": 0.0, "lowest": -0.01, "made": True},
    {"change": "vertical_flip", "n": 400, "accuracy": 0.9, "difference": -0.3, "lowest": -0.4, "made": False},
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
    assert done.block == replace_in(FineTune(rate=0.001), horizontal_flip=True)


def test_one_that_brings_nothing_is_done_again_at_a_tenth_of_the_rate(plans: list[Plan]) -> None:
    done = tune(0.0002, rate=0.001)
    assert [plan.rate for plan in plans] == [0.001, pytest.approx(0.0001)]
    assert plans[1].augmentation == plans[0].augmentation
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


def test_all_of_the_network_is_trained_if_much_is_wrong_and_counts_if_it_is_best(plans: list[Plan], much_is_wrong: None) -> None:
    done = tune(0.001, rate=0.01)
    assert [(plan.rate, plan.strategy) for plan in plans] == [(0.01, "last_stages"), (pytest.approx(0.001), "full")]
    assert [one["validation_loss"] for one in done.summary["tries"]] == [0.5, 0.4]
    assert (done.block.strategy, done.summary["changed"]) == ("full", True)
    assert done.summary["tries"][1]["strategy"] == "full"


def test_it_does_not_count_if_it_is_no_better(plans: list[Plan], much_is_wrong: None) -> None:
    done = tune(0.01, rate=0.01)
    assert len(plans) == 2
    assert (done.block.strategy, done.block.rate) == ("last_stages", 0.01)


def test_if_neither_brought_anything_the_first_is_done_again_more_gently(plans: list[Plan], much_is_wrong: None) -> None:
    done = tune(0.0, rate=0.01)
    assert [(plan.rate, plan.strategy) for plan in plans[2:]] == [(pytest.approx(0.001), "last_stages")]
    assert done.summary["changed"] is False


def test_one_that_is_better_only_with_the_head_beside_it_counts(monkeypatch: pytest.MonkeyPatch, much_is_wrong: None) -> None:
    """Each knows one of two images; the head knows the one that all of the network does not."""
    table = pd.DataFrame({"split": ["train", "validation", "validation"], "label": ["ant", "ant", "bee"]})

    def run(*arguments: Any, **_: Any) -> Any:
        full = arguments[5].strategy == "full"
        logits = np.array([[0.0, 9.0], [0.0, 9.9]]) if full else np.array([[5.0, 0.0], [5.0, 0.0]])
        curve = [{"validation_loss": 0.69}, {"validation_loss": 0.9}]
        return SimpleNamespace(curve=curve, best=int(full), summary={"phases": [{}], "image_passes": 4}, logits=logits)

    monkeypatch.setattr(fine_tuning, "run", run)
    head: Any = SimpleNamespace(logits=lambda _: np.array([[9.9, 0.0], [9.0, 0.0]]))
    done = tuning.tune(table, Path(), None, head, ["ant", "bee"], FineTune(), [], seed=0)  # type: ignore[arg-type]
    assert (done.block.strategy, done.summary["changed"], len(done.summary["tries"])) == ("full", True, 2)


@pytest.mark.parametrize("strategy", ["gradual", "full"])
def test_who_names_another_strategy_gets_that_alone(strategy: str, plans: list[Plan], much_is_wrong: None) -> None:
    tune(1.0, strategy=strategy)
    assert [plan.strategy for plan in plans] == [strategy]


def test_little_wrong_or_no_work_allowed_leaves_it_at_the_usual_training(plans: list[Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    tune(1.0)
    monkeypatch.setattr(whole, "needed", lambda *_: True)
    tune(1.0, whole=0)
    assert [plan.strategy for plan in plans] == ["last_stages", "last_stages"]
