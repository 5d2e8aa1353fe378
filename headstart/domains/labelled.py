"""What labels of some images of the target say: they are a test, and train nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from headstart.statistics import operating, paired

LEVEL = 0.05  # one-sided, of the paired test between adapted and plain


class Labelled(TypedDict):
    """The images that have a label: how many, accuracy of the adapted and of the plain model with exact 95% intervals, and the test."""

    n: int
    adapted: float
    adapted_interval: list[float]
    plain: float
    plain_interval: list[float]
    difference: float
    difference_interval: list[float]  # 90%
    better: bool | None  # whether the adapted model is shown to be better, or worse; None: neither


def test(paths: list[str], labels: Mapping[str, str], classes: list[str], adapted: np.ndarray, plain: np.ndarray) -> Labelled | None:
    """Compare the adapted model (probabilities (m, classes)) with the plain one (named classes (m,)) on the images that have a label.

    `paths` are those of all images; None if no label is of one of them.
    """
    rows = np.array([i for i, path in enumerate(paths) if path in labels], int)
    if not len(rows):
        return None
    truth = np.array([classes.index(labels[paths[i]]) for i in rows])
    from scipy.stats import binomtest  # takes half a second to import, and labels of the target are rare

    ours, theirs = adapted.argmax(1)[rows] == truth, plain[rows] == truth
    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    n, apart = len(rows), won + lost
    helps = apart > 0 and binomtest(won, apart, alternative="greater").pvalue <= LEVEL
    harms = apart > 0 and binomtest(lost, apart, alternative="greater").pvalue <= LEVEL
    return {
        "n": n,
        "adapted": float(ours.mean()),
        "adapted_interval": operating.interval(int(ours.sum()), n),
        "plain": float(theirs.mean()),
        "plain_interval": operating.interval(int(theirs.sum()), n),
        "difference": float(ours.mean() - theirs.mean()),
        "difference_interval": list(paired.interval(ours, theirs)),
        "better": True if helps else False if harms else None,
    }
