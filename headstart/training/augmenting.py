"""Which changes of a picture keep its label: measured on the images themselves, not assumed.

A head on the frozen features of plain pictures is asked for changed ones that it did not see. It fails if a change takes the label, and also
if it makes pictures unlike all that the network will be shown, which are as little worth to learn from. A change is made in training if it
is shown, with 95% confidence, to cost at most MARGIN of the images. Few images show nothing, and nothing is then changed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import encoding, folding, sampling
from headstart.features import extraction, of_source, transforms
from headstart.features.transforms import View
from headstart.linear import logistic
from headstart.networks.cards import SourceCard
from headstart.params import MeasuredAugmentation
from headstart.statistics import intervals

MOST = 400  # training images that are looked at
FOLDS = 5
MARGIN = 0.04  # share of the images that a change may cost
CERTAINTY = 0.95  # one-sided


class Change(TypedDict):
    """A change of the pictures, and what it costs, as in models/changes.json."""

    change: str  # horizontal_flip, vertical_flip or quarter_turns
    source: str  # whose features it was measured by
    n: int
    accuracy: float  # of plain pictures, out of fold (0-1)
    difference: float  # of changed pictures from that
    lowest: float  # that the difference may be, with CERTAINTY
    made: bool


def measure(train: pd.DataFrame, root: Path, card: SourceCard, classes: list[str], *, seed: int, device: Device = CPU) -> list[Change]:
    """Measure each change on training images of `train` and the features of the source that `card` names.

    It is the pictures that are measured, so any source serves that tells their classes apart. A source without features of its own (random weights) shows nothing.
    """
    if not card.features:
        return []
    some = sampling.sample(train, MOST, seed)
    labels = encoding.encode(some["label"], classes)
    folds = folding.split_folds(labels, some["group"].to_numpy(), FOLDS, seed)
    asked = list(transforms.CHANGES)
    plain, *changed = _features(asked, some, root, card, device)
    found = logistic.cross_validate(
        plain, labels, folds, classes=len(classes), penalties=logistic.PENALTIES, others=changed, what="which changes keep the labels, fits"
    )
    before, *after = (each.argmax(1) == labels for each in (found.held_out, *found.others))
    return [_change(name, card.name, before, now) for name, now in zip(asked, after, strict=True)]


def settled(wanted: MeasuredAugmentation, changes: list[Change]) -> MeasuredAugmentation:
    """How views are drawn if what is left to auto is made as `changes` say; what was not measured is not made."""
    made = wanted.settled(**{change["change"]: change["made"] for change in changes})
    return MeasuredAugmentation(**made.model_dump())


def _change(name: str, source: str, before: np.ndarray, after: np.ndarray) -> Change:
    """What a change costs, from the right answers (n,) on plain and on changed pictures."""
    n, gained, lost = len(before), int((after & ~before).sum()), int((before & ~after).sum())
    lowest, _ = intervals.proportions(gained, lost, n, CERTAINTY)
    return {
        "change": name,
        "source": source,
        "n": n,
        "accuracy": float(before.mean()),
        "difference": (gained - lost) / n,
        "lowest": lowest,
        "made": lowest >= -MARGIN,
    }


def _features(asked: list[str], some: pd.DataFrame, root: Path, card: SourceCard, device: Device) -> list[np.ndarray]:
    """The features (n, d) of the plain pictures, and of each change."""
    frozen = of_source.frozen(card, device)
    view = View.of(card.transform)
    views = [view, *(replace(view, change=name) for name in asked)]
    rows = extraction.extract_views(frozen, some, root, views, what="which changes keep the labels, views")
    return [np.asarray(of_source.features(card, each)[:], np.float32) for each in rows]
