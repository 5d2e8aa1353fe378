"""A model that still knows batches whose images were forgotten: a linear discriminant from their sums and those of the images that are there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from headstart.base.reading import Features
from headstart.continual import sums
from headstart.continual.outcome import Remembered
from headstart.continual.sums import Sums
from headstart.data import encoding, manifest
from headstart.networks import heads, made
from headstart.statistics import intervals, likelihood

if TYPE_CHECKING:
    from headstart.networks.cards import ModelCard, SourceCard


@dataclass(frozen=True)
class Memory:
    """What is told of it, and the head with its classes; None if no sums are of the source that was chosen."""

    report: Remembered
    head: heads.Head | None


def remember(images: Path, table: pd.DataFrame, features: Features, source: SourceCard, plain: pd.Series) -> Memory | None:
    """The head from all sums; None if no batch was forgotten.

    `features` (n, d) are of the rows of `table`; `plain` says by path which test images what ships has right. Sums of another source than
    `source` are of no use here, and named. How far the covariance is shrunken is chosen on the validation images; the test images tell.
    """
    kept = sums.read(images)
    if not kept:
        return None
    usable = [one for one in kept.values() if one.weights_sha256 == source.weights_sha256]
    report: Remembered = {
        "batches": list(kept),
        "unusable": [name for name, one in kept.items() if one.weights_sha256 != source.weights_sha256],
        "images": int(sum(one.counts.sum() for one in usable)),
        "gone_classes": sorted({name for one in usable for name in one.classes} - set(table["label"])),
        "classes": [],
        "n_test": 0,
        "accuracy": None,
        "interval": [],
        "plain_accuracy": None,
    }
    if not usable:
        return Memory(report, None)
    rows = {split: np.flatnonzero((table["split"] == split).to_numpy()) for split in ("train", "validation", "test")}
    of = {name: _of(source, table, features, rows[name]) for name in ("train", "validation")}
    gone = reduce(add, usable)
    taught, total = gone + of["train"], gone + of["train"] + of["validation"]
    head = sums.discriminant(total, _shrinkage(taught, total.classes, table, features, rows["validation"]))
    labels = table["label"].iloc[rows["test"]].to_numpy(object)
    right = np.array(total.classes, object)[head.logits(features[rows["test"]]).argmax(1)] == labels
    low, high = intervals.share(int(right.sum()), max(len(right), 1))
    report |= {"classes": list(total.classes), "n_test": len(right)}
    if len(right):
        answered = plain.reindex(table["path"].iloc[rows["test"]]).dropna().astype(bool)
        report |= {"accuracy": float(right.mean()), "interval": [float(low), float(high)], "plain_accuracy": float(answered.mean())}
    return Memory(report, head)


def model(source: SourceCard, memory: Memory, table: pd.DataFrame) -> tuple[dict[str, np.ndarray], ModelCard]:
    """The network of the source with the head, and its card."""
    from headstart.networks import model as networks
    from headstart.networks import sources

    assert memory.head is not None
    arrays = {name: tensor.numpy() for name, tensor in networks.of(sources.known(source), memory.head).weights().items()}
    figures = {"accuracy_where_images_are_left": memory.report["accuracy"], "forgotten": memory.report["batches"]}
    return arrays, made.card("remembered", source, memory.report["classes"], manifest.grey(table), manifest.split_hash(table), figures)


def _of(source: SourceCard, table: pd.DataFrame, features: Features, rows: np.ndarray) -> Sums:
    return sums.of(source.name, source.weights_sha256, features[rows], table["label"].iloc[rows])


def _shrinkage(taught: Sums, classes: tuple[str, ...], table: pd.DataFrame, features: Features, rows: np.ndarray) -> float:
    """How far to shrink, by the log loss of the validation images that are there; half-way if there are none, or of classes not taught."""
    known = rows[table["label"].iloc[rows].isin(taught.classes).to_numpy()]
    if not len(known):
        return 0.5
    labels = encoding.encode(table["label"].iloc[known], list(taught.classes))
    seen = features[known]

    def loss(shrinkage: float) -> float:
        logits = sums.discriminant(taught, shrinkage).logits(seen).astype(np.float64)
        return -float(likelihood.of_labels(logits, labels).mean())

    return min(sums.SHRINKAGES, key=loss)
