"""Which labels to look at: single ones that a model of the other images contradicts, and blocks of consecutive files.

Everything comes from what the stages before have computed: the out-of-fold logits of the head on the frozen base for training and validation images, the head of
these two for the test images, and the features of the source; only for blocks are heads fitted, at one penalty. Nothing is decided by it: the list is for people, and no label changes by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from headstart.base.reading import Features
from headstart.data import encoding
from headstart.labels import confident, contamination, neighbours, scan
from headstart.linear import logistic
from headstart.networks.heads import Head
from headstart.statistics import likelihood

MOST = 1000  # labels that are listed
APART = 4  # parts of the files of a class: when blocks are looked for, files within one part's length have no say on each other
AGREED = 0.45  # what neighbours and head give one other class, on average, for a file, or the mean of a block, to count as looking like it
SOME = 0.25  # the same for a file to be a reason to look for blocks of that class
FLOOR, MOST_LIKE, LEAST_LIKE = 0.05, 3.0, -1.0  # added to both before their log ratio is taken; its bounds
MOST_MARKED = 0.35  # share of a class (0-1) that may look like one other: beyond, images made together look more alike than those of one class, and blocks cannot be told
MOST_BACK = 0.5  # of that share: if the other class looks like the first as well, the two are alike, and no label is wrong for it
HALF = 0.5
LEVEL = 0.05  # chance that a data set without a block has one named


class Neighbour(TypedDict):
    """One of the nearest images."""

    path: str
    label: str


class Doubt(TypedDict):
    """A label to look at, and why."""

    path: str
    origin: str  # where the file lay in what was imported
    split: str
    label: str
    suggested: str
    probability: float  # of the label, 0-1, by a head that was not fitted on this image
    suggested_probability: float
    wrong: float  # chance (0-1) that the label is wrong, if wrong labels come at random
    block: int  # the number of the block it is in, from 1; 0: none
    neighbours: list[Neighbour]


class Block(TypedDict):
    """Consecutive files of one label that look like another class."""

    number: int  # from 1
    label: str
    suggested: str
    files: int
    first: str  # paths
    last: str
    chance: float  # of a block like this somewhere, if the doubtful files lay at random: at most


class Doubts(TypedDict):
    """The content of reports/labels/labels.json."""

    images: int
    classes: list[str]
    singles: int  # labels that are contradicted, outside blocks
    expected: list[float]  # how many of these are expected to be wrong, and the range that the fit leaves open
    labels: list[Doubt]  # blocks first, then singles, the most doubtful first; MOST at most
    blocks: list[Block]


def find(table: pd.DataFrame, features: Features, head: Head, classes: list[str], *, penalty: float, balanced: bool) -> Doubts:
    """The labels of a clean manifest to look at.

    features: (n, d) of all rows of the table, by the source; head: that of the training and validation images, with its out-of-fold logits;
    penalty, balanced: what it was fitted with.
    """
    logits, labels = held_out(table, features, head), encoding.encode(table["label"], classes)
    probabilities = likelihood.softmax(logits)
    places = _places(table)
    sizes = np.bincount(labels, minlength=len(classes))
    near = neighbours.near(features, labels, places, sizes[labels] // APART, len(classes))
    apart = _by_others(features, labels, places * APART // sizes[labels], len(classes), penalty, balanced)
    runs = _runs(labels, places, near.votes if apart is None else (near.votes + apart) / 2)
    suggested, block = confident.others(probabilities, labels), np.zeros(len(labels), np.int64)
    for number, (rows, other, _) in enumerate(runs, 1):
        block[rows], suggested[rows] = number, other
    expected = contamination.fit(logits, labels)
    singles = _singles(probabilities, labels, expected.wrong, block == 0)
    order = [*(row for rows, _, _ in runs for row in rows), *singles][:MOST]
    said = _Said(table, classes, labels, probabilities, suggested, block, expected.wrong, near.rows)
    return {
        "images": len(table),
        "classes": classes,
        "singles": len(singles),
        "expected": [round(value, 1) for value in expected.among(singles)],
        "labels": [said.doubt(row) for row in order],
        "blocks": [said.block_of(number, *run) for number, run in enumerate(runs, 1)],
    }


@dataclass(frozen=True)
class _Said:
    """What is known of every image, to be told of some."""

    table: pd.DataFrame
    classes: list[str]
    labels: np.ndarray  # (n,) the number of the class
    probabilities: np.ndarray  # (n, classes)
    suggested: np.ndarray  # (n,)
    block: np.ndarray  # (n,) 0: none
    wrong: np.ndarray  # (n,) chance
    near: np.ndarray  # (n, k) rows of the nearest images

    def doubt(self, row: int) -> Doubt:
        """What is told of a label."""
        paths, label, suggested = self.table["path"], self.labels[row], self.suggested[row]
        return {
            "path": str(paths.iloc[row]),
            "origin": str(self.table["origin"].iloc[row]),
            "split": str(self.table["split"].iloc[row]),
            "label": self.classes[label],
            "suggested": self.classes[suggested],
            "probability": round(float(self.probabilities[row, label]), 4),
            "suggested_probability": round(float(self.probabilities[row, suggested]), 4),
            "wrong": round(float(self.wrong[row]), 4),
            "block": int(self.block[row]),
            "neighbours": [{"path": str(paths.iloc[other]), "label": self.classes[self.labels[other]]} for other in self.near[row]],
        }

    def block_of(self, number: int, rows: np.ndarray, other: int, chance: float) -> Block:
        """What is told of a block: its rows in order, and the class that they look like."""
        first, last = (str(self.table["path"].iloc[row]) for row in (rows[0], rows[-1]))
        return {
            "number": number,
            "label": self.classes[self.labels[rows[0]]],
            "suggested": self.classes[other],
            "files": len(rows),
            "first": first,
            "last": last,
            "chance": float(f"{chance:.1e}"),
        }


def _singles(probabilities: np.ndarray, labels: np.ndarray, wrong: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """The labels to look at among the rows that are `apart` (n,) bool, those of the least probability first.

    They are as many as count as another class, or are wrong with a chance of more than half, whichever are more.
    """
    counted = confident.counted(probabilities, labels) != labels
    many = max(int((counted & apart).sum()), int(((wrong > HALF) & apart).sum()))
    rows = np.flatnonzero(apart)
    return np.asarray(rows[np.argsort(confident.confidence(probabilities, labels)[rows], kind="stable")][:many])


def held_out(table: pd.DataFrame, features: Features, head: Head) -> np.ndarray:
    """Logits (n, classes) of heads that were not fitted on the image they are for."""
    test = (table["split"] == "test").to_numpy()
    assert head.held_out is not None
    logits = np.empty((len(table), len(head.bias)), np.float32)
    logits[~test] = head.held_out
    rows = np.flatnonzero(test)
    if len(rows):
        logits[rows] = head.logits(features[rows])
    return logits


def _by_others(
    features: Features, labels: np.ndarray, parts: np.ndarray, classes: int, penalty: float, balanced: bool
) -> np.ndarray | None:
    """Probabilities (n, classes) by heads that were fitted without the part (n,) of the files that an image lies in; None if all are one part.

    A head that was fitted on files of the same wrong block has learned it.
    """
    folds = np.unique(parts, return_inverse=True)[1]
    if not folds.any():
        return None
    how: dict[str, Any] = {"classes": classes, "penalties": [penalty], "balanced": balanced, "what": "looking for blocks, fits"}
    return likelihood.softmax(logistic.cross_validate(features, labels, folds, **how).held_out)


def _places(table: pd.DataFrame) -> np.ndarray:
    """The place (n,) of each file among those of its label, in the order of folders and names, numbers by their value."""
    keys = [_in_order(origin) for origin in table["origin"]]
    places, seen = np.zeros(len(table), np.int64), dict.fromkeys(table["label"], 0)
    labels = table["label"].tolist()
    for row in sorted(range(len(keys)), key=lambda row: keys[row]):
        places[row] = seen[labels[row]]
        seen[labels[row]] += 1
    return places


def _in_order(path: str) -> tuple[str, list[tuple[int, int, str]]]:
    """What to sort a path by: its folder, then its name with numbers by their value."""
    parts = re.split(r"(\d+)", PurePosixPath(path).name)
    return str(PurePosixPath(path).parent), [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def _runs(labels: np.ndarray, places: np.ndarray, votes: np.ndarray) -> list[tuple[np.ndarray, int, float]]:
    """Blocks, from what every image looks like to those that were made apart (n, classes): the rows of each in order, the class that they look like, and the chance; by label, then place."""
    rows = np.arange(len(labels))
    own, others = votes[rows, labels], votes.copy()
    others[rows, labels] = -1.0
    like = others.argmax(1)
    doubted = others[rows, like] > own
    share, some = (_shares(labels, like, doubted & (others[rows, like] >= least), votes.shape[1]) for least in (AGREED, SOME))
    sizes = np.bincount(labels, minlength=len(some))[:, None]
    alike = (MOST_BACK * share < share.T) & ((share * sizes).T > scan.LEAST - 0.5)  # a handful of files that look back is no sign of it
    looked_at = np.argwhere((some * sizes > scan.LEAST - 0.5) & (share <= MOST_MARKED) & ~alike)
    ratios = np.log((votes + FLOOR) / (own + FLOOR)[:, None]).clip(LEAST_LIKE, MOST_LIKE)
    found: list[tuple[np.ndarray, int, float]] = []
    for label, other in looked_at:
        row = np.flatnonzero(labels == label)
        row = row[np.argsort(places[row])]
        for run in scan.runs(ratios[row, other], LEVEL / len(looked_at)):
            files = row[run.first : run.last + 1]
            if votes[files, other].mean() >= AGREED:  # photos of one person or day, that look a little like another class, are no block
                found.append((files, int(other), min(run.chance * len(looked_at), 1.0)))
    return found


def _shares(labels: np.ndarray, like: np.ndarray, marked: np.ndarray, classes: int) -> np.ndarray:
    """Which share (classes, classes) of each class is marked (n,) bool as looking `like` (n,) each other."""
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels[marked], like[marked]), 1)
    return counts / np.maximum(np.bincount(labels, minlength=classes), 1)[:, None]
