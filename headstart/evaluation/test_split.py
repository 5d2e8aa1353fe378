"""Read the test split once, for every contender.

They are what ships, the frozen head, the fine-tuned model and the network from random weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.data import encoding, manifest
from headstart.evaluation import caveats, curves, metrics
from headstart.evaluation.limits import Tested
from headstart.evaluation.metrics import Figures
from headstart.features import classify, of_source
from headstart.networks import heads, kept, made
from headstart.networks.cards import ModelCard, SourceCard
from headstart.proof import comparison
from headstart.statistics import calibration, goals, likelihood, limits, operating, records
from headstart.statistics.goals import ACCURACY, Goal
from headstart.statistics.operating import Point
from headstart.words import naming

if TYPE_CHECKING:
    from headstart.proof.shipping import Verdict

Answers = tuple[np.ndarray, np.ndarray]  # probabilities (n, classes), and the class (n,) that is named


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


class Reached(TypedDict):
    """The recall or precision that was asked for, on the test images: how many of `n`, and the exact 95% interval of their share."""

    value: float
    interval: list[float]
    n: int


class Aim(TypedDict):
    """What the model is to be good at, its operating point, and what became of it."""

    goal: dict[str, object]  # the fields of statistics/goals.py's Goal
    point: dict[str, object]  # the fields of statistics/operating.py's Point
    reached: Reached | None  # None if no recall or precision was asked for


class Labels(TypedDict):
    """Labels of all splits to look at: single ones, how many of these are expected to be wrong and a rough range, and blocks of files."""

    singles: int
    expected: list[float]
    blocks: int


class Scaling(TypedDict):
    """How far the probabilities of what ships were off on the test images before its logits were divided by a temperature."""

    temperature: float
    ece: float  # expected calibration error (0-1), without its bias, and its 95% interval
    interval: list[float]
    bins: list[metrics.Bin]


class Scaled(TypedDict, total=False):
    """What reports/metrics.json has of the scaling."""

    scaling: Scaling  # if the logits of what ships were divided by a temperature


class Metrics(Scaled):
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
    aim: Aim
    limits: NotRequired[Tested]  # what `unsure` and `unlike` of the card do to the test images
    labels: NotRequired[Labels]  # how many look wrong
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
    thresholds: pd.DataFrame  # see curves.table


@dataclass(frozen=True)
class Model:
    """A whole model."""

    name: str  # among the contenders
    weights: dict[str, np.ndarray]  # under the library's names
    card: SourceCard  # of its network
    fitted_on: tuple[str, ...] = ("train",)  # splits
    twin: dict[str, np.ndarray] | None = None  # its weights as they were before validation images were learned from, if they were
    temperature: float | None = None  # by which its logits were divided, if that is known


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
    goal: Goal = ACCURACY,
    points: Mapping[str, Point] | None = None,
    device: Device = CPU,
) -> Evaluation:
    """Measure every contender on the test rows of `table`, and put together what ships.

    `head` is the one fitted on train and validation on `source`, `models` are the other contenders, and `chosen` is what ships. `verdict` is
    that of the stage before, and `parameters` are those of all stages, for the card. `points` are the operating points of contenders by
    name; one without names the likeliest class.
    """
    test = table[table["split"] == "test"].reset_index(drop=True)
    labels = encoding.encode(test["label"], classes)
    probabilities = {"head": likelihood.softmax(head.logits(of_source.of_source(source, test, root, device)))}
    for model in _whole(models, chosen):
        what = f"{model.name.replace('_', ' ')}, test images"
        give = classify.answers if model.name == chosen.name else classify.logits  # the features of what ships are wanted later
        probabilities[model.name] = likelihood.softmax(give(model.weights, model.card, test, root, device, what)[:, : len(classes)])
    known = {name: (points or {}).get(name, operating.plain(len(classes))) for name in probabilities}
    named = {name: known[name].named(p) for name, p in probabilities.items()}
    describe = partial(metrics.describe, labels=labels, classes=classes, draws=bootstrap, bins=bins, seed=seed)
    figures = {name: describe(p, predicted=named[name]) for name, p in probabilities.items()}
    shipped, point = probabilities[chosen.name], known[chosen.name]
    right = {name: p.argmax(1) == labels for name, p in probabilities.items()}  # as in the trainings that the verdict compared
    told = _metrics(source.name, chosen.name, classes, table, figures, _transfer(right, test["sha256"].to_numpy(str), verdict))
    told["aim"] = _aim(goal, point, named[chosen.name], labels, classes)
    told |= _before_scaling(shipped, labels, chosen.temperature, draws=bootstrap, bins=bins, seed=seed)
    told["caveats"] = caveats.caveats(_seen(told, verdict, float(shipped.max(1).mean()), goal, point))
    return Evaluation(
        kept.with_head(source, chosen.weights, head) if chosen.name == "head" else chosen.weights,
        replace(_card(chosen, classes, table, parameters, figures[chosen.name]), aim=goal, point=point),
        told,
        _predictions(test, classes, labels, (shipped, named[chosen.name]), (probabilities["head"], named["head"]), point),
        pd.DataFrame({"actual": test["label"], "predicted": np.array(classes)[named[chosen.name]]}),
        pd.DataFrame(metrics.reliability(shipped, labels, bins)),
        curves.table(goal, point, shipped, labels, classes),
    )


def _before_scaling(shipped: np.ndarray, labels: np.ndarray, temperature: float | None, *, draws: int, bins: int, seed: int) -> Scaled:
    """How far probabilities (n, classes) were off before scaling, if there was any: softmax undoes whatever is added to all logits of an image, so their logs are logits."""
    if temperature is None or temperature == 1:
        return {}
    before = likelihood.softmax(temperature * np.log(np.maximum(shipped, operating.FLOOR)))
    error, low, high = calibration.error(calibration.bins(before, labels, bins), draws=draws, seed=seed)
    return {
        "scaling": {"temperature": temperature, "ece": error, "interval": [low, high], "bins": metrics.reliability(before, labels, bins)}
    }


def _aim(goal: Goal, point: Point, named: np.ndarray, labels: np.ndarray, classes: list[str]) -> Aim:
    """What became of the goal, from the classes (n,) that were named and the labels (n,)."""
    reached: Reached | None = None
    if goal.label is not None:
        number = classes.index(goal.label)
        among = named[labels == number] if goal.measure == "recall" else labels[named == number]
        hits, n = int((among == number).sum()), len(among)
        reached = {"value": hits / max(n, 1), "interval": operating.interval(hits, n), "n": n}
    return {"goal": asdict(goal), "point": asdict(point), "reached": reached}


def _whole(models: list[Model], chosen: Model) -> list[Model]:
    """The models that are run as a whole: all but the frozen head, what ships among them."""
    others = [one for one in models if one.name != chosen.name]
    return others if chosen.name == "head" else [*others, chosen]


def _metrics(
    source: str, shipped: str, classes: list[str], table: pd.DataFrame, figures: dict[str, Figures], transfer: Transfer | None
) -> Metrics:
    sizes = table["split"].value_counts()
    first = {"source": source, "shipped": shipped, "classes": classes}
    counts = {f"n_{split}": int(sizes[split]) for split in ("train", "validation", "test")}
    return cast(Metrics, {**first, **counts, "test": figures[shipped], **figures, "transfer": transfer, "caveats": []})


def _seen(told: Metrics, verdict: Verdict, sure: float, goal: Goal, point: Point) -> caveats.Seen:
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
        missed=goal.measure if point.reached is False else None,
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
    if found == answer and found != "too_few":
        return "confirms"
    if {found, answer} == {"positive", "negative"}:
        return "contradicts"
    if found in ("positive", "negative"):
        return f"answers {found}"
    return "leaves open"


def _card(chosen: Model, classes: list[str], table: pd.DataFrame, parameters: Mapping[str, object], test: Figures) -> ModelCard:
    figures = {
        "accuracy": test["accuracy"],
        "balanced_accuracy": test["balanced_accuracy"],
        "macro_f1": test["macro_f1"],
        "ece": test["ece"],
    }
    made_from = table.loc[table["split"] != "test", "label"]
    shares = goals.shares(encoding.encode(made_from, classes), len(classes))
    card = made.card(chosen.name, chosen.card, classes, manifest.grey(table), manifest.split_hash(table), figures, parameters)
    return replace(card, shares=tuple(map(float, shares)), fitted_on=chosen.fitted_on)


def _predictions(
    test: pd.DataFrame, classes: list[str], labels: np.ndarray, ships: Answers, by_head: Answers, point: Point
) -> pd.DataFrame:
    """A row per test image, from what the model that ships and the frozen head say of it; `sure` is what `unsure` is judged by."""
    names, rows = np.array(classes), np.arange(len(test))
    (shipped, predicted), (head, head_predicted) = ships, by_head
    return pd.DataFrame(
        {
            "path": test["path"],
            "label": test["label"],
            "predicted": names[predicted],
            "probability": shipped[rows, predicted],
            "sure": limits.confidence(shipped, np.array(point.factors)),
            "label_probability": shipped[rows, labels],
            "correct": predicted == labels,
            "head_predicted": names[head_predicted],
            "head_probability": head[rows, head_predicted],
        }
    )
