"""Which labels to look at: single ones that a model of the other images contradicts, and blocks of consecutive files.

Everything comes from what the stages before have computed: the out-of-fold logits of the head on the frozen base for training and validation images, the head of
these two for the test images, and the features of the source; only for blocks are heads fitted, at one penalty. Nothing is decided by it: the list is for people, and no label changes by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base.reading import Features
from headstart.data import encoding
from headstart.labels import blocks, confident, contamination, neighbours
from headstart.labels.blocks import Found
from headstart.networks.heads import Head
from headstart.statistics import likelihood

MOST = 1000  # labels that are listed
HALF = 0.5


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
    orders = blocks.orders(list(table["origin"]), list(table["label"]))
    reach = np.bincount(labels, minlength=len(classes))[labels] // blocks.APART
    near = neighbours.near(features, labels, orders[0].places, reach, len(classes))
    found = blocks.find(features, labels, orders, near.votes, classes=len(classes), penalty=penalty, balanced=balanced)
    suggested, block = confident.others(probabilities, labels), np.zeros(len(labels), np.int64)
    for number, one in enumerate(found, 1):
        block[one.rows], suggested[one.rows] = number, one.other
    expected = contamination.fit(logits, labels)
    singles = _singles(probabilities, labels, expected.wrong, block == 0)
    order = [*(row for one in found for row in one.rows), *singles][:MOST]
    said = _Said(table, classes, labels, probabilities, suggested, block, expected.wrong, near.rows)
    return {
        "images": len(table),
        "classes": classes,
        "singles": len(singles),
        "expected": [round(value, 1) for value in expected.among(singles)],
        "labels": [said.doubt(row) for row in order],
        "blocks": [said.block_of(number, one) for number, one in enumerate(found, 1)],
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

    def block_of(self, number: int, found: Found) -> Block:
        """What is told of a block."""
        first, last = (str(self.table["path"].iloc[row]) for row in (found.rows[0], found.rows[-1]))
        return {
            "number": number,
            "label": self.classes[self.labels[found.rows[0]]],
            "suggested": self.classes[found.other],
            "files": len(found.rows),
            "first": first,
            "last": last,
            "chance": float(f"{found.chance:.1e}"),
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
