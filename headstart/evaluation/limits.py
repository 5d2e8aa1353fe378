"""What the model that ships knows of its limits: when it is unsure, and which images are like none that it knows.

Both are chosen on the validation images, which its weights were not fitted on, or else through its twin that never saw them, and checked on
the test images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import encoding, sampling
from headstart.features import classify, engines, of_source
from headstart.networks import heads
from headstart.statistics import likelihood, limits
from headstart.statistics.limits import Unlike, Unsure
from headstart.statistics.operating import Point

if TYPE_CHECKING:
    from headstart.evaluation.test_split import Model

KNOWN = 2_000  # images that distances are taken from, at most, and about
NEIGHBOURS = 5  # see docs/decisions.md


class Tested(TypedDict):
    """What the limits do to the test images: shares (0-1). `error` is that of the answers that are given, None if there are none."""

    answered: float
    error: float | None
    false_alarms: float | None  # test images that are called unlike; None if the validation images were too few for a threshold


@dataclass(frozen=True)
class Limits:
    """When a model should not be believed, the features (m, width) of the images that it knows, at length 1, and what that does to the test images."""

    unsure: Unsure
    unlike: Unlike | None
    known: np.ndarray | None
    tested: Tested
    rows: pd.DataFrame  # of known training, validation and test images
    features: np.ndarray  # (n, width) of the same


@dataclass(frozen=True)
class Seen:
    """What a model gives for images: the probabilities (n, classes), the features (n, width), and the classes (n,) they are of."""

    probabilities: np.ndarray
    features: np.ndarray
    labels: np.ndarray


def choose(
    table: pd.DataFrame,
    root: Path,
    chosen: Model,
    twin: heads.Head,
    final: heads.Head,
    classes: list[str],
    point: Point,
    *,
    by: str,
    asked: float,
    false_alarms: float,
    seed: int,
    device: Device = CPU,
) -> Limits:
    """The limits of the model `chosen` that ships at an operating point; `twin` and `final` are the frozen heads without and with the validation images.

    The distance from which an image is unlike all is a twin's too, if there is one, and holds for the features of what ships.

    by, asked, false_alarms: `evaluate.abstain` and `evaluate.false_alarms` of params.yaml.
    """
    known = known_rows(table, seed)
    held, test = (table[table["split"] == split].reset_index(drop=True) for split in ("validation", "test"))

    def seen(rows: pd.DataFrame, what: str, *, before: bool = False) -> Seen:
        labels = encoding.encode(rows["label"], classes)
        if chosen.name == "head":
            features = of_source.of_source(chosen.card, rows, root, device)
            return Seen(likelihood.softmax((twin if before else final).logits(features)), features[:].astype(np.float32), labels)
        arrays = chosen.twin if before and chosen.twin is not None else chosen.weights
        found = classify.answers(arrays, chosen.card, rows, root, device, what)
        return Seen(likelihood.softmax(found[:, : len(classes)]), found[:, len(classes) :], labels)

    factors = np.array(point.factors)
    what = {split: f"limits, {split} images" for split in ("training", "validation", "test")}
    on_known, on_test = seen(known, what["training"]), seen(test, what["test"])
    apart, held_apart = on_known, seen(held, what["validation"], before=True)
    on_held = held_apart
    if chosen.twin is not None:
        apart, on_held = seen(known, what["training"], before=True), seen(held, what["validation"])
    sure, right = _sure(held_apart, point, factors)
    unsure = limits.choose_unsure(sure, right, by, asked)
    bank = _bank(on_known)
    cut = limits.conformal(limits.distances(held_apart.features, _bank(apart), NEIGHBOURS), false_alarms)
    unlike = None if cut is None else Unlike(cut, NEIGHBOURS, false_alarms, len(held), len(bank))
    rows = pd.concat([known, held, test], ignore_index=True)
    features = np.concatenate([on_known.features, on_held.features, on_test.features])
    return Limits(unsure, unlike, bank if unlike else None, _tested(on_test, point, factors, unsure, unlike, bank), rows, features)


def engine(chosen: Model, final: heads.Head, device: Device = CPU) -> engines.Engine:
    """What gives the logits (n, classes) of the model that ships first, for what it sees of images; nothing is exported anew."""
    if chosen.name != "head":
        return classify.answering(chosen.weights, chosen.card, device).engine
    frozen, width = of_source.frozen(chosen.card, device), chosen.card.features or 0
    return replace(frozen.engine, run=lambda squares: final.logits(frozen.engine.run(squares)[:, -width:]))


def known_rows(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The training images that a model of this data set and seed knows, in the order in which it keeps their features."""
    return sampling.sample(table[table["split"] == "train"], KNOWN, seed)


def _bank(seen: Seen) -> np.ndarray:
    """The features (m, width) that distances are taken from."""
    return np.asarray(limits.unit(seen.features), np.float16)


def _sure(seen: Seen, point: Point, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How sure the answers (n,) are, and whether they are right (n,)."""
    return limits.confidence(seen.probabilities, factors), point.named(seen.probabilities) == seen.labels


def _tested(seen: Seen, point: Point, factors: np.ndarray, unsure: Unsure, unlike: Unlike | None, bank: np.ndarray) -> Tested:
    sure, right = _sure(seen, point, factors)
    given = sure >= unsure.confidence
    alarms = None if unlike is None else float((limits.distances(seen.features, bank, unlike.neighbours) > unlike.distance).mean())
    return {"answered": float(given.mean()), "error": float((~right[given]).mean()) if given.any() else None, "false_alarms": alarms}
