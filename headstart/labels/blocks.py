"""Blocks: stretches of consecutive files of one label that look like another class.

A model that has seen some files of a wrong block has learned it, and so have the neighbours. So first every file is judged by heads and neighbours from elsewhere in
the row of its class, and stretches that stand out are suspected, rather too many than too few. Then each is judged once more by heads and neighbours that know nothing of any of its files: whether it still looks
like the other class, and whether the two classes are told apart without it. If they are not, images that were made together look more alike than those of a class, and nothing can be said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from headstart.base.reading import Features
from headstart.labels import neighbours, scan
from headstart.linear import logistic
from headstart.statistics import likelihood

APART = 4  # parts of the files of a class: files within one part's length have no say on each other
SOME = 0.25  # what neighbours and heads must give another class for a file to be a reason to look for blocks of that class (0-1)
LIKE, SURE = 0.35, 0.65  # the mean of a stretch, to be suspected, and by what knows nothing of it, to be named
MIXED = 0.3  # share of the other files of either class that may look like the other one
FLOOR, MOST_LIKE, LEAST_LIKE = 0.05, 3.0, -1.0  # added to both before their log ratio is taken; its bounds
SUSPECTED = 0.5  # chance of a stretch like that to be suspected
MOST = 10  # stretches that are judged once more: each costs fits on two classes
AROUND, ELSEWHERE = 2_000, 2_000  # files of the class around a stretch, and of the other one, that take part
LEVEL = 0.05  # chance that a data set without a block has one named


@dataclass(frozen=True)
class Found:
    """The rows of a block, in order, the class that they look like, and the chance of one like it somewhere, at most."""

    rows: np.ndarray
    other: int
    chance: float


@dataclass(frozen=True)
class _Suspect:
    """A stretch of the rows (n,) of its class in order, from place `first` to `last`, and what it looks like."""

    row: np.ndarray
    first: int
    last: int
    other: int
    chance: float

    @property
    def rows(self) -> np.ndarray:
        return self.row[self.first : self.last + 1]


def orders(origins: Sequence[str], labels: np.ndarray) -> list[np.ndarray]:
    """The place (n,) of each file among those of its label, numbers in names by their value; and as text, if that is another order."""
    found = [_placed(labels, [_by_value(origin) for origin in origins]), _placed(labels, list(origins))]
    return found[:1] if (found[0] == found[1]).all() else found


def _placed(labels: np.ndarray, keys: list[Any]) -> np.ndarray:
    places, seen = np.zeros(len(labels), np.int64), np.zeros(int(labels.max()) + 1, np.int64)
    for row in sorted(range(len(keys)), key=lambda row: keys[row]):
        places[row] = seen[labels[row]]
        seen[labels[row]] += 1
    return places


def _by_value(path: str) -> tuple[str, list[tuple[int, int, str]]]:
    """What to sort a path by: its folder, then its name with numbers by their value."""
    parts = re.split(r"(\d+)", PurePosixPath(path).name)
    return str(PurePosixPath(path).parent), [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def find(
    features: Features, labels: np.ndarray, orders: list[np.ndarray], near: np.ndarray, *, classes: int, penalty: float, balanced: bool
) -> list[Found]:
    """The blocks, by label, then place.

    features: (n, d); labels: (n,); orders: the place (n,) of each file in the row of its class, one array per order; near: what the nearest images
    elsewhere in the first of these rows are labelled as, shares (n, classes); penalty, balanced: how a head of all images was fitted.
    """
    apart = _by_others(features, labels, orders[0], classes, penalty, balanced)
    votes = near if apart is None else (near + apart) / 2
    pairs = _pairs(labels, votes)
    suspects = [one for places in orders for pair in pairs for one in _suspected(labels, places, votes, *pair)]
    found: list[Found] = []
    known = np.zeros(len(labels), bool)
    for one in sorted(suspects, key=lambda one: one.chance)[:MOST]:
        if known[one.rows].any():  # of another order, or of another class that they look like
            continue
        block = _judged(features, one, labels, orders[0], penalty, len(orders) * len(pairs))
        if block and not known[block.rows].any():
            known[block.rows] = True
            found.append(block)
    ways = {(labels[one.rows[0]], one.other) for one in found}
    # If two classes have stretches that look like the other one, each is vouched for by the other: their images were made together. A wrong block goes one way.
    one_way = [one for one in found if (one.other, labels[one.rows[0]]) not in ways]
    return sorted(one_way, key=lambda one: (labels[one.rows[0]], orders[0][one.rows[0]]))


def _by_others(
    features: Features, labels: np.ndarray, places: np.ndarray, classes: int, penalty: float, balanced: bool
) -> np.ndarray | None:
    """Probabilities (n, classes) by heads that were fitted without the part of the files that an image lies in; None if all are one part."""
    folds = np.unique(places * APART // np.bincount(labels, minlength=classes)[labels], return_inverse=True)[1]
    if not folds.any():
        return None
    how: dict[str, Any] = {"classes": classes, "penalties": [penalty], "balanced": balanced, "what": "looking for blocks, fits"}
    return likelihood.softmax(logistic.cross_validate(features, labels, folds, **how).held_out)


def _pairs(labels: np.ndarray, votes: np.ndarray) -> list[tuple[int, int]]:
    """The classes, and others, that files enough for a block of the one look like."""
    rows = np.arange(len(labels))
    own, others = votes[rows, labels], votes.copy()
    others[rows, labels] = -1.0
    like = others.argmax(1)
    doubted = (others[rows, like] > own) & (others[rows, like] >= SOME)
    counts = np.zeros((votes.shape[1], votes.shape[1]), np.int64)
    np.add.at(counts, (labels[doubted], like[doubted]), 1)
    return [(int(label), int(other)) for label, other in np.argwhere(counts >= scan.LEAST)]


def _suspected(labels: np.ndarray, places: np.ndarray, votes: np.ndarray, label: int, other: int) -> list[_Suspect]:
    """The stretches of a class that look like another one, to those elsewhere in its row."""
    row = np.flatnonzero(labels == label)
    row = row[np.argsort(places[row])]
    runs = scan.runs(_ratios(votes[row, other], votes[row, label]), SUSPECTED)
    found = [_Suspect(row, run.first, run.last, other, run.chance) for run in runs]
    return [one for one in found if votes[one.rows, other].mean() >= LIKE]


def _ratios(other: np.ndarray, own: np.ndarray) -> np.ndarray:
    ratios: np.ndarray = np.log((other + FLOOR) / (own + FLOOR)).clip(LEAST_LIKE, MOST_LIKE)
    return ratios


def _judged(features: Features, one: _Suspect, labels: np.ndarray, places: np.ndarray, penalty: float, looks: int) -> Found | None:
    """The block that a stretch turns out to be, if any, to those that know nothing of it; looks: at how many rows there was a look."""
    around = max(AROUND, APART * len(one.rows))
    start = max(0, min((one.first + one.last - around) // 2, len(one.row) - around))
    row = one.row[start : start + around]
    apart, others = np.isin(row, one.rows), np.flatnonzero(labels == one.other)
    others = others[np.argsort(places[others])]
    others = others[np.unique(np.linspace(0, len(others) - 1, min(len(others), ELSEWHERE)).astype(np.int64))]
    like, back = _without(features, row, apart, others, penalty)
    times = looks * -(-len(one.row) // around)
    for run in scan.runs(_ratios(like, 1 - like), LEVEL):
        inside = np.zeros(len(row), bool)
        inside[run.first : run.last + 1] = True
        chance = run.chance * times
        if (inside & apart).any() and chance <= LEVEL and like[inside].mean() >= SURE:
            mixed = max((like[~inside] > 0.5).mean(), (back > 0.5).mean())
            return Found(row[inside], one.other, chance) if mixed <= MIXED else None
    return None


def _without(features: Features, row: np.ndarray, apart: np.ndarray, others: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """How much (0-1) each file of a class looks like another class, and each of `others` like the first, to heads and neighbours elsewhere that know nothing of the files that are `apart`.

    row, others: rows of the features; apart: (len(row),) bool.
    """
    rest = np.concatenate([row[~apart], others])
    sides = np.repeat([0, 1], [int((~apart).sum()), len(others)])
    places = np.concatenate([np.arange(count) for count in np.bincount(sides)])
    values, sizes = np.asarray(features[rest]), np.bincount(sides)[sides]
    head, validated = logistic.fit(
        values,
        sides,
        places * APART // sizes,
        classes=2,
        penalties=[penalty, penalty / 10, penalty / 100],  # that of all images is too strong if many labels are wrong
        balanced=True,
        what="judging a block, fits",
    )
    voted = neighbours.near(values, sides, places, sizes // APART, 2).votes
    theirs = np.asarray(features[row[apart]])
    seen = (likelihood.softmax(head.logits(theirs)) + neighbours.votes(theirs, values, sides, 2)) / 2
    every = (likelihood.softmax(validated.held_out) + voted) / 2
    like = np.empty(len(row))
    like[apart], like[~apart] = seen[:, 1], every[sides == 0, 1]
    return like, every[sides == 1, 0]
