"""The report's sections on the head and on fine-tuning: how they were trained, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.report import charts
from headstart.report.findings import Findings
from headstart.statistics import paired
from headstart.words import formats, naming

if TYPE_CHECKING:
    import pandas as pd

    from headstart.linear.frozen_head import Chosen, Held
    from headstart.training.augmenting import Change
    from headstart.training.outcome import Compared
    from headstart.training.run import Summary as Phase
    from headstart.training.tuning import Try

NOTHING = "Fine-tuning brought nothing: after no epoch was the network better on validation than the frozen head that it began with."


@dataclass(frozen=True)
class Head:
    """What the section on the head shows."""

    final: Chosen
    train_only: Held
    panels: list[str]
    edge: bool  # whether the chosen penalty is the largest or the smallest that was tried


@dataclass(frozen=True)
class Tuning:
    """What the section on fine-tuning shows."""

    panels: list[str]  # none if nothing was unfrozen
    best: int | None  # the epoch of the lowest validation loss
    validation: Compared | None
    strategy: str
    phases: list[Phase]
    frozen: list[str]
    trained: list[str]
    views: int
    passes: int
    engine: str
    cache_bytes: int
    outcome: str
    ships: bool
    reason: str
    nothing: bool  # whether the network is as it began
    settled: list[str]  # sentences: what was measured before training, and what was tried again


def head(f: Findings) -> Head:
    """How the head was fitted: its penalty, and how others would have done."""
    final = f.head["final"]
    tried = sorted(f.head["penalties"], key=lambda row: row["penalty"])
    panels: list[str] = []
    if len(tried) > 1:
        losses = [(row["penalty"], row["log_loss"]) for row in tried]
        accuracies = [(row["penalty"], row["accuracy"]) for row in tried]
        panels = [
            _penalties(losses, final["penalty"], "log loss, cross-validated (lower is better)", formats.plain, math.inf),
            _penalties(accuracies, final["penalty"], "accuracy, cross-validated", formats.short, 1.0),
        ]
    return Head(final, f.head["train_only"], panels, _edge(tried, final["penalty"]))


def _edge(tried: list[dict[str, float]], chosen: float) -> bool:
    """Whether the chosen penalty is at an end of those that were tried."""
    return len(tried) > 1 and chosen in (tried[0]["penalty"], tried[-1]["penalty"])


def _penalties(points: list[tuple[float, float]], chosen: float, title: str, text: Callable[[float], str], ceiling: float) -> str:
    """A figure over the penalties, the chosen one ringed."""
    return charts.lines(
        [charts.Series("cross-validated", points)],
        alt=f"{title.capitalize()}, over the penalty; " + "; ".join(f"{x:g}: {text(y)}" for x, y in points),
        x_title="penalty (ring: chosen)",
        y_title=title,
        y_text=text,
        log=True,
        rings=[point for point in points if point[0] == chosen],
        ceiling=ceiling,
    )


def tuning(f: Findings) -> Tuning:
    """How fine-tuning went, and what became of the fine-tuned model."""
    curves, shipped = f.curve, f.metrics["shipped"]
    nothing = bool(f.fine_tuned["phases"]) and not f.fine_tuned["changed"]
    trained = len(curves) > 0 and bool((curves["epoch"] > 0).any())
    return Tuning(
        panels=_curves(curves) if trained else [],
        best=_best(curves) if trained else None,
        validation=f.fine_tuned["validation"],
        strategy=f.fine_tuned["strategy"],
        phases=f.fine_tuned["phases"],
        frozen=f.fine_tuned["frozen"],
        trained=f.fine_tuned["trained"],
        views=f.fine_tuned["views"],
        passes=f.fine_tuned["image_passes"],
        engine=f.fine_tuned["engine"],
        cache_bytes=f.fine_tuned["cache_bytes"],
        outcome=naming.contender(shipped).outcome,
        ships=shipped in naming.HOLD_TUNED,
        reason=NOTHING if nothing else against_head(f.fine_tuned["validation"]),
        nothing=nothing,
        settled=[*_tries(f.fine_tuned["tries"]), *_changes(f.fine_tuned["changes"])],
    )


def _tries(tries: list[Try]) -> list[str]:
    """How most of the network was trained, and that a training was done in another way, in sentences."""
    ways, said = {one["way"]: one for one in tries}, []
    if one := ways.get("deep"):
        outcome = (
            ""
            if len(tries) == 1
            else ". On validation it was worse than the head, by itself and beside it, so the last stages were trained too"
        )
        said.append(
            "As the frozen head has many validation images wrong, most of the network was trained, on a new view of each picture in each of "
            f"{one['epochs']} epochs, at a highest rate of {one['rate']:g}: its validation loss ended at {one['validation_loss']:.3f} nats{outcome}."
        )
    if last := ways.get("gentler"):
        first = ways["usual"]
        outcome = f"the best epoch was {last['best_epoch']}" if last["best_epoch"] else "no epoch was better than the head"
        said.append(
            f"At a highest rate of {first['rate']:g} the network was worse on validation than the frozen head by more than a standard error, by "
            f"itself and beside it (loss {first['validation_loss']:.3f} nats), so it was trained again from the head at {last['rate']:g}: {outcome}."
        )
    return said


def _changes(changes: list[Change]) -> list[str]:
    """Which changes of the pictures keep their labels, in a sentence."""
    if not changes:
        return []
    said = [
        f"{change['change'].replace('_', ' ')} {100 * change['difference']:+.1f} points, at worst {100 * change['lowest']:+.1f} "
        f"({'made' if change['made'] else 'not made'})"
        for change in changes
    ]
    return [
        f"Whether mirrored and turned pictures keep their labels was measured on {changes[0]['n']} training images: a head on the frozen "
        f"{changes[0]['source']}, out of fold, has {changes[0]['accuracy']:.1%} of the plain ones right, and of the changed ones: {'; '.join(said)}. A change is made in "
        "training if it is shown, with 95% confidence, to cost next to nothing."
    ]


def against_head(figures: Compared | None) -> str:
    """Whether the fine-tuned model beats the frozen head on validation, in a sentence.

    Empty if it was not measured.
    """
    if figures is None:
        return ""
    beats = paired.beyond_error(figures["difference"], figures["standard_error"])
    start = "Fine-tuning beats the frozen head" if beats else "Fine-tuning does not beat the frozen head by a standard error"
    return (
        f"{start}: {figures['fine_tuned_accuracy']:.1%} of {figures['n']} validation images right against {figures['head_accuracy']:.1%} "
        f"({paired.points(figures['difference'], *figures['interval'])})."
    )


def _best(curves: pd.DataFrame) -> int:
    """The epoch of the lowest validation loss, the head's own level (epoch 0) included."""
    return int(curves.loc[curves["validation_loss"].idxmin(), "epoch"])


