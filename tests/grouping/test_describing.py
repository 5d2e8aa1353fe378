"""What stands for a group, how far images are from its middle, and which are unlike all others."""

from __future__ import annotations

import numpy as np

from headstart.grouping import describing
from headstart.grouping.spaces import reduced
from tests.grouping import planted

TRUTH = np.repeat([0, 1], 30)
SPACE = reduced(planted.seen(0, TRUTH))


def test_a_group_of_unlike_things_shows_them() -> None:
    kinds = np.repeat([0, 1, 2], 20)
    space = reduced(planted.seen(1, kinds))
    (shown,) = describing.medoids(space, np.zeros(60, int))
    assert sorted(kinds[shown]) == [0, 1, 2]
    parts = describing.parts(space, np.zeros(60, int), [shown])
    assert all(len(set(parts[kinds == kind])) == 1 for kind in range(3))


def test_small_groups_show_all_they_have() -> None:
    labels = np.array([0] * 5 + [1] * 2 + [-1])
    shown = describing.medoids(SPACE[:8], labels)
    assert len(shown[0]) == 3
    assert sorted(shown[1]) == [5, 6]
    assert 7 not in [row for rows in shown for row in rows]


def test_distances_are_from_the_middle_of_the_own_group() -> None:
    near = describing.distances(SPACE, TRUTH)
    assert near.shape == (60,)
    assert near.min() >= 0
    assert near.mean() < describing.distances(SPACE, 1 - TRUTH)[:].mean() or near.mean() < 0.5
    swapped = TRUTH.copy()
    swapped[0] = 1
    assert describing.distances(SPACE, swapped)[0] > near[0]


def test_an_image_unlike_all_others_is_told() -> None:
    features = np.vstack([planted.seen(0, TRUTH, noise=0.2), planted.seen(5, np.zeros(1, int)) * 4])
    far = describing.outliers(reduced(features))
    assert far[-1]
    assert far[:-1].sum() <= 2
