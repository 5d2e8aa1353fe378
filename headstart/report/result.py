"""The report's section on the result: measures, classes, confusions, and whether probabilities hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from headstart.report import charts
from headstart.report.findings import Findings
from headstart.words import formats, limits, naming
from headstart.words.formats import percent

if TYPE_CHECKING:
    from headstart.evaluation.metrics import Figures

Key = Literal["accuracy", "balanced_accuracy", "macro_f1", "ece"]
MATRIX = 12  # classes up to which the whole confusion matrix is shown
TOP = 15  # rows of a table that shows the worst of many
MEASURES: dict[Key, tuple[str, str]] = {
    "accuracy": ("Accuracy", "share of test images that are right"),
    "balanced_accuracy": ("Balanced accuracy", "the same, every class counting alike"),
    "macro_f1": ("Macro F1", "mean over the classes of F1, which weighs misses and false alarms alike"),
    "ece": ("Calibration error", "how far the stated probabilities are off on average (lower is better)"),
}
POINTS = 60  # of the curve of coverage, at most
LONG = 7  # letters beyond which the name of a class is written upright in the matrix


@dataclass(frozen=True)
class Measure:
    """A row of the table: a measure in words, and for each contender its value and its interval, if known."""

    name: str
    why: str
    cells: list[tuple[str, tuple[str, str] | None]]


@dataclass(frozen=True)
class Result:
    """The measures of what ships, first, beside those of the other contenders."""

    columns: list[str]
    rows: list[Measure]
    chart: str
    n_train: int
    n_validation: int
    n_test: int


@dataclass(frozen=True)
class OfClass:
    """The figures (0-1) of a class."""

    label: str
    precision: float
    recall: float
    f1: float
    n: int
    head_f1: float | None  # of the frozen head, if it is another model than what ships


@dataclass(frozen=True)
class Classes:
    """All classes, the weakest first."""

    rows: list[OfClass]
    shown: int  # at once
    beside: bool  # whether the frozen head's figures are beside them


@dataclass(frozen=True)
class MatrixRow:
    """What the images of one class were taken for."""

    label: str
    cells: list[tuple[int, float]]  # for each class how many, and which share (0-1) of the row


@dataclass(frozen=True)
class Confused:
    """How often images of a class were taken for another, and which share (0-1) of its images that is."""

    actual: str
    predicted: str
    n: int
    share: float


@dataclass(frozen=True)
class Confusion:
    """The whole matrix if classes are few, and the commonest confusions of `n_kinds`."""

    classes: list[str]
    matrix: list[MatrixRow]
    top: list[Confused]
    n_kinds: int
    long: bool  # whether some class has a long name


@dataclass(frozen=True)
class Coverage:
    """What leaving unsure answers to a person brings: the curve, and the same in words."""

    chart: str
    said: str


@dataclass(frozen=True)
class Calibration:
    """The reliability chart, empty if there is nothing to draw, and the calibration error; the same before the logits were scaled, and what was done, in words."""

    chart: str
    ece: str
    before: str
    said: str


def result(f: Findings) -> Result:
    """What ships beside what it was compared with."""
    shipped = f.metrics["shipped"]
    columns: list[tuple[str, Figures]] = [(f"{naming.title(shipped)} (ships)", f.metrics["test"])]
    for name in naming.CONTENDERS:
        figures = f.of_contender(name)
        if name != shipped and figures:
            columns.append((naming.title(name), figures))
    rows = [Measure(title, why, [_cell(figures, key) for _, figures in columns]) for key, (title, why) in MEASURES.items()]
    n_train, n_validation, n_test = f.metrics["n_train"], f.metrics["n_validation"], f.metrics["n_test"]
    return Result([name for name, _ in columns], rows, _bars(columns), n_train, n_validation, n_test)


def limits_of(f: Findings) -> list[str]:
    """What the model that ships leaves to a person, and what it calls unlike all that it knows; empty in a result of an earlier version."""
    made = f.metrics.get("limits")
    if made is None:
        return []
    told = limits.unsure(made["answered"], made["error"]), limits.unlike(made["false_alarms"])
    return [f"{one[0].upper()}{one[1:]}." for one in told]


def _cell(figures: Figures, key: Key) -> tuple[str, tuple[str, str] | None]:
    """A measure, and the ends of its interval if it has one."""
    ends = figures.get("interval", {}).get(key)
    return percent(figures[key]), (percent(ends[0]), percent(ends[1])) if ends else None


def _bars(columns: list[tuple[str, Figures]]) -> str:
    """The accuracies with their intervals."""
    bars = []
    for name, figures in columns:
        ends = figures.get("interval", {}).get("accuracy")
        if ends:
            bars.append((name, figures["accuracy"], ends[0], ends[1]))
    alt = "; ".join(f"{name} {percent(value)} ({percent(low)} to {percent(high)})" for name, value, low, high in bars)
    return charts.whiskers(bars, alt=f"Test accuracy with intervals: {alt}") if bars else ""


def classes(f: Findings) -> Classes:
    """Every class, the weakest first."""
    beside = f.metrics["head"].get("per_class", {}) if f.metrics["shipped"] != "head" else {}
    rows = [
        OfClass(label, one["precision"], one["recall"], one["f1"], one["n"], beside[label]["f1"] if label in beside else None)
        for label, one in f.metrics["test"]["per_class"].items()
    ]
    rows.sort(key=lambda row: (row.f1, row.label))
    return Classes(rows, len(rows) if len(rows) <= TOP + 5 else TOP, bool(beside))


def confusion(f: Findings) -> Confusion:
    """What is taken for what."""
    classes = f.metrics["classes"]
    counts = f.confusion.groupby(["actual", "predicted"]).size()
    matrix = []
    if len(classes) <= MATRIX:
        for actual in classes:
            row = [int(counts.get((actual, predicted), 0)) for predicted in classes]
            matrix.append(MatrixRow(actual, [(n, n / max(sum(row), 1)) for n in row]))
    totals = f.confusion["actual"].value_counts()
    wrong = [Confused(a, p, int(n), int(n) / int(totals[a])) for (a, p), n in counts.items() if a != p]
    wrong.sort(key=lambda one: (-one.n, one.actual, one.predicted))
    return Confusion(classes, matrix, wrong[:TOP], len(wrong), max(map(len, classes)) > LONG)


def calibration(f: Findings) -> Calibration:
    """How far the stated probabilities hold."""
    known = f.reliability.dropna() if len(f.reliability) else f.reliability
    bins = [(float(row.confidence), float(row.accuracy), int(row.n)) for row in known.itertuples()]
    scaling = f.metrics.get("scaling")
    now = percent(f.metrics["test"]["ece"])
    if scaling is None:
        head = "The penalty of the head was chosen for the likeliest probabilities out of fold, so nothing was scaled."
        return Calibration(_reliability(bins), now, "", head if f.metrics["shipped"] == "head" else "")
    before = [(one["confidence"], one["accuracy"], one["n"]) for one in scaling["bins"]]
    said = (
        f"Its logits are divided by {formats.plain(scaling['temperature'])}, found on the validation images: above 1, it was too sure before. "
        f"The average gap was {percent(scaling['ece'])} before and is {now}."
    )
    return Calibration(_reliability(bins), now, _reliability(before), said)


def _reliability(bins: list[tuple[float, float, int]]) -> str:
    """The chart of bins (confidence, share right, images); empty if there are none."""
    said = [f"sure {percent(c)}, right {percent(a)}, {formats.count(n, 'image')}" for c, a, n in bins if n]
    return charts.reliability(bins, alt="Reliability: " + "; ".join(said)) if said else ""


def coverage(f: Findings) -> Coverage | None:
    """How many of the answers are right if only the surest are given; None if an earlier version made the run, or there is nothing to draw."""
    made, rows = f.metrics.get("limits"), f.predictions
    if made is None or "sure" not in rows or len(rows) < 2:
        return None
    order = rows.sort_values(["sure", "path"], ascending=[False, True], kind="stable")
    given = np.arange(1, len(order) + 1)
    right = order["correct"].to_numpy(bool).cumsum() / given
    ends = np.flatnonzero(np.append(np.diff(order["sure"]) < 0, True))  # answers that are equally sure are given together
    ends = ends[np.unique(np.linspace(0, len(ends) - 1, min(len(ends), POINTS)).round().astype(int))]
    points = [(float(given[at] / len(order)), float(right[at])) for at in ends]
    answered, error = made["answered"], made["error"]
    rings = [(answered, 1 - error)] if error is not None else []
    said = "; ".join(f"{percent(share)} answered: {percent(value)} right" for share, value in points[:: -max(1, len(points) // 8)])
    chart = charts.lines(
        [charts.Series("answers", points)],
        alt=f"Share of right answers over the share of test images that get an answer; {said}",
        x_title="test images that get an answer" + (" (ring: as it is set)" if rings else ""),
        y_title="right among the answers",
        y_text=formats.short,
        x_text=formats.short,
        rings=rings,
        ceiling=1.0,
    )
    return Coverage(
        chart,
        "From right to left, ever fewer of the test images get an answer, the surest ones; the others are left to a person. The further the line "
        "rises, the better the model knows when it may be wrong. `evaluate.abstain` sets where it stops.",
    )
