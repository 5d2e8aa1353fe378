"""The nearest images in feature space, and what those that were not made in the same go are labelled as."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.base import reading
from headstart.base.reading import Features
from headstart.statistics import limits

SHOWN = 5  # nearest images that people see
VOTERS = 10  # nearest images that say what an image looks like
BLOCK = 512  # images whose distances are taken at a time
LARGEST = 20_000  # images that distances are taken from


@dataclass(frozen=True)
class Near:
    """The nearest images (n, SHOWN) as rows, and the shares (n, classes) of the nearest VOTERS that were made apart, by label."""

    rows: np.ndarray
    votes: np.ndarray


def near(features: Features, labels: np.ndarray, places: np.ndarray, reach: np.ndarray, classes: int) -> Near:
    """Look for the nearest images by cosine, of all but the image itself; of very many, among LARGEST that lie evenly in the table.

    features: (n, d); labels: (n,); places: (n,) the place of each in the row of its class; reach: (n,) how far apart two images of a label
    must be in that row for one to have a say on the other. Images made in one go look alike, whatever they are labelled as.
    """
    bank = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), LARGEST)).astype(np.int64))
    known = np.concatenate([limits.unit(features[bank[part]]) for part in reading.blocks(len(bank))])
    shown, voters = min(SHOWN, len(bank) - 1), min(VOTERS, len(bank) - 1)
    rows = np.empty((len(labels), shown), np.int64)
    votes = np.zeros((len(labels), classes), np.float32)
    for part in reading.blocks(len(labels), BLOCK):
        here = np.arange(part.start, part.stop)
        alike = limits.unit(features[part]) @ known.T
        alike[here[:, None] == bank] = -np.inf
        rows[part] = bank[_largest(alike, shown)]
        together = (labels[part, None] == labels[bank]) & (np.abs(places[part, None] - places[bank]) <= reach[part, None])
        alike[together] = -np.inf
        chosen = _largest(alike, voters)
        seen = np.isfinite(np.take_along_axis(alike, chosen, 1))
        for one, of, there in zip(here, labels[bank[chosen]], seen, strict=True):
            votes[one] = np.bincount(of[there], minlength=classes) / max(int(there.sum()), 1)
    return Near(rows, votes)


def votes(features: np.ndarray, known: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The shares (n, classes) of the nearest VOTERS of `known` (m, d) images, by their labels (m,), for features (n, d)."""
    voters = min(VOTERS, len(known))
    bank = limits.unit(known)
    chosen = np.concatenate([_largest(limits.unit(features[part]) @ bank.T, voters) for part in reading.blocks(len(features), BLOCK)])
    return np.stack([np.bincount(one, minlength=classes) for one in labels[chosen]]) / voters


def _largest(alike: np.ndarray, count: int) -> np.ndarray:
    """The places (rows, count) of the largest values of each row, the largest first."""
    some = np.argpartition(-alike, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(alike, some, 1), axis=1, kind="stable")
    return np.take_along_axis(some, order, 1)
