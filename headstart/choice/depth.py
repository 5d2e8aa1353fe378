"""Where in a network the target's information sits: a linear probe at the end of every stage (Alain & Bengio, ICLR 2017 workshop).

What is retrained begins with the first stage whose probe is within one paired standard error of the best: what lies below it serves the target as it is,
what lies above it was made for the source's classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from headstart.base.devices import CPU, Device
from headstart.data import encoding, folding
from headstart.features import of_source
from headstart.linear import logistic
from headstart.networks.cards import SourceCard
from headstart.statistics import paired

PENALTIES = [100.0, 10.0, 1.0, 0.1]
LARGEST = 0.5  # share of the stages that may be retrained


@dataclass(frozen=True)
class Depth:
    """How many stages, counted from the head, are retrained, and the curve: a row a stage, from the image to the head."""

    stages: int
    curve: list[dict[str, Any]]


def probe(
    card: SourceCard, widths: dict[str, int], table: pd.DataFrame, root: Path, *, folds: int, seed: int, device: Device = CPU
) -> Depth:
    """Probe the source that `card` names on the rows of `table` (columns path, sha256, label, group); `widths` are those of model.Depths."""
    rows = of_source.depths(card, table, root, device)[:].astype(np.float32)
    classes = encoding.classes(table)
    labels = encoding.encode(table["label"], classes)
    parts = folding.split_folds(labels, table["group"].to_numpy(), folds, seed)
    likelihoods, curve = [], []
    for name, part in zip(widths, np.split(rows, np.cumsum(list(widths.values()))[:-1], axis=1), strict=True):
        validated = logistic.cross_validate(part, labels, parts, classes=len(classes), penalties=PENALTIES, what=f"probe at {name}, fits")
        likelihoods.append(log_softmax(validated.held_out.astype(np.float64), axis=1)[np.arange(len(labels)), labels])
        accuracy = float((validated.held_out.argmax(1) == labels).mean())
        curve.append({"stage": name, "width": part.shape[1], "accuracy": accuracy, "log_likelihood": float(likelihoods[-1].mean())})
    first = cut(likelihoods)
    return Depth(len(curve) - first, [{**row, "retrained": i >= first} for i, row in enumerate(curve)])


def cut(likelihoods: list[np.ndarray]) -> int:
    """The number of the first stage to retrain, from the log likelihoods (n,) of each image at the end of each stage.

    At least one stage is retrained, and of several at most the share LARGEST.
    """
    best = max(likelihoods, key=np.mean)
    gaps = (paired.difference(best, values) for values in likelihoods)
    level = next(number for number, (gap, error) in enumerate(gaps) if gap <= error)
    return max(level, lowest(len(likelihoods)))


def lowest(count: int) -> int:
    """The number of the lowest of `count` stages that may be retrained."""
    return count - max(int(count * LARGEST), 1)
