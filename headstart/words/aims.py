"""What a model is to be good at, and the operating point that follows from it, in words."""

from __future__ import annotations

from headstart.words.formats import percent, short

MEASURES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "recall": "recall", "precision": "precision"}


def goal(measure: str, label: str | None = None, reach: float | None = None) -> str:
    """The aim: balanced accuracy; recall of defective of 90% or more."""
    words = MEASURES[measure]
    return words if label is None or reach is None else f"{words} of {label} of {short(reach)} or more"


def why(measure: str, asked: bool, ratio: float | None) -> str:
    """Why that is the aim, in brackets, if nobody asked for it. `ratio`: images of the largest class for each of the smallest."""
    if asked or ratio is None:
        return ""
    if measure == "accuracy" and ratio == 1:
        return " (by default: every class has as many images)"
    if measure == "accuracy":
        return f" (by default: the largest class has {_times(ratio)} the images of the smallest)"
    return f" (by default, as the largest class has {_times(ratio)} the images of the smallest; `aim` in params.yaml changes it)"


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times"


def point(goal_measure: str, label: str | None, threshold: float | None, factor: float | None) -> str:
    """From where a class is named: `defective is named from a probability of 32%`.

    `threshold` (0-1) if there are two classes, else the `factor` on its probability; empty if the likeliest class is named.
    """
    if label is None or (factor == 1 and threshold in (None, 0.5)):
        return ""
    if threshold is not None:
        return f"{label} is named from a probability of {percent(threshold)} on"
    if goal_measure in ("recall", "precision"):
        return f"the probability of {label} weighs {factor:.3g} times"
    return f"the rarer a class, the more its probability weighs ({label} {factor:.3g} times)"


def reached(held_out: float | None, bound: float | None, certain: bool | None, reach: float | None, n: int) -> str:
    """What the images that the point was chosen on show of a recall or precision, in a sentence."""
    if bound is None or held_out is None or reach is None:
        return ""
    shown = f"{percent(held_out)} on {n:,} images that it was not trained on, at least {percent(bound)} with 90% certainty"
    if certain:
        return f"Reached: {shown}."
    return f"Not shown to be reached: {shown}, where {short(reach)} was asked for. Too few images of the class, or it cannot be told apart so well."
