"""What a fine-tuning leaves: the network, its curve, a summary; and what there is if nothing was to be trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base.devices import Device
from headstart.data import encoding
from headstart.features import of_source
from headstart.networks import heads, model, sources
from headstart.networks.cards import SourceCard
from headstart.statistics import likelihood, paired
from headstart.training import run as run_module
from headstart.training.run import Row


class Compared(TypedDict):
    """The fine-tuned network and the head that it started from on the validation images.

    The figures are shares of right answers (0-1).
    """

    n: int
    head_accuracy: float
    fine_tuned_accuracy: float
    difference: float
    standard_error: float  # of the paired difference
    interval: list[float]  # of it


class Summary(TypedDict):
    """What a fine-tuning did, as in models/fine_tuned/summary.json."""

    strategy: str
    phases: list[run_module.Summary]
    frozen: list[str]  # names of stages, from the image to the head
    trained: list[str]
    views: int
    cache_bytes: int
    streamed: bool  # whether the frozen part ran in every epoch, as nothing was cached
    engine: str
    device: str
    processes: int
    batch_size: int  # images a step
    shard: int
    image_passes: int
    temperature: float
    validation: Compared | None  # None if nothing was trained


@dataclass(frozen=True)
class Result:
    """The fine-tuned network, a row before training and one per epoch, and a summary.

    `right` (rows of the curve, validation images) says which images were classified rightly, `steps` how many steps of the optimizer were
    done at each row, and `best` the row whose weights the network has. `logits` (validation images, classes) are the network's, and `averages`
    gives those of averages of its weights and those of the frozen head that it began with, by its shares (0-1).
    """

    network: model.Network
    curve: list[Row]
    summary: Summary
    right: np.ndarray
    steps: list[int]
    best: int
    logits: np.ndarray
    averages: Callable[[Iterable[float]], dict[float, np.ndarray]]


def against_head(before: np.ndarray, after: np.ndarray) -> Compared:
    """The fine-tuned network beside the head that it started from.

    Both are given as right answers (n,) on the validation images.
    """
    difference, error = paired.difference(after, before)
    return {
        "n": len(after),
        "head_accuracy": float(before.mean()),
        "fine_tuned_accuracy": float(after.mean()),
        "difference": difference,
        "standard_error": error,
        "interval": list(paired.interval(after, before)),
    }


def untouched(
    table: pd.DataFrame, root: Path, card: SourceCard, head: heads.Head, classes: list[str], strategy: str, device: Device
) -> Result:
    """The frozen head as it is: one row of a curve, from stored features, without a view."""
    held = table[table["split"] == "validation"].reset_index(drop=True)
    labels = encoding.encode(held["label"], classes)
    logits = head.logits(of_source.of_source(card, held, root, device))
    right = logits.argmax(1) == labels
    network = model.of(sources.known(card), head)
    start: Row = {
        "phase": "start",
        "epoch": 0,
        "rate": None,
        "train_loss": None,
        "train_accuracy": None,
        "validation_loss": float(-likelihood.of_labels(logits, labels).mean()),
        "validation_accuracy": float(right.mean()),
    }
    summary: Summary = {
        "strategy": strategy,
        "phases": [],
        "frozen": network.stage_names(),
        "trained": [],
        "views": 0,
        "cache_bytes": 0,
        "streamed": False,
        "engine": "",
        "device": device.name,
        "processes": 1,
        "batch_size": 0,
        "shard": 0,
        "image_passes": 0,
        "temperature": 1.0,
        "validation": None,
    }
    return Result(network, [start], summary, right[None], [0], 0, logits, lambda shares: dict.fromkeys(shares, logits))