def _curves(curves: pd.DataFrame) -> list[str]:
    """Loss, accuracy and the learning rate of the head over the epochs."""
    return [
        _curve(curves, "loss", formats.plain, math.inf),
        _curve(curves, "accuracy", formats.short, 1.0),
        *_rates(curves),
    ]


def _rates(curves: pd.DataFrame) -> list[str]:
    """The learning rate of the head over the epochs; none if it was not kept."""
    known = curves[curves["epoch"] > 0][["epoch", "rate"]].dropna() if "rate" in curves else curves.head(0)
    if not len(known):
        return []
    points = [(float(epoch), 1000 * float(rate)) for epoch, rate in known.itertuples(index=False, name=None)]
    return [
        charts.lines(
            [charts.Series("rate", points)],
            alt="Learning rate of the head over the epochs; "
            + "; ".join(f"epoch {epoch:g}: {rate:.2g} thousandths" for epoch, rate in points),
            x_title="epoch",
            y_title="learning rate of the head (thousandths)",
            walls=[(place, name) for place, name in _walls(curves) if place > points[0][0]],
        )
    ]


def _walls(curves: pd.DataFrame) -> list[tuple[float, str]]:
    """Where each phase begins."""
    starts = curves[curves["epoch"] > 0].groupby("phase", sort=False)["epoch"].min()
    return [(float(start) - 0.5, str(name)) for name, start in starts.items()]


def _curve(curves: pd.DataFrame, key: str, text: Callable[[float], str], ceiling: float) -> str:
    """One of them, the phases marked, the head's level before fine-tuning drawn, the best epoch ringed."""
    best = curves[curves["epoch"] == _best(curves)].iloc[0]
    reached = float(best[f"validation_{key}"])
    series = []
    for style, (split, dashed) in enumerate((("validation", False), ("train", True)), start=1):
        known = curves[["epoch", f"{split}_{key}"]].dropna()
        if len(known):
            series.append(charts.Series(split, list(known.itertuples(index=False, name=None)), style, dashed))
    before = curves.loc[curves["epoch"] == 0, f"validation_{key}"].dropna()
    return charts.lines(
        series,
        alt=f"{key.capitalize()} over the epochs; best epoch {int(best['epoch'])}, validation {key} {text(reached)}",
        x_title="epoch (ring: best)",
        y_title=key,
        y_text=text,
        level=(float(before.iloc[0]), "head") if len(before) else None,
        walls=_walls(curves),
        rings=[(float(best["epoch"]), reached)],
        ceiling=ceiling,
    )
