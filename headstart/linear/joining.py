"""Whether images without labels join the labelled ones in the heads on the frozen base, and the heads that they taught.

They join by self-training (self_training.py), and only if labelled images that were left out show that it helps. None of them is ever
held out, and none that looks like a test image teaches, nor one like a held-out image the head that is judged by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from headstart.base.devices import Device
from headstart.base.reading import Features
from headstart.data.sampling import sample
from headstart.features import of_source
from headstart.linear import self_training
from headstart.linear.logistic import CrossValidated
from headstart.linear.self_training import Pool, Side
from headstart.networks.cards import SourceCard
from headstart.networks.heads import Head
from headstart.statistics import likelihood
from headstart.statistics.goals import Goal

ALWAYS, NEVER, IF_SHOWN = "always", "never", "if_shown"
FEWEST = 10  # images without labels that can teach
MOST = 20_000  # labelled images: with more, images without labels teach little and take long


class Report(TypedDict):
    """What became of the images without labels, as in models/head/summary.json."""

    joined: bool
    reason: str
    images: int  # without labels, that can be read
    held_out: int  # of these: they look like a test image, so they teach nothing
    learned: int  # of these: the final head learned from them
    left_out: int  # labelled images that were judged by heads that did not see them
    measure: str  # what the gain is: accuracy or balanced_accuracy
    labels_alone: Side | None
    with_unlabelled: Side | None
    difference: list[float]  # of the gains: mean, and the ends of the 90% interval; [] if nothing was compared
    per_class: dict[str, int]  # images that the final head learned from, by the label that it gave them


@dataclass(frozen=True)
class Joining:
    """Images without labels (rows of a manifest), if they join (IF_SHOWN, ALWAYS, NEVER), and how many at most."""

    rows: pd.DataFrame
    when: str
    most: int


@dataclass(frozen=True)
class Labelled:
    """Labelled images of train and validation.

    Features (n, d), labels (n,) as integers, groups (n,), folds (n,), whether they are in train (n,), the classes, and the goal.
    """

    features: Features
    labels: np.ndarray
    groups: np.ndarray
    folds: np.ndarray
    train: np.ndarray
    classes: list[str]
    goal: Goal


@dataclass(frozen=True)
class Without:
    """The images without labels that may teach, how many there are of them in all, and how many look like a test image."""

    pool: Pool
    images: int
    held_out: int


def pool(given: Joining, table: pd.DataFrame, root: Path, card: SourceCard, *, seed: int, device: Device) -> Without:
    """The images without labels that may teach beside the labelled ones of `table`, as the source sees them."""
    readable = given.rows[given.rows["readable"]]
    tested = readable["group"].isin(set(table.loc[table["split"] == "test", "group"]))
    chosen = readable[~tested] if given.when != NEVER else readable[:0]
    chosen = sample(chosen.reset_index(drop=True), given.most, seed)
    features = np.zeros((0, card.features or 0), np.float32)
    if len(chosen) >= FEWEST:
        features = of_source.of_source(card, chosen, root, device)[:].astype(np.float32)
    return Without(Pool(features, chosen["group"].to_numpy()), len(readable), int(tested.sum()))


def join(given: Labelled, without: Without, when: str, alone: Mapping[str, CrossValidated]) -> tuple[dict[str, Head], Report]:
    """The heads that were taught by images without labels too, {} if they do not join, and why.

    `alone` says how the heads on labels alone were fitted: `final` on all of `given`, `train_only` on its training images.
    """
    reason = _against(given, without, when)
    if reason:
        return {}, _report(given, without, reason)
    labels, classes, features = given.labels, len(given.classes), given.features[:].astype(np.float32, copy=False)
    final, only = alone["final"], alone["train_only"]
    unseen = self_training.left_out(
        features, labels, given.groups, given.folds, without.pool, classes=classes, alone=final, goal=given.goal
    )
    found = self_training.compared(final.held_out, unseen, labels, given.goal)
    told = _report(given, without, found.reason, found)
    if when == IF_SHOWN and not found.helps:
        return {}, told
    train = given.train
    usable = ~np.isin(without.pool.groups, given.groups[~train])
    with threadpool_limits(1):
        whole, part = (
            self_training.teach(x, y, more, classes=classes, penalty=how.penalty, balanced=how.balanced, goal=given.goal)
            for x, y, more, how in (
                (features, labels, without.pool.features, final),
                (features[train], labels[train], without.pool.features[usable], only),
            )
        )
    heat = likelihood.temperature(unseen, labels)  # labels that a head gave itself make it too sure
    sizes = np.bincount(whole.named[whole.learned], minlength=classes)
    told |= {"joined": True, "learned": int(whole.learned.sum()), "per_class": dict(zip(given.classes, sizes.tolist(), strict=True))}
    if when == ALWAYS:
        told["reason"] = f"train_head.self_training is {ALWAYS}; {found.reason}"
    return {
        "final": replace(_cooled(whole.head, heat), held_out=(unseen / heat).astype(np.float32)),
        "train_only": _cooled(part.head, heat),
    }, told


def _against(given: Labelled, without: Without, when: str) -> str:
    """Why images without labels are not even tried; "" if they are."""
    if when == NEVER:
        return f"train_head.self_training is {NEVER}"
    if len(without.pool.groups) < FEWEST:
        return f"there are {len(without.pool.groups)} that may teach; fewer than {FEWEST} teach nothing"
    if len(given.labels) > MOST:
        return f"there are {len(given.labels):,} labelled images; beside more than {MOST:,} they teach little"
    return ""


def _cooled(head: Head, heat: float) -> Head:
    return Head((head.weight / heat).astype(np.float32), (head.bias / heat).astype(np.float32))


def _report(given: Labelled, without: Without, reason: str, found: self_training.Compared | None = None) -> Report:
    return {
        "joined": False,
        "reason": reason,
        "images": without.images,
        "held_out": without.held_out,
        "learned": 0,
        "left_out": len(given.labels) if found else 0,
        "measure": "balanced_accuracy" if given.goal.even else "accuracy",
        "labels_alone": found.alone if found else None,
        "with_unlabelled": found.taught if found else None,
        "difference": found.difference if found else [],
        "per_class": {},
    }
