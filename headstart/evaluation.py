"""Read the test split once, for every arm: what ships, the frozen head, and the fine-tuned model where it does not ship."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart import features, frozen_head, heads, manifest, metrics, weights
from headstart.devices import CPU, Device
from headstart.transforms import View

if TYPE_CHECKING:
    from torch import nn

PACKAGES = ("torch", "torchvision", "timm", "onnxruntime", "numpy", "pillow", "scipy")
FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "ece")


@dataclass(frozen=True)
class Evaluation:
    """All that evaluate writes."""

    weights: dict[str, np.ndarray]  # of what ships, under the library's names
    card: dict[str, Any]
    metrics: dict[str, Any]
    predictions: pd.DataFrame
    confusion: pd.DataFrame
    reliability: pd.DataFrame


def evaluate(
    table: pd.DataFrame,
    root: Path,
    source_card: dict[str, Any],
    head: heads.Head,
    head_summary: dict[str, Any],
    fine_tuned: Path,
    fine_tuned_summary: dict[str, Any],
    *,
    bootstrap: int,
    bins: int,
    seed: int,
    device: Device = CPU,
) -> Evaluation:
    """Measure both arms on the test split and put together what ships. `head` is the one fitted on train and validation."""
    classes: list[str] = head_summary["classes"]
    test = table[table["split"] == "test"].reset_index(drop=True)
    labels = np.searchsorted(classes, test["label"].to_numpy())
    head_probabilities = metrics.softmax(head.logits(frozen_head.of_source(source_card, test, root, device)))
    tuned = weights.read(fine_tuned)
    probabilities = {"head": head_probabilities, "fine_tuned": metrics.softmax(_logits(fine_tuned, source_card, test, root, device))}
    arms = {name: metrics.describe(p, labels, classes, bootstrap=bootstrap, bins=bins, seed=seed) for name, p in probabilities.items()}
    shipped: str = fine_tuned_summary["ships"]
    sizes = table["split"].value_counts()
    report = {
        "source": source_card["name"],
        "shipped": shipped,
        "classes": classes,
        **{f"n_{split}": int(sizes[split]) for split in ("train", "validation", "test")},
        "test": arms[shipped],
        **arms,
    }
    return Evaluation(
        tuned if shipped == "fine_tuned" else with_head(source_card, tuned, head),
        _card(source_card, classes, shipped, table, [source_card, head_summary, fine_tuned_summary], arms[shipped]),
        report,
        _predictions(test, classes, labels, probabilities[shipped], head_probabilities),
        pd.DataFrame({"actual": test["label"], "predicted": np.array(classes)[probabilities[shipped].argmax(1)]}),
        pd.DataFrame(metrics.reliability(probabilities[shipped], labels, bins)),
    )


def with_head(card: dict[str, Any], tuned: dict[str, np.ndarray], head: heads.Head) -> dict[str, np.ndarray]:
    """The source's weights with `head` on top, under the names that the fine-tuned weights have."""
    bare = weights.of_source(card)
    bias, weight = sorted(set(tuned) - set(bare))
    return {**bare, weight: head.weight, bias: head.bias}


def _logits(tuned: Path, card: dict[str, Any], table: pd.DataFrame, root: Path, device: Device) -> np.ndarray:
    def make() -> nn.Module:
        from headstart import model, sources

        return model.rebuild(_as_card(card), sources.read_weights(tuned))

    frozen = features.logits(card, weights.digest(weights.read(tuned)), make, device)
    return features.extract(frozen, table, root, View.of(card), dtype="float32", what="fine-tuned model, test images")[:]


def _as_card(source_card: dict[str, Any]) -> dict[str, Any]:
    """The part of a model card that a source card already holds."""
    transform = {key: source_card[key] for key in weights.TRANSFORM}
    return {key: source_card[key] for key in ("library", "architecture", "kind", "weights_sha256")} | {"transform": transform}


def _card(
    source_card: dict[str, Any],
    classes: list[str],
    shipped: str,
    table: pd.DataFrame,
    summaries: list[dict[str, Any]],
    test: dict[str, Any],
) -> dict[str, Any]:
    parameters = {key: value for summary in summaries for key, value in summary["parameters"].items()}
    return {
        "format": 1,
        "shipped": shipped,
        "source": source_card["name"],
        **_as_card(source_card),
        "classes": classes,
        "data_sha256": data_hash(table),
        "parameters": parameters,
        "versions": {name: version(name) for name in PACKAGES},
        "metrics": {key: test[key] for key in FIGURES},
    }


def data_hash(table: pd.DataFrame) -> str:
    """SHA-256 over the files of a table and the label and split of each."""
    rows = [manifest.data_hash(table), *(f"{p}:{s}" for p, s in zip(table["path"], table["split"], strict=True))]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _predictions(test: pd.DataFrame, classes: list[str], labels: np.ndarray, shipped: np.ndarray, head: np.ndarray) -> pd.DataFrame:
    names = np.array(classes)
    predicted, by_head, rows = shipped.argmax(1), head.argmax(1), np.arange(len(test))
    return pd.DataFrame(
        {
            "path": test["path"],
            "label": test["label"],
            "predicted": names[predicted],
            "probability": shipped[rows, predicted],
            "label_probability": shipped[rows, labels],
            "correct": predicted == labels,
            "head_predicted": names[by_head],
            "head_probability": head[rows, by_head],
        }
    )
