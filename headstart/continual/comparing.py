"""How many test images of each batch are right, and what the newest batch did to those of the earlier ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from headstart.base.reading import Features
from headstart.continual.outcome import Forgetting, OfBatch
from headstart.data import encoding
from headstart.linear import logistic
from headstart.networks.heads import Head
from headstart.statistics import intervals
from headstart.statistics.goals import Goal
from headstart.statistics.paired import difference

LEVEL = 0.95  # confidence in each end of a paired interval


def accuracies(table: pd.DataFrame, names: Sequence[str], right: pd.Series) -> list[OfBatch]:
    """What is known of each batch, in the order of `names`; `right` says by path which test images are answered rightly."""
    told: list[OfBatch] = []
    seen: set[str] = set()
    for name in names:
        rows = table[table["batch"] == name]
        answers = right.reindex(rows.loc[rows["split"] == "test", "path"]).dropna().to_numpy(bool)
        classes = sorted(set(rows["label"]) - seen) if seen else []
        seen |= set(rows["label"])
        low, high = intervals.share(int(answers.sum()), max(len(answers), 1))
        told.append(
            {
                "name": name,
                "images": len(rows),
                "new_classes": classes,
                "n_test": len(answers),
                "accuracy": float(answers.mean()) if len(answers) else None,
                "interval": [float(low), float(high)] if len(answers) else [],
            }
        )
    return told


def without_newest(
    table: pd.DataFrame, features: Features, classes: list[str], newest: str, *, penalty: float, balanced: bool, goal: Goal
) -> tuple[Head, list[str]] | None:
    """The head on training and validation images without the newest batch, and its classes; None if fewer than two are left.

    `features` (n, d) are of the rows of `table`; of `newest` "" there are none. It is fitted as the head that ships was: with its penalty.
    """
    earlier = np.flatnonzero((table["batch"] != newest).to_numpy() & table["split"].isin(["train", "validation"]).to_numpy())
    known = [name for name in classes if name in set(table["label"].iloc[earlier])]
    if len(known) < 2:
        return None
    labels = encoding.encode(table["label"].iloc[earlier], known)
    return logistic.once(features[earlier], labels, classes=len(known), penalty=penalty, balanced=balanced, goal=goal), known


def forgetting(
    table: pd.DataFrame, features: Features, names: Sequence[str], before: tuple[Head, list[str]], after: tuple[Head, list[str]]
) -> list[Forgetting]:
    """What the newest batch did to test images of the earlier ones, which `names` has in order, the newest last."""
    rows = table[(table["split"] == "test") & table["batch"].isin(names[:-1])]
    right = [_right(head, classes, features, rows) for head, classes in (before, after)]
    batches = rows["batch"].to_numpy()
    told = [_compared(name, *(one[batches == name] for one in right)) for name in names[:-1] if (batches == name).any()]
    return [*told, _compared("", *right)] if len(told) > 1 else told


def _right(head: Head, classes: list[str], features: Features, rows: pd.DataFrame) -> np.ndarray:
    """Which of `rows` (n,), whose index is their place among `features`, a head has right."""
    if rows.empty:
        return np.zeros(0, bool)
    named = np.array(classes, object)[head.logits(features[rows.index.to_numpy()]).argmax(1)]
    return np.asarray(named == rows["label"].to_numpy(object))


def _compared(name: str, before: np.ndarray, after: np.ndarray) -> Forgetting:
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    return {
        "name": name,
        "n": len(before),
        "before": float(before.mean()),
        "after": float(after.mean()),
        "difference": difference(after, before)[0],
        "interval": list(intervals.proportions(gained, lost, len(before), LEVEL)),
    }
