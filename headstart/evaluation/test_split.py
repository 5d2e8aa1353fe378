"""Read the test split once, for every arm: what ships, the frozen head, the fine-tuned model, the network from random weights."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import encoding, manifest
from headstart.evaluation import metrics
from headstart.features import classify, of_source
from headstart.networks import heads, kept
from headstart.networks.cards import ModelCard, SourceCard
from headstart.proof import comparison
from headstart.statistics import likelihood, records

PACKAGES = ("torch", "torchvision", "timm", "onnxruntime", "numpy", "pillow", "scipy")
FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "ece")


@dataclass(frozen=True)
class Evaluation:
    """All that evaluate writes."""

    weights: dict[str, np.ndarray]  # of what ships, under the library's names
    card: ModelCard
    metrics: dict[str, Any]
    predictions: pd.DataFrame
    confusion: pd.DataFrame
    reliability: pd.DataFrame


@dataclass(frozen=True)
class Model:
    """A whole model: its name among the arms, weights under the library's names, and the card of its network."""

    name: str
    weights: dict[str, np.ndarray]
    card: SourceCard


def evaluate(
    table: pd.DataFrame,
    root: Path,
    source_card: SourceCard,
    head: heads.Head,
    head_summary: dict[str, Any],
    models: list[Model],
    chosen: Model,
    summaries: list[dict[str, Any]],
    *,
    answer: str,
    bootstrap: int,
    bins: int,
    seed: int,
    device: Device = CPU,
) -> Evaluation:
    """Measure every arm on the test split and put together what ships. `head` is the one fitted on train and validation; `models` are the
    other arms, `chosen` is what ships, `answer` the verdict on transfer; `summaries` are those of the stages, for the card."""
    classes: list[str] = head_summary["classes"]
    test = table[table["split"] == "test"].reset_index(drop=True)
    labels = encoding.encode(test["label"], classes)
    probabilities = {"head": likelihood.softmax(head.logits(of_source.of_source(source_card, test, root, device)))}
    for model in [*models, *([chosen] if chosen.name not in ("head", *(one.name for one in models)) else [])]:
        what = f"{model.name.replace('_', ' ')}, test images"
        probabilities[model.name] = likelihood.softmax(classify.logits(model.weights, model.card, test, root, device, what))
    arms = {name: metrics.describe(p, labels, classes, bootstrap=bootstrap, bins=bins, seed=seed) for name, p in probabilities.items()}
    shipped = chosen.name
    sizes = table["split"].value_counts()
    report = {
        "source": source_card.name,
        "shipped": shipped,
        "classes": classes,
        **{f"n_{split}": int(sizes[split]) for split in ("train", "validation", "test")},
        "test": arms[shipped],
        **arms,
        "transfer": _transfer({name: p.argmax(1) == labels for name, p in probabilities.items()}, test["sha256"].to_numpy(str), answer),
    }
    return Evaluation(
        kept.with_head(source_card, chosen.weights, head) if shipped == "head" else chosen.weights,
        _card(chosen.card, classes, shipped, table, summaries, arms[shipped]),
        report,
        _predictions(test, classes, labels, probabilities[shipped], probabilities["head"]),
        pd.DataFrame({"actual": test["label"], "predicted": np.array(classes)[probabilities[shipped].argmax(1)]}),
        pd.DataFrame(metrics.reliability(probabilities[shipped], labels, bins)),
    )


def _transfer(right: dict[str, np.ndarray], images: np.ndarray, answer: str) -> dict[str, Any] | None:
    """What the test images say of the verdict: the fine-tuned model against the network from random weights, one run each."""
    if "scratch" not in right or "fine_tuned" not in right:
        return None
    pair = [[records.Record(images, right[name][None], np.zeros(1, np.int64), 0)] for name in ("fine_tuned", "scratch")]
    found = comparison.compare(*pair, names=("from the source's weights", "from random weights"))
    opposite = {"positive": "negative", "negative": "positive"}
    says = "confirms" if found["answer"] == answer else "contradicts" if found["answer"] == opposite.get(answer) else "leaves open"
    return {"verdict": answer, "says": says, **{key: found[key] for key in ("answer", "evidence", "asymptote")}}


def _card(
    network: SourceCard,
    classes: list[str],
    shipped: str,
    table: pd.DataFrame,
    summaries: list[dict[str, Any]],
    test: dict[str, Any],
) -> ModelCard:
    parameters = {key: value for summary in summaries for key, value in summary["parameters"].items()}
    return ModelCard(
        format=1,
        shipped=shipped,
        source=network.name,
        library=network.library,
        architecture=network.architecture,
        kind=network.kind,
        weights_sha256=network.weights_sha256,
        transform=network.transform,
        classes=tuple(classes),
        data_sha256=manifest.split_hash(table),
        parameters=parameters,
        versions={name: version(name) for name in PACKAGES},
        metrics={key: test[key] for key in FIGURES},
    )


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
