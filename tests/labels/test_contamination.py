"""headstart.labels.contamination: the share of wrong labels is found where they are random, and none is claimed where images are merely hard."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.labels import contamination
from headstart.statistics import likelihood


def drawn(share: float, *, n: int = 2000, classes: int = 5, seed: int = 0, sure: float = 4.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits that are three times too unsure, labels drawn from what they mean, and which labels were then changed at random."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, sure, (n, classes))
    labels = np.array([random.choice(classes, p=p) for p in likelihood.softmax(logits)])
    changed = random.random(n) < share
    labels[changed] = (labels[changed] + random.integers(1, classes, int(changed.sum()))) % classes
    return logits / 3, labels, changed


@pytest.mark.parametrize("seed", range(3))
def test_the_share_is_found_within_its_interval(seed: int) -> None:
    logits, labels, changed = drawn(0.05, seed=seed)
    found = contamination.fit(logits, labels)
    low, high = found.interval
    assert 0.9 * low <= float(changed.mean()) <= 1.1 * high  # as its ends are rounded to a step of the grid
    assert low > 0.01
    everything = np.arange(len(labels))
    expected, least, most = found.among(everything)
    assert 0.9 * least <= changed.sum() <= 1.1 * most
    assert least <= expected <= most
    surest = np.argsort(-found.wrong)[:40]
    assert abs(changed[surest].sum() - found.wrong[surest].sum()) <= 8  # the chances hold among those that it is surest of


@pytest.mark.parametrize("seed", range(3))
def test_labels_that_are_merely_hard_are_not_called_wrong(seed: int) -> None:
    logits, labels, _ = drawn(0.0, seed=seed)
    hard = np.flatnonzero(logits.argmax(1) != labels)
    assert len(hard) > 100
    found = contamination.fit(logits, labels)
    assert found.interval[0] == 0
    assert found.among(hard)[1] == 0
    assert found.among(hard)[0] <= 0.1 * len(hard)


def test_nothing_is_expected_of_no_rows_and_never_more_than_there_are() -> None:
    logits, labels, _ = drawn(0.3, n=300)
    found = contamination.fit(logits, labels)
    assert found.among(np.array([], np.int64)) == (0, 0, 0)
    assert found.among(np.argsort(-found.wrong)[:3])[2] <= 3
