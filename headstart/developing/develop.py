"""Develop a source model of one's own: train it on a source task with much data, and check that it beats naive baselines.

It starts from random weights (scratch.py) or from a pretrained candidate (fine_tuning.py). What comes out is a model folder that competes as
`checkpoint:` with all other sources. `headstart develop` runs this as a pipeline in a directory of its own, whose parameters are in source_params.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart.base import weights
from headstart.base.devices import CPU, Device
from headstart.data import encoding, manifest
from headstart.features.transforms import View
from headstart.machinery.errors import ParamsError
from headstart.networks import cards
from headstart.networks.cards import Architecture, ModelCard, Transform
from headstart.params.developing import RANDOM, TrainSource
from headstart.statistics import paired

if TYPE_CHECKING:
    from headstart.networks.model import Network
    from headstart.training import fine_tuning, scratch
    from headstart.training.run import Row


_Done = tuple["scratch.Result | fine_tuning.Result", Architecture, dict[str, str | None]]  # the network, what it is of, what it began from
LARGEST, STEP, UPSCALE = 224, 32, 8  # pixels that `input_size: auto` goes up to, and in steps of; most times a source's images are enlarged
RATES = {True: 2e-3, False: 3e-4}  # from random weights, from pretrained ones
THUMBNAIL = 8  # pixels
PACKAGES = ("torch", "torchvision", "timm", "onnxruntime", "numpy", "pillow", "scipy")


@dataclass(frozen=True)
class Trained:
    """A source model, a row an epoch, and a summary of plain values that says what it is and how it came to be."""

    network: Network
    curve: list[Row]
    summary: dict[str, Any]


def train(table: pd.DataFrame, root: Path, plan: TrainSource, *, seed: int, device: Device = CPU) -> Trained:
    """Train a source model on the train split of `table`, choosing its epoch on the validation split.

    Raises ParamsError for an architecture or a candidate of no known name, sources.Unavailable for a candidate that cannot be had.
    """
    classes = encoding.classes(table)
    how = _from_random if plan.start == RANDOM else _from_candidate
    done, network, started = how(table, root, classes, plan, seed, device)
    recorded = plan.model_dump()
    first = {name: recorded[name] for name in ("start", "input_size", "rate")}
    summary = {
        "library": network.library,
        "architecture": network.architecture,
        "transform": network.transform.to_json(),
        "classes": classes,
        "started_from": started,
        "phases": done.summary["phases"],
        "views": done.summary["views"],
        "streamed": done.summary["streamed"],
        "device": done.summary["device"],
        "shard": done.summary["shard"],
        "image_passes": done.summary["image_passes"],
        "temperature": done.summary["temperature"],
        "parameters": {"seed": seed, "train_source": {**first, **recorded}},
    }
    return Trained(done.network, done.curve, summary)


def _rate(plan: TrainSource) -> float:
    return RATES[plan.start == RANDOM] if plan.rate == "auto" else float(plan.rate)


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
    return done, wanted, {"name": plan.start, "weights_sha256": None, "licence": None}


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
    return done, card.design, {"name": source.name, "weights_sha256": source.weights_sha256, "licence": source.licence}


def choose_size(wanted: int | str, largest: int, upscale: int, table: pd.DataFrame) -> int:
    """The input size (pixels): as wanted; auto: `upscale` times the median shorter side of the images, `largest` at most."""
    if wanted != "auto":
        return int(wanted)
    side = float(np.median(np.minimum(table["width"], table["height"])))
    return int(min(largest, max(STEP, STEP * np.ceil(side * upscale / STEP))))


def naive(table: pd.DataFrame, root: Path, seed: int) -> dict[str, np.ndarray]:
    """The labels (n test,) that naive baselines give the test images, each fitted on all other images.

    `majority`: the most frequent class. `thumbnails`: a logistic regression on pictures of 8x8 coloured pixels, its penalty cross-validated.
    """
    from headstart.data import folding
    from headstart.features import extraction, pixels
    from headstart.linear import logistic

    held = (table["split"] == "test").to_numpy()
    seen, test = table[~held].reset_index(drop=True), table[held].reset_index(drop=True)
    classes = encoding.classes(seen)
    labels = encoding.encode(seen["label"], classes)
    view = View(THUMBNAIL, "bilinear")
    tiny = [
        extraction.extract(pixels.decoder(THUMBNAIL), part, root, view, dtype=pixels.PIXELS, what="thumbnails")[:].reshape(len(part), -1)
        for part in (seen, test)
    ]
    folds = folding.split_folds(labels, seen["group"].to_numpy(), logistic.FOLDS, seed)
    head, _ = logistic.fit(tiny[0], labels, folds, classes=len(classes), penalties=logistic.PENALTIES, what="naive baseline, fits")
    return {
        "majority": np.full(len(test), classes[np.bincount(labels).argmax()]),
        "thumbnails": np.array(classes)[head.logits(tiny[1]).argmax(1)],
    }


def judge(right: np.ndarray, baselines: dict[str, np.ndarray]) -> dict[str, Any]:
    """Whether the source beats each baseline by more than a paired standard error; all are right (True) or wrong on the same images (n,)."""
    rows: dict[str, dict[str, Any]] = {}
    for name, theirs in baselines.items():
        difference, error = paired.difference(right, theirs)
        beaten = paired.better(right, theirs)
        rows[name] = {"accuracy": float(theirs.mean()), "difference": difference, "standard_error": error, "beaten": beaten}
    against = "; ".join(
        f"{name} {row['accuracy']:.1%} (difference {row['difference']:+.1%}, standard error {row['standard_error']:.1%})"
        for name, row in rows.items()
    )
    beats = all(row["beaten"] for row in rows.values())
    verb = "beats" if beats else "does not beat"
    reason = f"{right.mean():.1%} of {len(right)} test images right, which {verb} the naive baselines by a standard error: {against}"
    return {"n_test": len(right), "accuracy": float(right.mean()), "baselines": rows, "beats": beats, "reason": reason}


def evaluate(table: pd.DataFrame, root: Path, trained: Path, summary: dict[str, Any], *, seed: int, device: Device = CPU) -> ModelCard:
    """Read the test split once: the card of the source model whose weights lie in the file `trained`; `metrics` says what it is worth.

    `summary` is the one that `train` gave.
    """
    from headstart.features import classify

    arrays = weights.read(trained)
    card = cards.parse(
        ModelCard,
        {
            "format": 1,
            "kind": "developed",
            **{key: summary[key] for key in ("library", "architecture", "transform", "classes", "started_from")},
            "licence": "own",
            "data_sha256": manifest.data_hash(table),
            "parameters": summary["parameters"],
            "versions": {name: version(name) for name in PACKAGES},
            "weights_sha256": _trunk_digest(summary["library"], summary["architecture"], arrays),
        },
        trained.with_name("summary.json"),
        "train the source again",
    )
    held = table[table["split"] == "test"].reset_index(drop=True)
    logits = classify.logits(arrays, card, held, root, device, "source model, test images")
    labels = held["label"].to_numpy()
    right = np.array(card.classes)[logits.argmax(1)] == labels
    figures = judge(right, {name: answers == labels for name, answers in naive(table, root, seed).items()})
    sizes = table["split"].value_counts()
    counts = {f"n_{split}": int(sizes[split]) for split in ("train", "validation")}
    return replace(card, metrics={**counts, **figures})


def _trunk_digest(library: str, architecture: str, arrays: dict[str, np.ndarray]) -> str:
    """The hash by which sources.py knows these weights, which leaves the classifier out."""
    from headstart.networks import skeletons

    _, classifier = skeletons.skeleton(library, architecture)
    return weights.digest({key: value for key, value in arrays.items() if key not in (f"{classifier}.weight", f"{classifier}.bias")})
