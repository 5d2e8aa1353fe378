"""Stretches of a row that stand out: a scan statistic (Naus, 1965; Kulldorff, Commun. Stat. 26, 1997) against the same values in random order.

Of every window the sum of the centred values, over the root of its length, is taken, and the largest counts. How large it would be by chance comes from permutations of the row: the chance is the share of
them that reach it, or that of a Gumbel distribution with their mean and spread (Abrams, Kulldorff & Kleinman, Int. J. Health Geogr. 9, 2010), which tells small chances without as many permutations, if that is less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST = 5  # values in a stretch
LARGEST = 0.5  # of the row: a stretch that is longer is no part of it
STEP = 1.15  # from one length of window to the next
PERMUTATIONS, FEWEST, PERMUTED = 2_000, 40, 400_000  # of a row: at most, at least, and values of all of them together in between
NO_MORE = 3.0  # standard deviations of a value: a stretch that stands out by less is often there by chance
AT_A_TIME = 2_000_000  # values that are permuted at a time
EULER = 0.5772156649015329


@dataclass(frozen=True)
class Run:
    """Places `first` to `last` of a row, and the chance that the row in random order has a stretch that stands out as much."""

    first: int
    last: int
    chance: float


def runs(values: np.ndarray, level: float, seed: int = 0) -> list[Run]:
    """The stretches of positive values in a row (n,) whose chance is at most `level`, first to last; those of the least chance are taken first."""
    found: list[Run] = []
    left = values.astype(np.float64)
    lengths = _lengths(len(left))
    while len(lengths) and left.std() > 0:
        centred = left - left.mean()
        tops, starts = _windows(centred[None], lengths)
        at = int(tops[0].argmax())
        if tops[0, at] < NO_MORE * left.std():
            break
        chance = _chance(float(tops[0, at]), centred, lengths, seed)
        first, last = _trimmed(left, int(starts[0, at]), int(lengths[at]))
        if chance > level or last - first + 1 < LEAST:
            break
        found.append(Run(first, last, chance))
        left[first : last + 1] = np.delete(left, slice(first, last + 1)).mean()
    return sorted(found, key=lambda run: run.first)


def _lengths(n: int) -> np.ndarray:
    """The lengths of the windows that are looked at."""
    most = int(LARGEST * n)
    if most < LEAST:
        return np.zeros(0, np.int64)
    grown = LEAST * STEP ** np.arange(1 + np.ceil(np.log(most / LEAST) / np.log(STEP)))
    return np.unique(np.minimum(grown.round().astype(np.int64), most))


def _windows(rows: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of the rows (m, n) and lengths the largest sum over its root (m, lengths), and where that window begins."""
    sums = np.concatenate([np.zeros((len(rows), 1)), rows.cumsum(1)], axis=1)
    tops, starts = np.empty((len(rows), len(lengths))), np.empty((len(rows), len(lengths)), np.int64)
    for at, length in enumerate(lengths):
        inside = sums[:, length:] - sums[:, :-length]
        starts[:, at] = inside.argmax(1)
        tops[:, at] = np.take_along_axis(inside, starts[:, at, None], 1)[:, 0] / np.sqrt(length)
    return tops, starts


def _chance(top: float, centred: np.ndarray, lengths: np.ndarray, seed: int) -> float:
    """The chance that the values (n,) in random order have a window as large."""
    random, least = np.random.default_rng(seed), max(1, AT_A_TIME // len(centred))
    many = min(PERMUTATIONS, max(FEWEST, PERMUTED // len(centred)))
    drawn: list[np.ndarray] = []
    for start in range(0, many, least):
        rows = random.permuted(np.tile(centred, (min(least, many - start), 1)), axis=1)
        drawn.append(_windows(rows, lengths)[0].max(1))
    tops = np.concatenate(drawn)
    counted = (1 + int((tops >= top).sum())) / (1 + len(tops))  # a short row has a shorter tail than Gumbel's
    scale = max(float(tops.std(ddof=1)) * np.sqrt(6) / np.pi, 1e-12)
    return min(counted, float(-np.expm1(-np.exp(-(top - (tops.mean() - EULER * scale)) / scale))))


def _trimmed(values: np.ndarray, first: int, length: int) -> tuple[int, int]:
    """The window without the values at its ends that are not positive."""
    inside = np.flatnonzero(values[first : first + length] > 0)
    return (first + int(inside[0]), first + int(inside[-1])) if len(inside) else (first, first - 1)
