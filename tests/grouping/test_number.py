"""How many groups there are, with an interval, and whether there are any."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from headstart.grouping import judging, number
from headstart.grouping.spaces import reduced
from tests.grouping import planted


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_planted_groups_are_counted(groups: int) -> None:
    truth = np.arange(120) % groups
    found = number.choose([reduced(planted.seen(network, truth)) for network in range(2)], 12, 5, 0)
    assert found.groups == groups
    assert found.interval[0] <= groups <= found.interval[1]
    assert found.shown
    assert [one["groups"] for one in found.curve] == list(range(2, 13))
    best = next(one for one in found.curve if one["groups"] == groups)
    assert best["stability"] > 0.9
    assert best["silhouette"] == found.silhouette == max(one["silhouette"] for one in found.curve)


def test_no_groups_are_shown_where_there_are_none() -> None:
    found = number.choose([reduced(features) for features in planted.without_groups(150)], 10, 5, 0)
    assert not found.shown
    assert found.silhouette <= found.by_chance


def test_a_number_that_is_given_is_kept() -> None:
    truth = np.arange(90) % 3
    found = number.choose([reduced(planted.seen(0, truth))], 12, 5, 0, asked=5)
    assert (found.groups, found.interval) == (5, [5, 5])
    assert [one["groups"] for one in found.curve] == [5]


def test_groups_that_run_together_widen_the_interval() -> None:
    truth = np.arange(120) % 6
    clear, blurred = (number.choose([reduced(planted.seen(0, truth, noise=noise))], 12, 12, 0) for noise in (0.3, 2.0))
    assert np.ptp(clear.interval) < np.ptp(blurred.interval)


def test_few_images_are_tried_with_few_groups() -> None:
    assert number.numbers(20, 30) == [2, 3, 4, 5]
    assert number.numbers(5, 30) == [2]


def test_silhouettes_are_those_of_the_textbook() -> None:
    random = np.random.default_rng(0)
    rows, labels = random.normal(size=(40, 3)), np.arange(40) % 4
    labels[0] = 4  # a group of one
    distances = np.linalg.norm(rows[:, None] - rows, axis=2)
    np.testing.assert_allclose(judging.silhouettes(distances, labels), silhouette_samples(distances, labels, metric="precomputed"))
    assert judging.silhouettes(distances, np.zeros(40, int)).tolist() == [-1.0] * 40


def test_halves_tell_how_stable_each_group_is() -> None:
    """Groups 0 and 1 are one in every sample, group 2 stays."""
    truth = np.repeat([0, 1, 2], 20)
    drawn = [np.where(np.isin(np.arange(60), rows), np.maximum(truth, 1) - 1, -1) for rows in judging.samples(60, 4, 0)]
    shares = judging.together(truth, drawn)
    assert shares[2] == 1
    assert max(shares[:2]) < 0.75
    assert judging.agreements(truth, drawn).max() < 1


def test_others_join_by_a_discriminant() -> None:
    truth = np.arange(90) % 3
    rows = planted.seen(0, truth).astype(np.float64)
    assert (judging.named(rows[:60], truth[:60], rows[60:]) == truth[60:]).mean() > 0.95
