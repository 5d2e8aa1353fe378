"""What to do next, in plain words: labels to look at, classes to photograph, a pair to look at."""

from __future__ import annotations

from headstart.report import photos
from headstart.report.findings import Findings
from headstart.words import labels
from headstart.words.formats import count, percent

WEAK = 0.95  # recall (0-1) from which a class is no reason to photograph more of it
OFTEN = 2  # confusions of a pair from which it is named


def following(f: Findings) -> list[str]:
    """What is most worth doing, the most useful first; empty if nothing is."""
    return [*_labels(f), *_photos(f), *_pair(f)]


def _labels(f: Findings) -> list[str]:
    found = f.labels
    counted = found["singles"], found["expected"], len(found["blocks"])
    if labels.shown(*counted):
        return [
            f"Look at {count(len(found['labels']), 'label')} with `headstart review`: wrong ones harm the model, and make its test untrue."
        ]
    return []


def _photos(f: Findings) -> list[str]:
    """The class that is missed most often, if more photos may help."""
    curve, weakest = (
        f.head.get("learning_curve"),
        min(f.metrics["test"]["per_class"].items(), key=lambda item: (item[1]["recall"], item[0])),
    )
    label, figures = weakest
    if not curve or not curve["expected"] or figures["recall"] >= WEAK or not figures["n"]:
        return []
    low, high = curve["expected"][1]["more_interval"]
    answer = photos.answer(low, high)
    if answer == "hardly":
        return []
    may = "would" if answer == "yes" else "may"
    found = f"{percent(figures['recall'])} of its {count(figures['n'], 'test image')} are recognised, the least of all classes"
    return [f"Photograph more of {label}: {found}, and more photos {may} help."]


def _pair(f: Findings) -> list[str]:
    wrong = f.confusion[f.confusion["actual"] != f.confusion["predicted"]]
    if wrong.empty:
        return []
    pairs = wrong.groupby(["actual", "predicted"]).size().sort_values(ascending=False, kind="stable")
    (actual, predicted), times = pairs.index[0], int(pairs.iloc[0])
    if times < OFTEN:
        return []
    return [
        f"Look at {actual} beside {predicted}: {actual} was taken for {predicted} {times} times, the commonest mistake. Can you tell them apart in these photos?"
    ]
