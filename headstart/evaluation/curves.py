"""What other operating points would give: recall, precision and false alarms of a class at every cut of its probability.

They are measured on the test images after the point was chosen, and choose nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from headstart.statistics import operating
from headstart.statistics.goals import Goal
from headstart.statistics.operating import Point

SHOWN, MOST = 4, 200  # classes, and points of the curve of a class
COLUMNS = ["label", "factor", "threshold", "recall", "precision", "false_alarms", "chosen"]


def shown(goal: Goal, labels: np.ndarray, classes: list[str]) -> list[int]:
    """The classes whose curves are shown: the one that the goal names, of two the rarer one, else the rarest."""
    if goal.label is not None:
        return [classes.index(goal.label)]
    counts = np.bincount(labels, minlength=len(classes))
    rarest = [int(number) for number in np.argsort(counts, kind="stable") if counts[number]]
    return rarest[: 1 if len(classes) == 2 else SHOWN]


def table(goal: Goal, point: Point, probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """A row per class and cut, from the strictest on.

    Recall, precision and false alarms (the share of all other images that are called so) are shares (0-1); `factor` is that of the class
    in the operating point, the other factors being as they are, and `threshold` the probability that it means of two classes.
    """
    parts = [_of_class(number, point, probabilities, labels, classes) for number in shown(goal, labels, classes)]
    return pd.DataFrame([row for part in parts for row in part], columns=COLUMNS)


def _of_class(number: int, point: Point, probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> list[dict[str, object]]:
    others = np.array(point.factors)
    others[number] = 1.0
    scale = others[1 - number] if len(classes) == 2 else 1.0  # of two classes, only the ratio of their factors counts
    own, others = point.factors[number] / scale, others / scale
    others[number] = 1.0
    scores, positive = operating.odds(probabilities * others, number), labels == number
    cuts, found, named = operating.counted(scores, positive)
    kept = np.unique(np.linspace(0, len(cuts) - 1, MOST).round().astype(int)) if len(cuts) > MOST else np.arange(len(cuts))
    rows = [_row(classes[number], np.exp(-cuts[at]), found[at], named[at], positive, len(classes)) for at in kept]
    at_point = operating.odds(probabilities * np.array(point.factors), number) > 0
    chosen = _row(classes[number], own, int((at_point & positive).sum()), int(at_point.sum()), positive, len(classes))
    return [{**row, "chosen": False} for row in rows] + [{**chosen, "chosen": True}]


def _row(label: str, factor: float, found: int, named: int, positive: np.ndarray, classes: int) -> dict[str, object]:
    present, absent = int(positive.sum()), int((~positive).sum())
    return {
        "label": label,
        "factor": float(factor),
        "threshold": float(1 / (1 + factor)) if classes == 2 else None,
        "recall": found / max(present, 1),
        "precision": found / named if named else 1.0,
        "false_alarms": (named - found) / max(absent, 1),
    }
