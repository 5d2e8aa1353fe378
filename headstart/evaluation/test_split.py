"""Read the test split once, for every contender.

They are what ships, the frozen head, the fine-tuned model and the network from random weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import encoding, manifest
from headstart.evaluation import caveats, metrics
from headstart.evaluation.metrics import Figures
from headstart.features import classify, of_source
from headstart.networks import heads, kept
from headstart.networks.cards import ModelCard, SourceCard
from headstart.proof import comparison
from headstart.statistics import likelihood, records
from headstart.words import naming

if TYPE_CHECKING:
    from headstart.proof.shipping import Verdict

PACKAGES = ("torch", "torchvision", "timm", "onnxruntime", "numpy", "pillow", "scipy")


class Transfer(TypedDict):
    """What the test images say of the verdict on transfer.

    What the verdict is about is compared with the network from random weights, one run each. `says` is confirms, contradicts, leaves open, or
    answers positive (or negative) where the validation images showed nothing.
    """

    verdict: str
    says: str
    answer: str
    evidence: str
    asymptote: comparison.Score


class Metrics(TypedDict):
    """The content of reports/metrics.json.

    Beside `head`, it holds the Figures of every other contender under the contender's name.
    """

    source: str
    shipped: str
    classes: list[str]
    n_train: int
    n_validation: int
    n_test: int
    test: Figures  # of what ships
    head: Figures
    transfer: Transfer | None  # None if there is no network from random weights
    caveats: list[str]  # what to keep in mind, worst first


@dataclass(frozen=True)
class Evaluation:
    """All that evaluate writes."""

    weights: dict[str, np.ndarray]  # of what ships, under the library's names
    card: ModelCard
    metrics: Metrics
    predictions: pd.DataFrame
    confusion: pd.DataFrame
    reliability: pd.DataFrame


@dataclass(frozen=True)
class Model:
    """A whole model."""

    name: str  # among the contenders
    weights: dict[str, np.ndarray]  # under the library's names
    card: SourceCard  # of its network


def evaluate(
    table: pd.DataFrame,
    root: Path,
    source: SourceCard,
    head: heads.Head,
    classes: list[str],
    models: list[Model],
    chosen: Model,
    *,
    parameters: Mapping[str, object],
    verdict: Verdict,
    bootstrap: int,
    bins: int,
    seed: int,
    device: Device = CPU,
) -> Evaluation:
    """Measure every contender on the test rows of `table`, and put together what ships.

    `head` is the one fitted on train and validation on `source`, `models` are the other contenders, and `chosen` is what ships. `verdict` is
    that of the stage before, and `parameters` are those of all stages, for the card.
    """
    test = table[table["split"] == "test"].reset_index(drop=True)
    labels = encoding.encode(test["label"], classes)
    probabilities = {"head": likelihood.softmax(head.logits(of_source.of_source(source, test, root, device)))}
    for model in _whole(models, chosen):
        what = f"{model.name.replace('_', ' ')}, test images"
        probabilities[model.name] = likelihood.softmax(classify.logits(model.weights, model.card, test, root, device, what))
    figures = {name: metrics.describe(p, labels, classes, draws=bootstrap, bins=bins, seed=seed) for name, p in probabilities.items()}
    shipped = probabilities[chosen.name]
    right = {name: p.argmax(1) == labels for name, p in probabilities.items()}
    transfer = _transfer(right, test["sha256"].to_numpy(str), verdict)
    told = _metrics(source.name, chosen.name, classes, table, figures, transfer)
    told["caveats"] = caveats.caveats(_seen(told, verdict, float(shipped.max(1).mean())))
    return Evaluation(
        kept.with_head(source, chosen.weights, head) if chosen.name == "head" else chosen.weights,
        _card(chosen, classes, table, parameters, figures[chosen.name]),
        told,
        _predictions(test, classes, labels, shipped, probabilities["head"]),
        pd.DataFrame({"actual": test["label"], "predicted": np.array(classes)[shipped.argmax(1)]}),
        pd.DataFrame(metrics.reliability(shipped, labels, bins)),
    )


def _whole(models: list[Model], chosen: Model) -> list[Model]:
    """The models that are run as a whole: all but the frozen head, what ships among them."""
    known = {"head", *(one.name for one in models)}
    return models if chosen.name in known else [*models, chosen]


def _metrics(
    source: str, shipped: str, classes: list[str], table: pd.DataFrame, figures: dict[str, Figures], transfer: Transfer | None
) -> Metrics:
    sizes = table["split"].value_counts()
    first = {"source": source, "shipped": shipped, "classes": classes}
    counts = {f"n_{split}": int(sizes[split]) for split in ("train", "validation", "test")}
    return cast(Metrics, {**first, **counts, "test": figures[shipped], **figures, "transfer": transfer, "caveats": []})


def _seen(told: Metrics, verdict: Verdict, sure: float) -> caveats.Seen:
    """What the caveats are made of; `sure` is the mean probability of what ships."""
    return caveats.Seen(
        shipped=told["shipped"],
        source=told["source"],
        n_validation=told["n_validation"],
        n_test=told["n_test"],
        test=told["test"],
        head=told["head"],
        sure=sure,
        verdict=verdict,
        transfer=told["transfer"],
    )


def _transfer(right: dict[str, np.ndarray], images: np.ndarray, verdict: Verdict) -> Transfer | None:
    """What the test images say of the verdict; `right` (n,) bool of each contender."""
    of = verdict["of"]
    if "scratch" not in right or of not in right:
        return None
    ours, theirs = ([records.Record(images, right[name][None], np.zeros(1, np.int64), 0)] for name in (of, "scratch"))
    mix = verdict["mix"] if of == verdict["ships"] else None
    found = comparison.compare(ours, theirs, names=(naming.subject(of, mix), naming.subject("scratch")))
    return {
        "verdict": verdict["answer"],
        "says": _says(found["answer"], verdict["answer"]),
        "answer": found["answer"],
        "evidence": found["evidence"],
        "asymptote": found["asymptote"],
    }


def _says(found: str, answer: str) -> str:
    """What an answer from the test images means for the one that was given."""
    if found == answer:
        return "confirms"
    if {found, answer} == {"positive", "negative"}:
        return "contradicts"
    if found in ("positive", "negative"):
        return f"answers {found}"
    return "leaves open"


def _card(chosen: Model, classes: list[str], table: pd.DataFrame, parameters: Mapping[str, object], test: Figures) -> ModelCard:
    network = chosen.card
    return ModelCard(
        format=1,
        shipped=chosen.name,
        source=network.name,
        library=network.library,
        architecture=network.architecture,
        kind=network.kind,
        weights_sha256=network.weights_sha256,
        transform=network.transform,
        grey=manifest.grey(table),
        classes=tuple(classes),
        data_sha256=manifest.split_hash(table),
        parameters=parameters,
        versions={name: version(name) for name in PACKAGES},
        metrics={
            "accuracy": test["accuracy"],
            "balanced_accuracy": test["balanced_accuracy"],
            "macro_f1": test["macro_f1"],
            "ece": test["ece"],
        },
    )


def _predictions(test: pd.DataFrame, classes: list[str], labels: np.ndarray, shipped: np.ndarray, head: np.ndarray) -> pd.DataFrame:
    """A row per test image, from probabilities (n, classes) of what ships and of the frozen head."""
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
