"""The head on the frozen base: features once, the penalty by cross-validation, one head to ship and one to compare with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart import features, heads
from headstart.devices import CPU, Device
from headstart.store import Rows
from headstart.transforms import View

if TYPE_CHECKING:
    from torch import nn

FINAL, TRAIN_ONLY = "final", "train_only"


def train(
    table: pd.DataFrame,
    root: Path,
    card: dict[str, Any],
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
    rows = of_source(card, seen, root, device)
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


def on(
    train: pd.DataFrame,
    root: Path,
    card: dict[str, Any],
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
    parts = heads.split_folds(labels, train["group"].to_numpy(), folds, seed)
    rows = of_source(card, train, root, device)
    return heads.fit(rows, labels, parts, classes=len(classes), penalties=penalties, balanced=balanced, what="head, fits")[0]


def of_source(card: dict[str, Any], table: pd.DataFrame, root: Path, device: Device = CPU) -> Rows:
    """Features (n, d) of the rows of `table` in the plain view of the source that `card` names."""
    rows = depths(card, table, root, device)
    return rows.columns(rows.shape[1] - card["features"], rows.shape[1])


def depths(
    card: dict[str, Any], table: pd.DataFrame, root: Path, device: Device = CPU, make: Callable[[], nn.Module] | None = None
) -> Rows:
    """What every stage of the source gives for the rows of `table` (n, sum of widths), averaged over positions; the features are the last columns.

    One pass and one store serve the ranking, the probe of depths and the head. `make` gives the network where it is at hand.
    """

    def load() -> nn.Module:
        from headstart import model, sources

        return model.Depths(sources.known(card))

    frozen = features.Frozen.of(make or load, features.identity(card, "depths"), card["input_size"], device)
    return features.extract(frozen, table, root, View.of(card), what=f"{card['name']}, images")
