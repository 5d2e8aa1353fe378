"""Images without labels teach a head where clusters are classes, and left-out images tell where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.data import folding
from headstart.linear import logistic, self_training
from headstart.linear.self_training import Pool
from headstart.statistics.goals import ACCURACY, Goal


def clouds(each: int, seed: int, classes: int = 3, width: int = 20, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, width) around a middle per class, and their classes (n,)."""
    middles = np.random.default_rng(99).normal(0, 1, (classes, width))
    labels = np.repeat(np.arange(classes), each)
    return (middles[labels] + np.random.default_rng(seed).normal(0, noise, (len(labels), width))).astype(np.float32), labels


def fitted(x: np.ndarray, y: np.ndarray, folds: np.ndarray) -> logistic.CrossValidated:
    return logistic.cross_validate(x, y, folds, classes=3, penalties=[100.0, 10.0], what="")


def test_clusters_teach() -> None:
    (x, y), (pool, _), (new, truth) = clouds(4, 1, noise=1.6), clouds(120, 2, noise=1.6), clouds(200, 3, noise=1.6)
    alone = logistic.once(x, y, classes=3, penalty=10.0, balanced=False, goal=ACCURACY)
    taught = self_training.teach(x, y, pool, classes=3, penalty=10.0, balanced=False, goal=ACCURACY)
    before, after = ((head.logits(new).argmax(1) == truth).mean() for head in (alone, taught.head))
    assert after > before + 0.02
    assert 0.75 < taught.learned.mean() < 0.85


def test_balanced_weights_keep_to_the_shares_of_the_classes() -> None:
    x, y = clouds(10, 1)
    few = np.flatnonzero((y > 0) | (np.arange(len(y)) < 4))
    even = Goal("balanced_accuracy")
    taught = self_training.teach(x[few], y[few], clouds(40, 2)[0], classes=3, penalty=1.0, balanced=True, goal=even)
    plain = logistic.once(x[few], y[few], classes=3, penalty=1.0, balanced=True, goal=even)
    assert np.abs(taught.head.bias - plain.bias).max() < 3


def test_nothing_teaches_nothing() -> None:
    x, y = clouds(6, 1)
    taught = self_training.teach(x, y, x[:0], classes=3, penalty=10.0, balanced=False, goal=ACCURACY)
    alone = logistic.once(x, y, classes=3, penalty=10.0, balanced=False, goal=ACCURACY)
    np.testing.assert_allclose(taught.head.weight, alone.weight, atol=1e-4)
    assert not len(taught.learned)


def test_the_surest_of_each_class_are_taken() -> None:
    logits = np.array([[9, 0], [5, 0], [1, 0], [0.5, 0], [0, 4], [0, 2]], np.float32)
    taken, named = self_training.surest(logits, np.array([0.5, 0.5]), 0.5)
    assert named[:3].tolist() == [0, 0, 0]
    assert named[4:].tolist() == [1, 1]
    assert taken[[0, 1, 4]].all()
    assert not taken[3]


def test_no_class_swallows_the_others() -> None:
    logits = np.stack([np.linspace(1, 3, 10), np.zeros(10)], 1)
    _, named = self_training.surest(logits, np.array([0.5, 0.5]), 1.0)
    assert 0 < (named == 1).sum() < 6


def test_an_image_that_looks_like_one_left_out_does_not_teach_what_judges_it() -> None:
    x, y = clouds(6, 1)
    groups, folds = np.arange(len(y)), folding.split_folds(y, np.arange(len(y)), 3, 0)
    alone = fitted(x, y, folds)

    def left_out(rows: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        return self_training.left_out(x, y, groups, folds, Pool(rows, theirs), classes=3, alone=alone, goal=ACCURACY)

    pool, _ = clouds(20, 2)
    first = left_out(pool, np.arange(100, 100 + len(pool)))
    strange = np.concatenate([pool, np.full((1, x.shape[1]), 50, np.float32)])
    numbers = np.append(np.arange(100, 100 + len(pool)), groups[0])
    second = left_out(strange, numbers)
    same = folds == folds[0]
    np.testing.assert_array_equal(first[same], second[same])
    assert np.abs(first[~same] - second[~same]).max() > 1e-4


@pytest.mark.parametrize(
    ("taught", "helps", "says"),
    [
        ([3.0] * 40, True, "has more right"),
        ([1.0] * 20 + [-1.0] * 20, False, "are not shown to help"),
        ([-1.0] * 40, False, "are not shown to help"),
    ],
)
def test_what_left_out_images_show(taught: list[float], helps: bool, says: str) -> None:
    labels = np.zeros(40, np.int64)
    labels[::2] = 1
    sign = np.where(labels == 1, 1, -1)[:, None] * np.array([-0.5, 0.5])
    alone = sign * np.array([1.0, 1.0, 1.0, -1.0] * 10)[:, None]
    found = self_training.compared(alone, sign * np.array(taught)[:, None], labels, ACCURACY)
    assert (found.helps, says in found.reason) == (helps, True)
    assert found.alone["gain"] == 0.75
    assert found.difference[1] <= found.difference[0] <= found.difference[2]


def test_likelier_labels_are_enough_if_as_many_are_right() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    sign = np.where(labels == 1, 1, -1)[:, None] * np.array([-0.5, 0.5])
    right = np.where(np.arange(60) % 6, 1, -1)[:, None]
    found = self_training.compared(sign * right * random.uniform(0.2, 6, (60, 1)), sign * np.where(right > 0, 4.0, -0.3), labels, ACCURACY)
    assert found.helps
    assert "fits the labels better" in found.reason
    assert found.difference[0] == 0
