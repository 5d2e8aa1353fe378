"""What a developed source model is worth: the test split once, beside naive baselines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base import weights
from headstart.base.code import versions
from headstart.base.devices import CPU, Device
from headstart.data import encoding, manifest
from headstart.developing.develop import Summary
from headstart.features.transforms import View
from headstart.networks import cards
from headstart.networks.cards import ModelCard
from headstart.statistics import paired

THUMBNAIL = 8  # pixels


class AgainstBaseline(TypedDict):
    """A naive baseline on the test images, and whether the source beats it."""

    accuracy: float  # 0-1, of the baseline
    difference: float  # source - baseline
    standard_error: float
    interval: list[float]  # of the difference
    beaten: bool


class Judgement(TypedDict):
    """How the source does on `n_test` images beside each baseline, and whether it beats them all."""

    n_test: int
    accuracy: float  # 0-1
    baselines: dict[str, AgainstBaseline]
    beats: bool
    reason: str


def naive(table: pd.DataFrame, root: Path, seed: int) -> dict[str, np.ndarray]:
    """The labels (n test,) that naive baselines give the test images, each fitted on all other images.

    `majority`: the most frequent class. `thumbnails`: a logistic regression on pictures of 8x8 coloured pixels, its penalty
    cross-validated.
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


def against_baselines(right: np.ndarray, baselines: dict[str, np.ndarray]) -> Judgement:
    """Whether the source beats each baseline by more than a paired standard error.

    All are right (True) or wrong on the same images (n,).
    """
    rows: dict[str, AgainstBaseline] = {}
    for name, theirs in baselines.items():
        difference, error = paired.difference(right, theirs)
        beaten = paired.better(right, theirs)
        rows[name] = {
            "accuracy": float(theirs.mean()),
            "difference": difference,
            "standard_error": error,
            "interval": list(paired.interval(right, theirs)),
            "beaten": beaten,
        }
    against = "; ".join(
        f"{name} {row['accuracy']:.1%} ({paired.points(row['difference'], *row['interval'])})" for name, row in rows.items()
    )
    beats = all(row["beaten"] for row in rows.values())
    verb = "beats" if beats else "does not beat"
    reason = f"{right.mean():.1%} of {len(right)} test images right, which {verb} the naive baselines by a standard error: {against}"
    return {"n_test": len(right), "accuracy": float(right.mean()), "baselines": rows, "beats": beats, "reason": reason}


def evaluate(table: pd.DataFrame, root: Path, trained: Path, summary: Summary, *, seed: int, device: Device = CPU) -> ModelCard:
    """Read the test split once: the card of a source model, whose `metrics` say what it is worth.

    Its weights lie in the file `trained`; `summary` is the one that develop.train gave.
    """
    from headstart.features import classify

    arrays = weights.read(trained)
    card = cards.parse(
        ModelCard,
        {
            "format": 1,
            "kind": "developed",
            "library": summary["library"],
            "architecture": summary["architecture"],
            "transform": summary["transform"],
            "classes": summary["classes"],
            "started_from": summary["started_from"],
            "licence": "own",
            "data_sha256": manifest.data_hash(table),
            "parameters": summary["parameters"],
            "versions": versions(),
            "weights_sha256": _trunk_digest(summary["library"], summary["architecture"], arrays),
        },
        trained.with_name("summary.json"),
        "train the source again",
    )
    card = replace(card, grey=manifest.grey(table))
    held = table[table["split"] == "test"].reset_index(drop=True)
    logits = classify.logits(arrays, card, held, root, device, "source model, test images")
    labels = held["label"].to_numpy()
    right = np.array(card.classes)[logits.argmax(1)] == labels
    figures = against_baselines(right, {name: answers == labels for name, answers in naive(table, root, seed).items()})
    sizes = table["split"].value_counts()
    counts = {f"n_{split}": int(sizes[split]) for split in ("train", "validation")}
    return replace(card, metrics={**counts, **figures})


def _trunk_digest(library: str, architecture: str, arrays: dict[str, np.ndarray]) -> str:
    """The hash by which networks/sources.py knows these weights, which leaves the classifier out."""
    from headstart.networks import skeletons

    _, classifier = skeletons.skeleton(library, architecture)
    return weights.digest({key: value for key, value in arrays.items() if key not in (f"{classifier}.weight", f"{classifier}.bias")})
