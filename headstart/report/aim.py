"""The report's section on the aim: the operating point, what became of it on the test images, and what other points would give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.report import charts
from headstart.report.findings import Findings
from headstart.statistics import goals, operating
from headstart.statistics.goals import Goal
from headstart.statistics.operating import Point
from headstart.words import aims, formats
from headstart.words.formats import count, percent
from headstart.words.lists import sentence

if TYPE_CHECKING:
    import pandas as pd

    from headstart.evaluation.test_split import Reached


@dataclass(frozen=True)
class OfClass:
    """The curves of a class, and what the chosen point is on them, in words."""

    label: str
    panels: list[str]  # receiver operating characteristic; precision over recall
    at: str


@dataclass(frozen=True)
class Aim:
    """What the section shows, in sentences."""

    goal: str
    point: str  # empty if the likeliest class is named
    chosen_on: str
    reached: str  # empty if no recall or precision was asked for
    curves: list[OfClass]


def aim(f: Findings) -> Aim | None:
    """What the model was to be good at; None if an earlier version made the run."""
    made = f.metrics.get("aim")
    if not made:
        return None
    goal, point, classes = goals.read(made["goal"]), operating.read(made["point"]), f.metrics["classes"]
    label = goal.label or max(classes, key=lambda name: point.factors[classes.index(name)])
    said = _said(label, point, classes, goal.measure)
    return Aim(
        goal=sentence(aims.goal(goal.measure, goal.label, goal.reach) + aims.why(goal.measure, goal.asked, goal.ratio)),
        point=said,
        chosen_on=f"It was chosen on {count(point.n, 'image')} that the model was not trained on." if point.n and said else "",
        reached=_reached(goal, point, made["reached"]),
        curves=[_of_class(str(name), rows) for name, rows in f.thresholds.groupby("label", sort=False)] if len(f.thresholds) else [],
    )


def _said(label: str, point: Point, classes: list[str], measure: str) -> str:
    number = classes.index(label)
    said = aims.point(measure, label, point.threshold(number), point.factors[number])
    return sentence(said) if said else ""


def _reached(goal: Goal, point: Point, tested: Reached | None) -> str:
    """What became of a recall or precision that was asked for: out of fold, then on the test images."""
    if tested is None or goal.reach is None:
        return ""
    before = aims.reached(point.held_out, point.bound, point.reached, goal.reach, point.n)
    low, high = tested["interval"]
    if low >= goal.reach:
        words = "they show that it is reached"
    elif high >= goal.reach:
        words = "what was asked for lies within that interval"
    else:
        words = "they show that it is not reached"
    shown = f"{percent(tested['value'])} (95% interval {percent(low)} to {percent(high)})"
    return f"{before} On {count(tested['n'], 'test image')}: {shown}; {words}."


def _of_class(label: str, rows: pd.DataFrame) -> OfClass:
    curve, chosen = rows[~rows["chosen"]], rows[rows["chosen"]].iloc[0]
    recall, precision, alarms = (float(chosen[key]) for key in ("recall", "precision", "false_alarms"))
    at = (
        f"At the chosen point {percent(recall)} of the test images of {label} are found, {percent(precision)} of those called {label} are, "
        f"and {percent(alarms)} of all others are called {label} (false alarms)."
    )
    by_alarms = [(float(x), float(y)) for x, y in zip(curve["false_alarms"], curve["recall"], strict=True)]
    by_recall = [(float(x), float(y)) for x, y in zip(curve["recall"], curve["precision"], strict=True)]
    panels = [
        _panel(label, [(0.0, 0.0), *by_alarms, (1.0, 1.0)], (alarms, recall), "false alarms", "found (recall)"),
        _panel(label, by_recall, (recall, precision), "found (recall)", "right when named (precision)"),
    ]
    return OfClass(label, panels, at)


def _panel(label: str, points: list[tuple[float, float]], chosen: tuple[float, float], x_title: str, y_title: str) -> str:
    x, y = map(percent, chosen)
    return charts.lines(
        [charts.Series(label, points)],
        alt=f"{y_title} over {x_title} for {label}; the chosen point is at {y} over {x}",
        x_title=f"{x_title} (ring: chosen point)",
        y_title=y_title,
        y_text=formats.short,
        x_text=formats.short,
        rings=[chosen],
        ceiling=1.0,
    )
