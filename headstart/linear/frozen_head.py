"""The head on the frozen base: features once, the penalty by cross-validation, one head to ship and one to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import folding
from headstart.features import of_source
from headstart.linear import logistic
from headstart.networks import heads
from headstart.networks.cards import SourceCard

FINAL, TRAIN_ONLY = "final", "train_only"


def train(
    table: pd.DataFrame,
    root: Path,
    card: SourceCard,
    *,
    penalties: list[float],
    folds: int,
    balanced: bool,
    seed: int,
    device: Device = CPU,
) -> tuple[dict[str, heads.Head], dict[str, Any]]:
    """Fit the `final` head on train and validation and the `train_only` head on train, on the source that `card` names.

    Each chooses its own penalty by cross-validation over its own images. Returns the heads, and a summary of plain values.
    """
    seen = table[table["split"].isin(["train", "validation"])].reset_index(drop=True)
    classes, labels = np.unique(seen["label"], return_inverse=True)
    rows = of_source.of_source(card, seen, root, device)
    groups, is_train = seen["group"].to_numpy(), (seen["split"] == "train").to_numpy()
    fitted: dict[str, heads.Head] = {}
    summary: dict[str, Any] = {"classes": [str(name) for name in classes]}
    for name, chosen in ((FINAL, np.arange(len(seen))), (TRAIN_ONLY, np.flatnonzero(is_train))):
        parts = folding.split_folds(labels[chosen], groups[chosen], folds, seed)
        fitted[name], validated = logistic.fit(
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


def on(
    train: pd.DataFrame,
    root: Path,
    card: SourceCard,
    classes: list[str],
    *,
    penalties: list[float],
    folds: int,
    balanced: bool = False,
    seed: int,
    device: Device = CPU,
) -> heads.Head:
    """A head fitted on the rows of `train` alone, on the source that `card` names, its penalty by cross-validation over them."""
    labels = np.searchsorted(classes, train["label"].to_numpy())
    parts = folding.split_folds(labels, train["group"].to_numpy(), folds, seed)
    rows = of_source.of_source(card, train, root, device)
    return logistic.fit(rows, labels, parts, classes=len(classes), penalties=penalties, balanced=balanced, what="head, fits")[0]
