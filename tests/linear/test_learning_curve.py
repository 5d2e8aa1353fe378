"""headstart.linear: heads that follow a goal, and the learning curve, on planted features."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.linear import learning_curve, logistic
from headstart.statistics import goals, likelihood, operating
from headstart.statistics.goals import ACCURACY, Goal

EVEN = Goal("balanced_accuracy")
PENALTIES = [100.0, 10.0, 1.0]


def planted(n: int, seed: int = 0, rare: float = 0.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, 10), labels (n,) of which a share is 1, and folds."""
    random = np.random.default_rng(seed)
    labels = (np.arange(n) % round(1 / rare) == 0).astype(int)
    x = random.normal(size=(n, 10)) + 0.5 * labels[:, None] * (np.arange(10) < 4)
    return x.astype(np.float32), labels, np.arange(n) // 5 % 5


def balanced_accuracy(named: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean([(named[labels == k] == k).mean() for k in (0, 1)]))


@pytest.mark.parametrize("balanced", [True, False, None])
def test_however_it_is_weighted_probabilities_keep_to_the_shares_of_the_classes(balanced: bool | None) -> None:
    x, y, parts = planted(1_000)
    head, found = logistic.fit(x, y, parts, classes=2, penalties=PENALTIES, balanced=balanced, goal=EVEN, what="x")
    for logits in (head.logits(x), found.held_out):
        assert likelihood.softmax(logits)[:, 1].mean() == pytest.approx(0.2, abs=0.04)
    point = operating.choose(EVEN, likelihood.softmax(found.held_out), y, ["a", "b"])
    new, labels, _ = planted(4_000, 1)
    named, plain = point.named(likelihood.softmax(head.logits(new))), head.logits(new).argmax(1)
    assert balanced_accuracy(named, labels) > balanced_accuracy(plain, labels) + 0.1
    if balanced is None:
        ways = [
            logistic.fit(x, y, parts, classes=2, penalties=PENALTIES, balanced=way, goal=EVEN, what="x")[1].figures["log_loss"]
            for way in (False, True)
        ]
        assert found.figures["log_loss"] == min(ways)
        assert found.balanced == bool(np.argmin(ways))


def test_the_log_loss_counts_classes_alike_if_the_goal_does() -> None:
    x, y, parts = planted(500)
    found = logistic.cross_validate(x, y, parts, classes=2, penalties=[1.0], goal=EVEN, what="x")
    assert found.figures["log_loss"] == pytest.approx(-EVEN.merits(found.held_out, y, goals.shares(y, 2)).mean())
    plain = logistic.cross_validate(x, y, parts, classes=2, penalties=[1.0], what="x")
    assert (plain.held_out == found.held_out).all()
    assert plain.figures["log_loss"] == pytest.approx(-likelihood.of_labels(plain.held_out, y).mean())


def test_class_weights_are_not_tried_for_accuracy() -> None:
    x, y, parts = planted(300)
    auto, none = (logistic.fit(x, y, parts, classes=2, penalties=PENALTIES, balanced=way, what="x") for way in (None, False))
    assert not auto[1].balanced
    assert (auto[0].weight == none[0].weight).all()


@pytest.mark.parametrize("goal", [ACCURACY, EVEN])
def test_the_curve_rises_and_leads_on(goal: Goal) -> None:
    x, y, parts = planted(400, rare=0.2 if goal.even else 0.5)
    _, found = logistic.fit(x, y, parts, classes=2, penalties=PENALTIES, goal=goal, what="x")
    curve = learning_curve.measure(x, y, parts, classes=2, validated=found, goal=goal, seed=0)
    assert curve["measure"] == goal.measure
    assert [row["images"] for row in curve["measured"]] == [*([] if goal.even else [10]), 20, 40, 80, 160, 320]
    values = [row["value"] for row in curve["measured"]]
    assert values[-1] > values[0]
    named = goal.seen(found.held_out, goals.shares(y, 2)).argmax(1)
    assert values[-1] == pytest.approx(balanced_accuracy(named, y) if goal.even else (named == y).mean())
    assert [row["images"] for row in curve["expected"]] == [400, 800, 1600]
    for row in curve["expected"]:
        assert row["interval"][0] <= row["value"] <= row["interval"][1]
    again = learning_curve.measure(x, y, parts, classes=2, validated=found, goal=goal, seed=0)
    assert again == curve


def test_a_handful_of_images_has_no_future() -> None:
    x, y, parts = planted(40)
    _, found = logistic.fit(x, y, parts, classes=2, penalties=PENALTIES, goal=EVEN, what="x")
    curve = learning_curve.measure(x, y, parts, classes=2, validated=found, goal=EVEN, seed=0)
    assert len(curve["measured"]) < 3
    assert curve["expected"] == []
