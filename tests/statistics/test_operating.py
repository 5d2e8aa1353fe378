"""headstart.statistics.operating: a point does what it was chosen for on images that it was not chosen on."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from scipy.special import expit, softmax

from headstart.statistics import operating
from headstart.statistics.goals import ACCURACY, Goal

CLASSES = ["cracked", "sound"]


def planted(n: int, seed: int, rare: float = 0.2, apart: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """True probabilities (n, 2) and labels (n,) of images in which class 0 is rare."""
    random = np.random.default_rng(seed)
    labels = (random.random(n) >= rare).astype(int)
    x = random.normal(size=n) + apart * (labels == 0)
    p = expit(apart * x - apart**2 / 2 + np.log(rare / (1 - rare)))
    return np.stack([p, 1 - p], axis=1), labels


def recalls(named: np.ndarray, labels: np.ndarray) -> list[float]:
    return [float((named[labels == k] == k).mean()) for k in (0, 1)]


def test_balanced_accuracy_is_higher_than_at_the_plain_point() -> None:
    point = operating.choose(Goal("balanced_accuracy"), *planted(400, 0), CLASSES)
    new, labels = planted(20_000, 1)
    assert np.mean(recalls(point.named(new), labels)) > np.mean(recalls(new.argmax(1), labels)) + 0.03
    assert point.factors[0] > 2 > 1 == point.factors[1]
    assert point.threshold(0) == pytest.approx(1 / (1 + point.factors[0]))


def test_probabilities_that_do_not_hold_get_another_strength() -> None:
    probabilities, labels = planted(4_000, 0)
    weighted = probabilities * [4, 1]  # as if classes had been equally common
    weighted /= weighted.sum(1, keepdims=True)
    assert operating.choose(Goal("balanced_accuracy"), weighted, labels, CLASSES).factors == (1, 1)


def test_accuracy_names_the_likeliest() -> None:
    probabilities, labels = planted(100, 0)
    point = operating.choose(ACCURACY, probabilities, labels, CLASSES)
    assert point.factors == operating.plain(2).factors
    assert (point.named(probabilities) == probabilities.argmax(1)).all()
    assert point.held_out == (probabilities.argmax(1) == labels).mean()


@pytest.mark.parametrize(("measure", "n"), [("recall", 400), ("precision", 2_500)])
def test_what_is_asked_for_is_reached_on_new_images_as_often_as_is_said(measure: str, n: int) -> None:
    goal = Goal("recall", "cracked", 0.9) if measure == "recall" else Goal("precision", "cracked", 0.8)
    shares = []
    for seed in range(200):
        point = operating.choose(goal, *planted(n, seed), CLASSES)
        new, labels = planted(4_000, 10_000 + seed)
        named = point.named(new)
        shares.append(recalls(named, labels)[0] if measure == "recall" else float((labels[named == 0] == 0).mean()))
        assert point.reached
        assert point.bound is not None
        assert goal.reach is not None
        assert point.bound >= goal.reach
    assert 0.8 < (np.array(shares) >= goal.reach).mean() < 0.995
    assert abs(np.mean(shares) - goal.reach) < 0.06  # no more is given away than that takes


def test_no_recall_is_promised_of_a_handful_of_images() -> None:
    probabilities, labels = planted(20, 3)
    point = operating.choose(Goal("recall", "cracked", 0.9), probabilities, labels, CLASSES)
    assert 0 < (labels == 0).sum() < 16
    assert point.reached is False
    assert point.bound is not None
    assert point.bound < 0.9
    assert recalls(point.named(probabilities), labels)[0] == 1  # it finds all that it can


def test_of_many_classes_one_is_found_and_the_others_keep_their_order() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(4, size=600)
    probabilities = softmax(random.normal(size=(600, 4)) + 1.5 * np.eye(4)[labels], axis=1)
    point = operating.choose(Goal("recall", "c", 0.9), probabilities, labels, list("abcd"))
    named = point.named(probabilities)
    assert (named[labels == 2] == 2).mean() >= 0.9
    assert point.factors[:2] == (1, 1)
    assert point.factors[3] == 1
    assert point.threshold(2) is None
    others = named != 2
    assert (
        named[others] == np.delete(probabilities, 2, axis=1)[others].argmax(1) + (np.delete(probabilities, 2, axis=1)[others].argmax(1) > 1)
    ).all()


def test_images_of_one_score_are_named_together() -> None:
    cuts, found, named = operating.counted(np.array([1.0, 3.0, 1.0, 2.0]), np.array([True, False, False, True]))
    assert cuts.tolist() == [3, 2, 1]
    assert found.tolist() == [0, 1, 2]
    assert named.tolist() == [1, 2, 4]


def test_exact_intervals() -> None:
    assert operating.interval(0, 10) == pytest.approx([0, 0.3085], abs=1e-4)
    assert operating.interval(10, 10) == pytest.approx([0.6915, 1], abs=1e-4)
    assert operating.interval(9, 10) == pytest.approx([0.5550, 0.9975], abs=1e-4)
    assert operating.interval(0, 0) == [0, 1]


def test_a_point_comes_back_from_json() -> None:
    point = operating.choose(Goal("recall", "cracked", 0.9), *planted(100, 0), CLASSES)
    assert operating.read({**asdict(point), "factors": list(point.factors)}) == point
