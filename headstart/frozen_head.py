"""The head on the frozen base: features once, the penalty by cross-validation, one head to ship and one to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from headstart import features, heads, model, selection, sources, stages
from headstart.engines import Normalise
from headstart.errors import HeadstartError
from headstart.store import Rows

FINAL, TRAIN_ONLY = "final", "train_only"


def train(
    table: pd.DataFrame, root: Path, card: dict[str, Any], *, penalties: list[float], folds: int, balanced: bool, seed: int
) -> tuple[dict[str, heads.Head], dict[str, Any]]:
    """Fit the `final` head on train and validation and the `train_only` head on train, on the source that `card` names.

    Each chooses its own penalty by cross-validation over its own images. Returns the heads, and a summary of plain values.
    """
    seen = table[table["split"].isin(["train", "validation"])].reset_index(drop=True)
    classes, labels = np.unique(seen["label"], return_inverse=True)
    rows = of_source(load(card), card, seen, root)
    groups, is_train = seen["group"].to_numpy(), (seen["split"] == "train").to_numpy()
    fitted: dict[str, heads.Head] = {}
    summary: dict[str, Any] = {"classes": [str(name) for name in classes]}
    for name, chosen in ((FINAL, np.arange(len(seen))), (TRAIN_ONLY, np.flatnonzero(is_train))):
        parts = heads.split_folds(labels[chosen], groups[chosen], folds, seed)
        fitted[name], validated = heads.fit(
            rows.take(chosen), labels[chosen], parts, classes=len(classes), penalties=penalties, balanced=balanced, what="head, fits"
        )
        figures = validated.figures
        summary[name] = {
            "penalty": validated.penalty,
            "cv_log_loss": figures["log_loss"],
            "cv_accuracy": figures["accuracy"],
            "n": len(chosen),
        }
        if name == FINAL:
            summary["penalties"] = validated.path
    held = np.flatnonzero(~is_train)
    summary[TRAIN_ONLY]["validation_accuracy"] = float((fitted[TRAIN_ONLY].logits(rows.take(held)).argmax(1) == labels[held]).mean())
    return fitted, summary


def load(card: dict[str, Any]) -> sources.Source:
    """The source that a card names. Raises HeadstartError if its weights are no longer those that were chosen."""
    source = sources.load(card["name"])
    if source.weights_sha256 != card["weights_sha256"]:
        raise HeadstartError(f"the weights of {card['name']} have changed since it was chosen; run `dvc repro --force select_source`")
    return source


def of_source(source: sources.Source, card: dict[str, Any], table: pd.DataFrame, root: Path) -> Rows:
    """Features (n, d) of the rows of `table` in the plain view."""
    network = nn.Sequential(Normalise(source.mean, source.std), stages.chain(source.trunk))
    frozen = features.Frozen.of(network, selection.whole(source.weights_sha256), card["input_size"])
    return features.extract(frozen, table, root, model.plain_view(card), what=f"{card['name']}, images")
