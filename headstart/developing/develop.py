"""Develop a source model of one's own: train it on a source task with many images.

It starts from random weights (training/scratch.py) or from a pretrained candidate (training/fine_tuning.py). What comes out is a model
folder that
competes as `checkpoint:` with all other sources, if it beats naive baselines (judging.py). `headstart develop` runs this as a pipeline in
a directory
of its own, whose parameters are in params/developing.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import encoding
from headstart.machinery.errors import ParamsError
from headstart.networks.cards import Architecture, Transform
from headstart.params.developing import RANDOM, TrainSource

if TYPE_CHECKING:
    from headstart.networks.model import Network
    from headstart.training import fine_tuning, run, scratch


LARGEST, STEP, UPSCALE = 224, 32, 8  # pixels that `input_size: auto` goes up to, and in steps of; most times a source's images are enlarged
RATE_RANDOM, RATE_PRETRAINED = 2e-3, 3e-4  # of `rate: auto`


class Started(TypedDict):
    """What a source began with: random weights, or a pretrained candidate."""

    name: str
    weights_sha256: str | None
    licence: str | None


class Parameters(TypedDict):
    """The parameters that a source was trained with."""

    seed: int
    train_source: dict[str, object]


class Summary(TypedDict):
    """What a source is and how it came to be, as in models/trained/summary.json of a develop directory."""

    library: str
    architecture: str
    transform: dict[str, object]
    classes: list[str]
    started_from: Started
    phases: list[run.Summary]
    views: int
    streamed: bool  # whether the pixels or activations were computed in every epoch, as they were not cached
    device: str
    shard: int
    image_passes: int
    temperature: float
    parameters: Parameters


@dataclass(frozen=True)
class Trained:
    """A source model, a row per epoch, and a summary."""

    network: Network
    curve: list[run.Row]
    summary: Summary


@dataclass(frozen=True)
class _Done:
    """A training, what it was of, and what it began with."""

    result: scratch.Result | fine_tuning.Result
    network: Architecture
    started: Started


def train(table: pd.DataFrame, root: Path, plan: TrainSource, *, seed: int, device: Device = CPU) -> Trained:
    """Train a source model on the train split of `table`, choosing its epoch on the validation split.

    Raises ParamsError for an architecture or a candidate of no known name, sources.Unavailable for a candidate that cannot be had.
    """
    classes = encoding.classes(table)
    how = _from_random if plan.start == RANDOM else _from_candidate
    done = how(table, root, classes, plan, seed, device)
    left = done.result.summary
    recorded = plan.model_dump()
    first = {name: recorded[name] for name in ("start", "input_size", "rate")}
    summary: Summary = {
        "library": done.network.library,
        "architecture": done.network.architecture,
        "transform": done.network.transform.to_json(),
        "classes": classes,
        "started_from": done.started,
        "phases": left["phases"],
        "views": left["views"],
        "streamed": left["streamed"],
        "device": left["device"],
        "shard": left["shard"],
        "image_passes": left["image_passes"],
        "temperature": left["temperature"],
        "parameters": {"seed": seed, "train_source": {**first, **recorded}},
    }
    return Trained(done.result.network, done.result.curve, summary)


def _rate(plan: TrainSource) -> float:
    if plan.rate != "auto":
        return float(plan.rate)
    return RATE_RANDOM if plan.start == RANDOM else RATE_PRETRAINED


def _from_random(table: pd.DataFrame, root: Path, classes: list[str], plan: TrainSource, seed: int, device: Device) -> _Done:
    from headstart.networks import skeletons
    from headstart.training import scratch

    library, _, name = (plan.architecture or "").partition(":")
    wanted = Architecture(
        library=library,
        architecture=name,
        fixed_size=False,
        transform=Transform(choose_size(plan.input_size, LARGEST, 1, table), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", 1.0),
    )
    try:
        skeletons.skeleton(library, name)
    except Exception as error:  # what timm or torchvision raise for a name they do not know
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ParamsError(f"architecture: {library} cannot make {name!r}: {first[:300]}") from None
    how = scratch.Plan(
        epochs=plan.epochs,
        rate=_rate(plan),
        batch_size=plan.batch_size,
        weight_decay=plan.weight_decay,
        label_smoothing=plan.label_smoothing,
        views=plan.views,
        augmentation=plan.augmentation,
        cache_gib=plan.cache_gib,
    )
    done = scratch.train(table, root, wanted, classes, how, seed=seed, head_first=False, device=device)
    return _Done(done, wanted, {"name": plan.start, "weights_sha256": None, "licence": None})


def _from_candidate(table: pd.DataFrame, root: Path, classes: list[str], plan: TrainSource, seed: int, device: Device) -> _Done:
    from headstart.linear import frozen_head, logistic
    from headstart.networks import sources
    from headstart.training import fine_tuning
    from headstart.training.examples import Recipe

    source = sources.load(plan.start)
    own = source.transform.input_size
    if source.fixed_size and plan.input_size not in ("auto", own):
        raise ParamsError(f"input_size: {plan.start} takes {own} pixels only; use auto")
    card = source.card().at(own if source.fixed_size else choose_size(plan.input_size, own, UPSCALE, table))
    fitted, _ = frozen_head.train(
        table, root, card, penalties=logistic.PENALTIES, folds=logistic.FOLDS, balanced=False, seed=seed, device=device
    )
    how = fine_tuning.Plan(
        strategy=plan.strategy,
        depth=plan.depth,
        epochs=plan.epochs,
        rate=_rate(plan),
        decay=plan.decay,
        views=plan.views,
        cache_gib=plan.cache_gib,
        augmentation=plan.augmentation,
        recipe=Recipe(plan.batch_size, plan.epochs, plan.weight_decay, plan.label_smoothing, np.ones(len(classes)), seed),
    )
    done = fine_tuning.run(table, root, card, fitted[frozen_head.TRAIN_ONLY], classes, how, device=device)
    started: Started = {"name": source.name, "weights_sha256": source.weights_sha256, "licence": source.licence}
    return _Done(done, card.design, started)


def choose_size(wanted: int | str, largest: int, upscale: int, table: pd.DataFrame) -> int:
    """The input size (pixels) as wanted.

    auto: `upscale` times the median shorter side of the images, `largest` at most.
    """
    if wanted != "auto":
        return int(wanted)
    side = float(np.median(np.minimum(table["width"], table["height"])))
    return int(min(largest, max(STEP, STEP * np.ceil(side * upscale / STEP))))
