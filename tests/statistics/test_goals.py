"""headstart.statistics.goals: what `aim` means for the classes at hand, and how much each image then counts."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.machinery.errors import ParamsError
from headstart.statistics import goals
from headstart.statistics.goals import ACCURACY, Goal


@pytest.mark.parametrize(("rare", "measure"), [(8, "accuracy"), (7, "balanced_accuracy")])
def test_auto_is_balanced_where_classes_are_uneven_by_more_than_a_half(rare: int, measure: str) -> None:
    goal = goals.resolve("auto", None, 0.9, ["sound"] * 12 + ["cracked"] * rare)
    assert (goal.measure, goal.asked, goal.ratio) == (measure, False, 12 / rare)
    assert (goal.label, goal.reach) == (None, None)


def test_what_is_asked_for_is_kept() -> None:
    labels = ["sound"] * 12 + ["cracked"] * 3
    assert goals.resolve("accuracy", None, 0.9, labels) == Goal("accuracy", ratio=4)
    assert goals.resolve("recall", "cracked", 0.95, labels) == Goal("recall", "cracked", 0.95, ratio=4)
    with pytest.raises(ParamsError, match=r"aim\.label: there is no class 'craked' here; did you mean cracked\?"):
        goals.resolve("precision", "craked", 0.9, labels)


def test_classes_count_alike_unless_the_goal_is_accuracy() -> None:
    labels = np.array([0] * 6 + [1] * 2)
    assert ACCURACY.counts(labels).tolist() == [1] * 8
    counts = Goal("balanced_accuracy").counts(labels)
    assert counts.mean() == pytest.approx(1)
    assert counts[labels == 0].sum() == pytest.approx(counts[labels == 1].sum())
    right = np.array([1, 1, 1, 0, 0, 0, 1, 0])
    assert (right * counts).mean() == pytest.approx(0.5)


def test_merits_are_the_likelihood_where_classes_are_equally_common() -> None:
    labels, prior = np.array([0, 0, 0, 1]), np.array([0.75, 0.25])
    knows_nothing = np.log(np.tile(prior, (4, 1)))
    assert Goal("balanced_accuracy").merits(knows_nothing, labels, prior).mean() == pytest.approx(np.log(0.5))
    assert ACCURACY.merits(knows_nothing, labels, prior).mean() == pytest.approx((3 * np.log(0.75) + np.log(0.25)) / 4)


def test_a_goal_comes_back_from_json() -> None:
    goal = Goal("recall", "cracked", 0.9, ratio=2.0)
    assert goals.read({"measure": "recall", "label": "cracked", "reach": 0.9, "asked": True, "ratio": 2.0}) == goal
