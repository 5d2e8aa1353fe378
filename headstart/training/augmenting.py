"""Which changes of a picture keep its label: measured on the images themselves, not assumed.

A head is fitted on the frozen features of the plain pictures and of the changed ones together, and asked for the plain pictures that it
did not see, beside a head of the plain pictures alone. Where a change keeps the labels, the changed pictures are more of the same; where
it does not, they teach what is wrong. A change is made in training if it is shown, with 95% confidence, to cost at most the share MARGIN of
what the features tell of the labels. Few images show nothing, nor do features that tell nothing, and nothing is then changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd
from scipy.stats import t

from headstart.base.devices import CPU, Device
from headstart.data import encoding, folding, sampling
from headstart.features import extraction, of_source, transforms
from headstart.features.transforms import View
from headstart.linear import logistic
from headstart.networks.cards import SourceCard
from headstart.params import Augmentation, MeasuredAugmentation
from headstart.statistics import likelihood, paired

MOST = 400  # training images that are looked at
FOLDS = 5
MARGIN = 0.05  # share of the nats by which the head is better than the shares of the classes
CERTAINTY = 0.95  # one-sided


class Change(TypedDict):
    """A change of the pictures, and what it costs, as in models/fine_tuned/summary.json.

    `cost`: how much less likely (nats per image) the labels of plain pictures are if changed ones are learned too.
    """

    change: str  # horizontal_flip, vertical_flip or quarter_turns
    n: int
    cost: float
    standard_error: float
    made: bool


@dataclass(frozen=True)
class Chosen:
    """How the views are drawn, and what was measured to decide it."""

    augmentation: Augmentation
    changes: list[Change]


def choose(
    wanted: MeasuredAugmentation, train: pd.DataFrame, root: Path, card: SourceCard, classes: list[str], *, seed: int, device: Device = CPU
) -> Chosen:
    """Measure each change that is left to `auto`, on training images of `train` and the features of the source that `card` names.

    A source without features of its own (random weights) shows nothing, so nothing is then changed.
    """
    asked = [name for name in transforms.CHANGES if getattr(wanted, name) == "auto"]
    found = _measure(asked, sampling.sample(train, MOST, seed), root, card, classes, seed, device) if asked and card.features else []
    return Chosen(wanted.settled(**{change["change"]: change["made"] for change in found}), found)


def _measure(
    asked: list[str], some: pd.DataFrame, root: Path, card: SourceCard, classes: list[str], seed: int, device: Device
) -> list[Change]:
    """What each change costs."""
    labels = encoding.encode(some["label"], classes)
    folds = folding.split_folds(labels, some["group"].to_numpy(), FOLDS, seed)
    plain, *changed = _features(asked, some, root, card, device)
    alone = logistic.cross_validate(plain, labels, folds, classes=len(classes), penalties=logistic.PENALTIES, what="plain pictures, fits")
    before = likelihood.of_labels(alone.held_out, labels)
    allowed = MARGIN * (before.mean() - np.log(np.bincount(labels) / len(labels))[labels].mean())
    certain = float(t.ppf(CERTAINTY, len(labels) - 1))
    found: list[Change] = []
    for name, features in zip(asked, changed, strict=True):
        both = logistic.cross_validate(
            np.concatenate([plain, features]),
            np.tile(labels, 2),
            np.tile(folds, 2),
            classes=len(classes),
            penalties=[alone.penalty],
            what=f"{name.replace('_', ' ')} too, fits",
        )
        cost, error = paired.difference(before, likelihood.of_labels(both.held_out[: len(some)], labels))
        found.append({"change": name, "n": len(some), "cost": cost, "standard_error": error, "made": 0 < allowed >= cost + certain * error})
    return found


def _features(asked: list[str], some: pd.DataFrame, root: Path, card: SourceCard, device: Device) -> list[np.ndarray]:
    """The features (n, d) of the plain pictures, and of each change."""
    frozen = of_source.frozen(card, device)
    view = View.of(card.transform)
    views = [view, *(replace(view, change=name) for name in asked)]
    rows = extraction.extract_views(frozen, some, root, views, what="which changes keep the labels, views")
    return [np.asarray(of_source.features(card, each)[:], np.float32) for each in rows]
