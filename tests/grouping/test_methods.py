"""Every way to find groups finds planted ones, gives the same in every run, and is of the shape that the others are."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from headstart.grouping import describing, graph, judging, methods, turtle
from headstart.grouping.methods import METHODS, margins, nearness
from headstart.grouping.spaces import Axes, neighbours, reduced, unit
from tests.grouping import planted

TRUTH = np.repeat(np.arange(4), (40, 30, 30, 20))
SPACES = [reduced(planted.seen(network, TRUTH)) for network in range(2)]


@pytest.mark.parametrize("name", METHODS)
def test_planted_groups_are_found(name: str) -> None:
    labels = METHODS[name](SPACES, 4, 0)
    assert judging.agreement(labels, TRUTH) > 0.95
    assert (METHODS[name](SPACES, 4, 0) == labels).all()


@pytest.mark.parametrize("name", [name for name in METHODS if name != "hdbscan"])
@pytest.mark.parametrize("groups", [2, 7])
def test_there_are_as_many_as_are_asked_for(name: str, groups: int) -> None:
    labels = METHODS[name](SPACES, groups, 0)
    assert labels.shape == TRUTH.shape
    assert len(np.unique(labels)) == groups


def test_what_hdbscan_calls_noise_joins_the_nearest_group() -> None:
    far = np.vstack([SPACES[0], SPACES[0][:1] * 3])
    assert METHODS["hdbscan"]([far], 4, 0)[-1] == METHODS["hdbscan"]([far], 4, 0)[0]


def test_neighbours_that_two_networks_agree_on_tell_more_than_those_of_one() -> None:
    """Each network sees the groups under noise of its own."""
    spaces = [reduced(planted.seen(network, TRUTH, noise=1.5)) for network in range(2)]
    alone = max(judging.agreement(METHODS["spectral"]([space], 4, 0), TRUTH) for space in spaces)
    assert judging.agreement(METHODS["joint_spectral"](spaces, 4, 0), TRUTH) > alone


def test_margins_move_a_poor_start() -> None:
    start = TRUTH.copy()
    wrong = np.random.default_rng(0).random(len(start)) < 0.3
    start[wrong] = (start[wrong] + 1) % 4
    assert judging.agreement(turtle.label(SPACES, start, 4), TRUTH) > 0.95 > judging.agreement(start, TRUTH)


def test_a_space_keeps_what_differs_and_places_other_images_alike() -> None:
    features = planted.seen(0, TRUTH)
    axes = Axes.of(features, 5)
    assert axes.place(features).shape == (len(features), 5)
    np.testing.assert_allclose(axes.place(features * 7), axes.place(features), atol=1e-6)  # the length of a row does not count
    np.testing.assert_allclose(np.linalg.norm(unit(features), axis=1), 1, rtol=1e-6)
    flipped = Axes.of(features.copy(), 5)
    assert (flipped.directions == axes.directions).all()


def test_neighbours_are_symmetric() -> None:
    edges = neighbours(SPACES[0], 5)
    assert (edges == edges.T).all()
    assert set(np.unique(edges)) <= {0.0, 0.5, 1.0}
    assert np.diag(edges).max() == 0
    assert neighbours(SPACES[0][:3], 10).shape == (3, 3)


def test_one_embedding_serves_every_number() -> None:
    edges = graph.joint(SPACES)
    once = graph.embedding(edges, 9)
    assert judging.agreement(graph.cut(once, 4), METHODS["joint_spectral"](SPACES, 4, 0)) == 1


@pytest.mark.parametrize("parts", [1, 3])
def test_eigenvectors_by_iteration_are_those_that_are_worked_out(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    """Also if the graph falls into parts, whose largest eigenvalues are all one."""
    truth = np.arange(1200) % 4
    edges = neighbours(reduced(planted.seen(0, truth, noise=1.0)))
    edges = np.where(np.arange(1200)[:, None] * parts // 1200 == np.arange(1200) * parts // 1200, edges, 0)
    exact = graph.embedding(edges, 4 * parts)
    monkeypatch.setattr(graph, "DENSE", 100)
    monkeypatch.setattr(graph, "_slowest", mock := Mock(side_effect=graph._slowest))
    found = graph.embedding(edges, 4 * parts)
    mock.assert_called_once()
    weight = np.sqrt(np.maximum(edges.sum(1), 1e-12))[:, None]
    angles = np.linalg.svd((exact * weight).T @ (found * weight), compute_uv=False)
    np.testing.assert_allclose(angles, 1, atol=1e-4)
    assert judging.agreement(graph.cut(found, 4 * parts), graph.cut(exact, 4 * parts)) > 0.99


def test_rows_of_a_consensus_lie_as_far_apart_as_its_table_says() -> None:
    random = np.random.default_rng(0)
    made = [random.integers(0, groups, 60) for groups in (3, 4, 7)]
    table = np.mean([labels[:, None] == labels for labels in made], axis=0)
    rows = nearness(made)
    assert rows.shape == (60, 14)
    np.testing.assert_allclose(pdist(rows), pdist(table), atol=1e-9)


def test_the_margins_begin_from_a_consensus_that_is_at_hand() -> None:
    start = METHODS["consensus"](SPACES, 4, 0)
    assert (margins(SPACES, 4, 0, start) == METHODS["turtle"](SPACES, 4, 0)).all()


def test_dense_regions_of_some_images_take_in_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "DENSEST", 80)
    assert judging.agreement(METHODS["hdbscan"](SPACES, 4, 0), TRUTH) > 0.95


def test_silhouettes_of_several_groupings_are_the_means_over_spaces() -> None:
    made = [TRUTH, np.arange(120) % 3]
    tables = [1 - unit(space) @ unit(space).T for space in SPACES]
    wanted = [np.mean([judging.silhouettes(table, labels).mean() for table in tables]) for labels in made]
    assert judging.silhouettes_of(SPACES, made) == pytest.approx(wanted)


def test_groups_are_numbered_by_size() -> None:
    labels = describing.ordered(np.array([5, 5, 2, 9, 9, 9]))
    assert labels.tolist() == [1, 1, 2, 0, 0, 0]
    assert describing.ordered(np.array([3, 1, 3, 1])).tolist() == [0, 1, 0, 1]  # of one size: the first image counts
