"""The report's section on whether transfer helped.

The answer, the evidence, what ships for it, what was tried, and what the test images say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.report import charts
from headstart.report.findings import Findings
from headstart.statistics import goals
from headstart.words import formats, naming
from headstart.words.formats import count, percent
from headstart.words.lists import sentence

if TYPE_CHECKING:
    from headstart.proof.comparison import Comparison, Score, Slope
    from headstart.proof.proving import Curves, Labelled

Cells = tuple[str, str, str, str]  # of the first group, of the second, their difference, its interval
Line = tuple[str, str, str, str, str, str]


@dataclass(frozen=True)
class Pair:
    """Two groups of trainings compared; a row is its name, what it is, and four Cells."""

    title: str
    first: str
    second: str
    rows: list[Line]
    level: str  # of the intervals
    n: int  # held-out images
    seeds: str


@dataclass(frozen=True)
class Labels:
    """The final scores over the number of labels; a row is that number, four Cells, and the answer."""

    chart: str
    rows: list[Line]
    level: str


@dataclass(frozen=True)
class Test:
    """What the test images say of the answer; `tone` is a class of the style sheet."""

    says: str
    tone: str
    evidence: str


@dataclass(frozen=True)
class Contender:
    """What could ship, with its validation figures."""

    title: str
    validation_accuracy: float
    balanced: float | None  # balanced accuracy, if that is what decides
    log_likelihood: float
    ships: bool


@dataclass(frozen=True)
class Remedy:
    """A remedy that was tried."""

    title: str
    why: str  # what it changes
    source: str
    validation_accuracy: float
    ships: bool


@dataclass(frozen=True)
class Transfer:
    """What the section shows; `tested` is false if no network was trained from random weights."""

    tested: bool
    answer: str
    tone: str  # a class of the style sheet
    standing: str
    evidence: str
    chart: str
    stopped: bool  # whether one of the curves is shorter than the other
    pairs: list[Pair]
    labels: Labels | None
    test: Test | None
    notes: list[str]
    contenders: list[Contender]
    n_validation: int
    reason: str
    remedies: list[Remedy]


def transfer(f: Findings) -> Transfer:
    """The whole section."""
    v = f.verdict
    tested = "pretrained_against_random" in v
    pairs = []
    if tested:
        ours = naming.title(v["of"], v["mix"] if v["of"] == v["ships"] else None)
        pairs.append(_pair(v["pretrained_against_random"], "Pretrained against random weights", ours, "Random weights"))
    if "fine_tuned_against_head" in v:
        pairs.append(
            _pair(v["fine_tuned_against_head"], "Fine-tuned against the frozen head", "Fine-tuned", "Frozen head", same_start=True)
        )
    return Transfer(
        tested=tested,
        answer=naming.answered(v["answer"], v["pretrained_against_random"]["asymptote"]["n_images"] if tested else None),
        tone={"positive": "ok", "negative": "no"}.get(v["answer"], ""),
        standing=naming.told(v["answer"], v["standing"]),
        evidence=f"{sentence(v['pretrained_against_random']['evidence'])} {v['settle']}".rstrip() if tested else "",
        chart=_learning(v["curves"], v["pretrained_against_random"]["slope"]["threshold"]) if tested else "",
        stopped=tested and v["curves"]["pretrained"][-1]["step"] != v["curves"]["random"][-1]["step"],
        pairs=pairs,
        labels=_labels(v.get("label_curve", [])),
        test=_test(f),
        notes=_notes(f) if tested else [],
        contenders=_contenders(f),
        n_validation=f.metrics["n_validation"],
        reason=sentence(v["reason"]),
        remedies=[
            Remedy(naming.title(one["name"]), naming.contender(one["name"]).change, one["source"], one["validation_accuracy"], one["ships"])
            for one in v["remedies"]
        ],
    )


def _contenders(f: Findings) -> list[Contender]:
    """What could ship, as far as it was known before remedies."""
    shipped = (f.verdict["ships"], f.verdict["mix"])
    aim = f.metrics.get("aim")
    even = bool(aim) and goals.read(aim["goal"]).even
    return [
        Contender(
            naming.title(one["name"], one["mix"]),
            one["validation_accuracy"],
            one.get("validation_gain") if even else None,
            one["log_likelihood"],
            (one["name"], one["mix"]) == shipped,
        )
        for one in f.verdict["arms"]
    ]


def _learning(curves: Curves, threshold: float) -> str:
    """Validation accuracy over the steps of both groups, the pretrained one from its converged head; "" if neither was trained beyond its head.

    Drawn in: rings at the start and at the best epoch of each, and a line at the accuracy (0-1) to which the steps are counted.
    """
    series = [
        charts.Series("pretrained", [(row["step"], row["accuracy"]) for row in curves["pretrained"]]),
        charts.Series("random weights", [(row["step"], row["accuracy"]) for row in curves["random"]], 2, dashed=True),
    ]
    if all(len(one.points) < 2 for one in series):
        return ""
    alt = "; ".join(
        f"{s.name} from {percent(s.points[0][1])} to {percent(s.points[-1][1])} in {s.points[-1][0]:,.0f} steps" for s in series
    )
    return charts.lines(
        series,
        alt=f"Validation accuracy over the steps of training: {alt}; steps are counted to {percent(threshold)}",
        x_title="steps of training (rings: start and end)",
        y_title="validation accuracy",
        y_text=formats.short,
        level=(threshold, "90% of the better end"),
        rings=[point for one in series for point in dict.fromkeys((one.points[0], max(one.points, key=lambda point: point[1])))],
        ceiling=1.0,
    )


def _pair(compared: Comparison, title: str, first: str, second: str, *, same_start: bool = False) -> Pair:
    """Start, steps and final score of two groups, their difference and its interval.

    `same_start`: the groups begin as one model, as fine-tuning begins with the frozen head.
    """
    start, slope, final = compared["start"], compared["slope"], compared["asymptote"]
    at_start = _shares(start)
    if same_start:
        at_start = (at_start[0], at_start[1], "the same", "")
    rows = [
        ("Start", "accuracy at step 0", *at_start),
        ("Slope", f"steps to {percent(slope['threshold'])}, 90% of the better end", *_steps(slope)),
        ("End", "accuracy at the best epoch", *_shares(final)),
    ]
    seeds = (
        f"{count(final['n_seeds'], 'fold' if compared['design'] == 'folds' else 'seed')} each" if final["n_seeds"] > 1 else "one run each"
    )
    return Pair(title, first, second, rows, f"{100 - 200 * compared['level']:g}%", final["n_images"], seeds)


def _shares(score: Score) -> Cells:
    """Two accuracies, their difference and its interval in points."""
    low, high = (100 * end for end in score["interval"])
    return percent(score["first"]), percent(score["second"]), f"{100 * score['difference']:+.1f} points", f"{low:+.1f} to {high:+.1f}"


def _steps(slope: Slope) -> Cells:
    """Steps of both groups, their difference and its interval.

    An end is open if a group may never get there.
    """
    first, second = ("never" if steps is None else f"{steps:,.0f}" for steps in (slope["first"], slope["second"]))
    difference = "" if slope["difference"] is None else f"{_signed(slope['difference'])} steps"
    return first, second, difference, _between(*slope["interval"])


def _between(low: float | None, high: float | None) -> str:
    """An interval in steps; None is an open end."""
    if low is not None and high is not None:
        return f"{_signed(low)} to {_signed(high)}"
    if low is not None:
        return f"{_signed(low)} or more"
    if high is not None:
        return f"{_signed(high)} or less"
    return ""


def _signed(steps: float) -> str:
    return f"{steps:+,.0f}" if steps else "0"


def _labels(curve: list[Labelled]) -> Labels | None:
    """The final scores over the number of labels, the last being all; None if there is no such curve."""
    if not curve:
        return None
    names = [str(row["labels"] or "all") for row in curve]
    series = [
        charts.Series("pretrained", [(n, row["asymptote"]["first"]) for n, row in enumerate(curve)]),
        charts.Series("random weights", [(n, row["asymptote"]["second"]) for n, row in enumerate(curve)], 2, dashed=True),
    ]
    alt = "; ".join(
        f"{name}: {percent(row['asymptote']['first'])} and {percent(row['asymptote']['second'])}"
        for name, row in zip(names, curve, strict=True)
    )
    chart = charts.lines(
        series,
        alt=f"Validation accuracy over the labels of each class, pretrained and from random weights; {alt}",
        x_title="labels per class",
        y_title="validation accuracy",
        y_text=formats.short,
        ceiling=1.0,
        x_names=names,
    )
    rows = [
        (name, *_shares(row["asymptote"]), naming.answer(row["answer"], row["asymptote"]["n_images"]))
        for name, row in zip(names, curve, strict=True)
    ]
    return Labels(chart, rows, f"{100 - 200 * curve[0]['level']:g}%")


def _test(f: Findings) -> Test | None:
    """Whether the test images confirm the answer.

    None if no network from random weights was measured on them.
    """
    found = f.metrics["transfer"]
    if not found:
        return None
    says = f"The test images {naming.TEST[found['says']].format(answer='the answer')}"
    return Test(says, {"confirms": "ok", "answers positive": "ok", "contradicts": "no"}.get(found["says"], ""), sentence(found["evidence"]))


def _notes(f: Findings) -> list[str]:
    """What weakens the answer, in plain words."""
    v, said = f.verdict, []
    score, used = v["pretrained_against_random"]["asymptote"], f.baseline["parameters"]["baseline"]
    if v["standing"] == "indicative":
        runs = "one run of each network" if score["n_seeds"] == 1 else f"{score['n_seeds']} runs of each network"
        said.append(
            f"Indicative: {runs}, so the interval holds what other images would change, and not what another seed would. "
            "Five or more (verdict.seeds) can establish it."
        )
    if score["n_images"] < 100:
        said.append(f"{count(score['n_images'], 'held-out image')} can show only large differences.")
    sizes = v["input_size"]
    if sizes["random"] != sizes["pretrained"]:
        said.append(
            f"To save time the network from random weights saw images of {sizes['random']} pixels, the pretrained one {sizes['pretrained']}: a part of the "
            "difference may come from that (baseline.max_size)."
        )
    if used["max_images"] < max(f.metrics["n_train"], f.metrics["n_validation"]):
        said.append(f"The network from random weights saw at most {used['max_images']:,} images of each split (baseline.max_images).")
    curve = f.baseline_curve
    if len(curve) and curve["validation_loss"].idxmin() == len(curve) - 1:
        said.append(
            "The network from random weights was at its best after its last epoch: with more (baseline.epochs, baseline.passes) it would likely get further."
        )
    return said
