"""Blocks: stretches of consecutive files of one label that look like another class.

A model that has seen some files of a wrong block has learned it, and so have the neighbours. So first every file is judged by heads and neighbours from elsewhere in
the row of its class, and stretches that stand out are suspected, rather too many than too few. Then each is judged once more by heads and neighbours that know nothing of any of its files: whether it still looks
like the other class, and whether the two classes are told apart without it. If they are not, images that were made together look more alike than those of a class, and nothing can be said.
"""

from __future__ import annotations

import re
from collections import Counter
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

    order: Order
    row: np.ndarray
    first: int
    last: int
    other: int
    chance: float

    @property
    def rows(self) -> np.ndarray:
        return self.row[self.first : self.last + 1]


@dataclass(frozen=True)
class Order:
    """The files in one order: the place of each among all (n,), whatever its class, and among those of its label (n,)."""

    among_all: np.ndarray
    places: np.ndarray


def orders(origins: Sequence[str], labels: Sequence[str]) -> list[Order]:
    """The order of the files, numbers in names by their value; and as text, if that is another one. A folder that is called as the label does not count."""
    known = [_without_label(PurePosixPath(origin), label) for origin, label in zip(origins, labels, strict=True)]
    found = [_order(labels, [_by_value(path) for path in known]), _order(labels, [str(path) for path in known])]
    return found[:1] if (found[0].places == found[1].places).all() else found


def _order(labels: Sequence[str], keys: list[Any]) -> Order:
    among_all, places = np.zeros(len(labels), np.int64), np.zeros(len(labels), np.int64)
    seen: Counter[str] = Counter()
    for place, row in enumerate(sorted(range(len(keys)), key=lambda row: keys[row])):
        among_all[row], places[row] = place, seen[labels[row]]
        seen[labels[row]] += 1
    return Order(among_all, places)


def _without_label(path: PurePosixPath, label: str) -> PurePosixPath:
    return PurePosixPath(*(part for part in path.parts[:-1] if part != label), path.name)


def _by_value(path: PurePosixPath) -> tuple[str, list[tuple[int, int, str]]]:
    """What to sort a path by: its folder, then its name with numbers by their value."""
    parts = re.split(r"(\d+)", path.name)
    return str(path.parent), [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def find(
    features: Features, labels: np.ndarray, orders: list[Order], near: np.ndarray, *, classes: int, penalty: float, balanced: bool
) -> list[Found]:
    """The blocks, by label, then place.

    features: (n, d); labels: (n,); orders: of the files; near: what the nearest images
    elsewhere in the first of these orders are labelled as, shares (n, classes); penalty, balanced: how a head of all images was fitted.
    """
    apart = _by_others(features, labels, orders[0].places, classes, penalty, balanced)
    votes = near if apart is None else (near + apart) / 2
    pairs = _pairs(labels, votes)
    suspects = [one for order in orders for pair in pairs for one in _suspected(labels, order, votes, *pair)]
    looks, known = len(orders) * len(pairs), np.zeros(len(labels), bool)
    found: list[tuple[_Suspect, Found]] = []
    for one in sorted(suspects, key=lambda one: one.chance)[:MOST]:
        if known[one.rows].any():  # of another order, or of another class that they look like
            continue
        block = _judged(features, one, _others(one, labels), penalty, looks)
        if block and not known[block.rows].any():
            known[block.rows] = True
            found.append((one, block))
    ways = {(labels[block.rows[0]], block.other) for _, block in found}
    # If two classes have stretches that look like the other one, each is vouched for by the other: their images were made together. A wrong block goes one way.
    one_way = [one for one, block in found if (block.other, labels[block.rows[0]]) not in ways]
    # Files of the other class that were made together with the stretch look like it for that alone. So what is left must be named without them, too.
    named = [_judged(features, one, _others(one, labels, elsewhere=True), penalty, looks) for one in one_way]
    return sorted(filter(None, named), key=lambda block: (labels[block.rows[0]], orders[0].places[block.rows[0]]))


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


def _suspected(labels: np.ndarray, order: Order, votes: np.ndarray, label: int, other: int) -> list[_Suspect]:
    """The stretches of a class that look like another one, to those elsewhere in its row."""
    row = np.flatnonzero(labels == label)
    row = row[np.argsort(order.places[row])]
    runs = scan.runs(_ratios(votes[row, other], votes[row, label]), SUSPECTED)
    found = [_Suspect(order, row, run.first, run.last, other, run.chance) for run in runs]
    return [one for one in found if votes[one.rows, other].mean() >= LIKE]


def _ratios(other: np.ndarray, own: np.ndarray) -> np.ndarray:
    ratios: np.ndarray = np.log((other + FLOOR) / (own + FLOOR)).clip(LEAST_LIKE, MOST_LIKE)
    return ratios


def _others(one: _Suspect, labels: np.ndarray, *, elsewhere: bool = False) -> np.ndarray:
    """The files of the class that a stretch looks like, in order; elsewhere: without those in the place of the stretch and around it."""
    rows, when = np.flatnonzero(labels == one.other), one.order.among_all
    rows = rows[np.argsort(when[rows])]
    if elsewhere:
        first, last = np.searchsorted(when[rows], [when[one.rows].min(), when[one.rows].max()])
        around = len(rows) // (2 * APART)
        rows = np.delete(rows, slice(max(0, first - around), last + around))
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), ELSEWHERE)).astype(np.int64))]


def _judged(features: Features, one: _Suspect, others: np.ndarray, penalty: float, looks: int) -> Found | None:
    """The block that a stretch turns out to be, if any, to those that know nothing of it, beside some of the class that it looks like; looks: at how many rows there was a look."""
    if len(others) < scan.LEAST:
        return None
    around = max(AROUND, APART * len(one.rows))
    start = max(0, min((one.first + one.last - around) // 2, len(one.row) - around))
    row = one.row[start : start + around]
    apart = np.isin(row, one.rows)
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
