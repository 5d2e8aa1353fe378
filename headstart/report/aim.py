"""The report's section on the aim: the operating point, what became of it on the test images, and what other points would give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.report import charts
from headstart.report.findings import Findings
from headstart.words import aims, formats
from headstart.words.formats import count, percent
from headstart.words.lists import sentence

if TYPE_CHECKING:
    import pandas as pd


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
    goal, point = made["goal"], made["point"]
    classes = f.metrics["classes"]
    label = goal["label"] or min(classes, key=lambda name: -point["factors"][classes.index(name)])
    return Aim(
        goal=sentence(aims.goal(goal["measure"], goal["label"], goal["reach"]) + aims.why(goal["measure"], goal["asked"], goal["ratio"])),
        point=_said(label, point["factors"], classes, goal["measure"]),
        chosen_on=f"It was chosen on {count(point['n'], 'image')} that the model was not trained on." if point["n"] else "",
        reached=_reached(f),
        curves=[_of_class(str(name), rows) for name, rows in f.thresholds.groupby("label", sort=False)] if len(f.thresholds) else [],
    )


def _said(label: str, factors: list[float], classes: list[str], measure: str) -> str:
    number = classes.index(label)
    threshold = factors[1 - number] / (factors[1 - number] + factors[number]) if len(classes) == 2 else None
    said = aims.point(measure, label, threshold, factors[number])
    return sentence(said) if said else ""


def _reached(f: Findings) -> str:
    """What became of a recall or precision that was asked for: out of fold, then on the test images."""
    made = f.metrics["aim"]
    goal, point, tested = made["goal"], made["point"], made["reached"]
    if tested is None:
        return ""
    before = aims.reached(point["held_out"], point["bound"], point["reached"], goal["reach"], point["n"])
    low, high = tested["interval"]
    answer = "holds" if low >= goal["reach"] else "fits" if high >= goal["reach"] else "contradicts"
    words = {
        "holds": "they show that it is reached",
        "fits": "what was asked for lies within that interval",
        "contradicts": "they show that it is not reached",
    }
    return f"{before} On {count(tested['n'], 'test image')}: {percent(tested['value'])} (95% interval {percent(low)} to {percent(high)}); {words[answer]}."


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
