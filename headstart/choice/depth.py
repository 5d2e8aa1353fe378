"""Where in a network the target's information sits: a linear probe at the end of every stage.

What is retrained begins with the first stage whose probe is within one paired standard error of the best: what lies below it serves the
target as it is,
what lies above it was made for the source's classes (Alain & Bengio, ICLR 2017 workshop).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import encoding, folding
from headstart.features import of_source
from headstart.linear import logistic
from headstart.networks.cards import SourceCard
from headstart.statistics import likelihood, paired

PENALTIES = [100.0, 10.0, 1.0, 0.1]
LARGEST = 0.5  # share of the stages that may be retrained


class Row(TypedDict):
    """The probe at the end of one stage, as it is written to reports/ranking.json."""

    stage: str
    width: int  # features that it gives, averaged over positions
    accuracy: float  # 0-1, cross-validated
    log_likelihood: float  # nats per image, cross-validated
    retrained: bool


@dataclass(frozen=True)
class Depth:
    """How many stages, counted from the head, are retrained, and a row per stage."""

    stages: int
    curve: list[Row]  # from the image to the head


def probe(
    card: SourceCard, widths: dict[str, int], table: pd.DataFrame, root: Path, *, folds: int, seed: int, device: Device = CPU
) -> Depth:
    """Probe the source that `card` names on the rows of `table` (columns path, sha256, label, group).

    `widths`: how many features each stage gives, by name, as model.Depths has them.
    """
    rows = of_source.depths(card, table, root, device)[:].astype(np.float32)
    classes = encoding.classes(table)
    labels = encoding.encode(table["label"], classes)
    parts = folding.split_folds(labels, table["group"].to_numpy(), folds, seed)
    likelihoods: list[np.ndarray] = []
    curve: list[Row] = []
    for name, part in zip(widths, np.split(rows, np.cumsum(list(widths.values()))[:-1], axis=1), strict=True):
        validated = logistic.cross_validate(part, labels, parts, classes=len(classes), penalties=PENALTIES, what=f"probe at {name}, fits")
        likelihoods.append(likelihood.of_labels(validated.held_out, labels))
        curve.append(
            {
                "stage": name,
                "width": part.shape[1],
                "accuracy": float((validated.held_out.argmax(1) == labels).mean()),
                "log_likelihood": float(likelihoods[-1].mean()),
                "retrained": False,
            }
        )
    first = cut(likelihoods)
    return Depth(len(curve) - first, [{**row, "retrained": number >= first} for number, row in enumerate(curve)])


def cut(likelihoods: list[np.ndarray]) -> int:
    """The number of the first stage to retrain, from the log likelihoods (n,) of the images at each stage.

    At least one stage is retrained, and of several at most the share LARGEST.
    """
    best = max(likelihoods, key=np.mean)
    gaps = (paired.difference(best, values) for values in likelihoods)
    level = next(number for number, (gap, error) in enumerate(gaps) if gap <= error)
    return max(level, lowest(len(likelihoods)))


def lowest(count: int) -> int:
    """The number of the lowest of `count` stages that may be retrained."""
    return count - max(int(count * LARGEST), 1)
