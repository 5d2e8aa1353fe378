"""What to do next, in plain words: labels to look at, classes to photograph, a pair to look at."""

from __future__ import annotations

from headstart.report import photos, summary
from headstart.report.findings import Findings
from headstart.words import labels
from headstart.words.formats import count, percent

WEAK = 0.95  # recall (0-1) from which a class is no reason to photograph more of it
WIDE = 0.2  # length of the interval of the accuracy (0-1) from which on more photos are asked for


def following(f: Findings) -> list[str]:
    """What is most worth doing, the most useful first; empty if nothing is."""
    return [*_labels(f), *_few(f), *_photos(f), *_pair(f)]


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


def _few(f: Findings) -> list[str]:
    """That the images are too few to say how good the model is, if they are."""
    low, high = f.metrics["test"]["interval"]["accuracy"]
    if high - low < WIDE:
        return []
    tested = count(f.metrics["n_test"], "test image")
    return [
        f"Add photos of every class (`headstart import --add`): {tested} cannot tell whether {percent(low)} or {percent(high)} of new ones will be right."
    ]


def _pair(f: Findings) -> list[str]:
    found = summary.commonest(f)
    if found is None:
        return []
    actual, predicted, times = found
    return [
        f"Look at {actual} beside {predicted}: {actual} was taken for {predicted} {times} times, the commonest mistake. Can you tell them apart in these photos?"
    ]
