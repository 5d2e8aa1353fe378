"""The search of a way to fine-tune: its rounds, its order, its budget, and when it is not worth it."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.params import FineTune
from headstart.training import fine_tuning, searching
from headstart.training.fine_tuning import Plan

CLASSES = ["ant", "bee"]
HELD = 40


def table(train: int = 60) -> pd.DataFrame:
    n = train + HELD
    labels = [CLASSES[number % 2] for number in range(n)]
    return pd.DataFrame({"split": ["train"] * train + ["validation"] * HELD, "label": labels, "sha256": [f"{i}" for i in range(n)]})


def logits(right: int, sure: float = 1.0) -> np.ndarray:
    """Logits of the validation images of which the first `right` are right."""
    labels = np.arange(HELD) % 2
    named = np.where(np.arange(HELD) < right, labels, 1 - labels)
    return sure * np.eye(2)[named]


class Course:
    """Trainings that reach what was said, by rate and statistics of BatchNorm; what was asked of them is noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, reached: dict[tuple[float, str], tuple[int, float]]) -> None:
        self.plans: list[Plan] = []
        self.seen: list[int] = []

        def run(table: pd.DataFrame, root: Path, card: Any, head: Any, classes: list[str], plan: Plan, **_: Any) -> Any:
            self.plans.append(plan)
            self.seen.append(int((table["split"] == "train").sum()))
            best, loss = reached[round(plan.rate, 6), plan.statistics]
            curve = [{"validation_loss": value} for value in (0.5, 0.9, loss)]
            return SimpleNamespace(curve=curve, best=best, logits=logits(30, -loss), summary={"image_passes": plan.epochs * 60})

        monkeypatch.setattr(fine_tuning, "run", run)

    def search(self, passes: int = 21, train: int = 60) -> searching.Found:
        block = FineTune(rate=3e-4, search=passes, patience=2)
        return searching.run(table(train), Path(), None, None, CLASSES, block, seed=0)  # type: ignore[arg-type]


WHOLE_PICTURES = FineTune().augmentation.model_copy(update={"min_crop_share": 1.0, "rotation": 0.0, "colour": 0.0})
WHOLE, HIGHER, BATCH = (3e-4, "source"), (9e-4, "source"), (9e-4, "batch")


def test_the_better_half_go_on_for_twice_as_long_and_the_best_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    course = Course(monkeypatch, {WHOLE: (0, 0.7), HIGHER: (2, 0.40), BATCH: (2, 0.35)})
    found = course.search()
    assert [(plan.epochs, plan.rate, plan.statistics) for plan in course.plans] == [
        (3, 3e-4, "source"),
        (3, pytest.approx(9e-4), "source"),
        (3, pytest.approx(9e-4), "batch"),
        (6, pytest.approx(9e-4), "batch"),
        (6, pytest.approx(9e-4), "source"),
    ]
    assert {(plan.strategy, plan.views, plan.recipe.patience - plan.epochs) for plan in course.plans} == {("full", "fresh", 0)}
    assert found.block == FineTune(
        rate=3 * 3e-4, search=21, patience=2, strategy="full", views="fresh", statistics="batch", augmentation=WHOLE_PICTURES
    )
    assert [
        (row["round"], row["place"], row["way"].removeprefix("whole network, three times the rate").removeprefix(", "), row["best_epoch"])
        for row in found.rows
    ] == [
        (1, 1, "BatchNorm adapted", 2),
        (1, 2, "", 2),
        (1, 3, "whole network", 0),
        (2, 1, "BatchNorm adapted", 2),
        (2, 2, "", 2),
    ]
    assert [row["gap"] for row in found.rows if row["place"] == 1] == [0.0, 0.0]
    assert sum(row["image_passes"] for row in found.rows) == 21 * 60


def test_a_way_that_got_past_the_head_is_before_one_that_came_near_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Course(monkeypatch, {WHOLE: (0, 0.51), HIGHER: (0, 0.60), BATCH: (2, 0.49)}).search()
    assert [row["way"] for row in found.rows[:3]] == [*list(searching.WAYS)[2:], *list(searching.WAYS)[:2]]


def test_nothing_wins_if_no_way_got_past_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Course(monkeypatch, {WHOLE: (0, 0.7), HIGHER: (0, 0.6), BATCH: (0, 0.8)}).search()
    assert (found.block, len(found.rows)) == (None, 5)


@pytest.mark.parametrize("passes", [0, 6])
def test_too_few_passes_for_every_way_to_be_tried_are_not_begun(passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    course = Course(monkeypatch, {})
    assert course.search(passes) == searching.Found(None, [])
    assert course.plans == []


def test_a_large_data_set_is_searched_on_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "MOST", 40)
    course = Course(monkeypatch, {WHOLE: (2, 0.4), HIGHER: (2, 0.3), BATCH: (2, 0.35)})
    assert course.search(7, train=200).block is not None
    assert set(course.seen) == {40}


@pytest.mark.parametrize("ways", range(2, 9))
@pytest.mark.parametrize("passes", [0, 1, 7, 20, 21, 100])
def test_rounds_keep_within_the_passes(ways: int, passes: int) -> None:
    plan = searching.rounds(ways, passes)
    assert sum(count * epochs for count, epochs in plan) <= passes
    longer = [(count, epochs // plan[0][1] * (plan[0][1] + 1)) for count, epochs in plan]
    assert not plan or sum(count * epochs for count, epochs in longer) > passes
    assert [count for count, _ in plan[:1]] in ([], [ways])
    assert all(later == (-(-before[0] // 2), 2 * before[1]) for before, later in itertools.pairwise(plan))


def test_a_search_is_needed_if_the_head_is_often_wrong_and_training_did_not_mend_it() -> None:
    labels = np.arange(HELD) % 2
    assert searching.needed(logits(30), logits(31), labels)
    assert not searching.needed(logits(31), logits(31), labels), "nine wrong do not tell ways apart"
    assert not searching.needed(logits(30), logits(39), labels), "training mended it"
    assert searching.needed(logits(30), logits(20), labels)
