"""Runs of marks in a row that chance does not explain: a scan statistic (Naus, 1965) whose error is bounded over all windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

LEAST = 5  # marks in a run
DENSE = 0.75  # share of marks in a run
LARGEST = 0.5  # of the row: a run that is longer is no part of it


@dataclass(frozen=True)
class Run:
    """Places `first` to `last` of a row, `marks` of them marked, and the bound on the chance that any such run comes about at random."""

    first: int
    last: int
    marks: int
    chance: float


def runs(marks: np.ndarray, level: float) -> list[Run]:
    """The runs in a row of marks (n,) whose chance is at most `level`, first to last; those of the least chance are taken first."""
    found: list[Run] = []
    left = marks.astype(bool).copy()
    while (best := _best(left)) is not None and best.chance <= level:
        found.append(best)
        left[best.first : best.last + 1] = False
    return sorted(found, key=lambda run: run.first)


def _best(marks: np.ndarray) -> Run | None:
    """The run of least chance, of two the longer; None if there are too few marks."""
    places, n = np.flatnonzero(marks), len(marks)
    best: Run | None = None
    for start in range(len(places) - LEAST + 1):
        ends = places[start + LEAST - 1 :]
        inside = np.arange(LEAST, LEAST + len(ends))
        lengths = ends - places[start] + 1
        fit = (lengths <= LARGEST * n) & (inside >= DENSE * lengths)
        if not fit.any():
            continue
        logs = np.where(fit, _log_chance(inside, lengths, len(places), n), np.inf)
        at = len(logs) - 1 - int(logs[::-1].argmin())
        chance = float(np.exp(min(logs[at], 0.0)))
        if best is None or chance < best.chance:
            best = Run(int(places[start]), int(ends[at]), int(inside[at]), chance)
    return best


def _log_chance(inside: np.ndarray, lengths: np.ndarray, marks: int, n: int) -> np.ndarray:
    """Log of a bound on the chance that any window of such a length holds so many marks, if all `marks` lie at random in n places.

    The tail of the hypergeometric distribution is bounded by a geometric series, as its terms fall ever faster; all windows are counted.
    """
    first = _log_term(inside, lengths, marks, n)
    more = (inside < np.minimum(marks, lengths)) & (inside + 1 <= lengths)
    ratio = np.where(more, np.exp(_log_term(np.where(more, inside + 1, inside), lengths, marks, n) - first), 0.0)
    tail = np.where(ratio < 1, first - np.log(np.maximum(1 - ratio, 1e-12)), 0.0)
    return np.asarray(np.minimum(tail, 0.0) + np.log(n * n * LARGEST))


def _log_term(inside: np.ndarray, lengths: np.ndarray, marks: int, n: int) -> np.ndarray:
    """Log of the chance that a window holds just so many marks."""
    return np.asarray(
        _log_choose(lengths, inside) + _log_choose(n - lengths, marks - inside) - _log_choose(np.asarray(n), np.asarray(marks))
    )


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Log of the number of ways to choose k of n; -infinity if there is none."""
    fits = (k >= 0) & (k <= n)
    k, n = np.where(fits, k, 0), np.where(fits, n, 0)
    return np.where(fits, gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), -np.inf)
