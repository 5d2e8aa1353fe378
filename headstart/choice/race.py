"""A race: the leading sources are fine-tuned briefly, the better half go on, until one is left.

This is successive halving (Jamieson & Talwalkar, AISTATS 2016). Every entrant starts from a converged head and trains its last stages, as
fine_tune does by
default, on the same images and number of views. A round's order is that of the validation log likelihood. The budget is in image passes,
never in seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.choice import scores
from headstart.data import encoding
from headstart.linear import frozen_head
from headstart.networks import common, heads, model
from headstart.networks.cards import SourceCard
from headstart.params import FineTune, MeasuredAugmentation
from headstart.statistics import paired
from headstart.statistics.likelihood import of_labels
from headstart.training import fine_tuning

log = logging.getLogger(__name__)
CERTAINTY = 0.99  # one-sided, of a paired t test: what overrules the ranking must be more than the luck of a few validation images
# Validation images that the source which the ranking takes has wrong, at least: if another had all of them right and the rest were alike, a paired t
# test would need 2.4 squared of them to be that certain. With fewer, a race could only tell who is surer of the same answers.
LEAST_WRONG = 6
# How all entrants are tuned: the defaults of fine_tune, but for the depth, which the winner's own probe chooses. Kept here, so that a race changes with
# this file alone.
BLOCK = FineTune(
    strategy="last_stages",
    depth=3,
    rate=3e-4,
    decay=0.9,
    weight_decay=0.01,
    label_smoothing=0.1,
    class_weights="none",
    regulariser="none",
    regulariser_strength=0.01,
    batch_size=32,
    gpu_batch_size=128,
    cache_gib=20.0,
    processes="auto",
    statistics="source",
    keep="best",
    augmentation=MeasuredAugmentation(
        min_crop_share=0.6, rotation=10.0, colour=0.2, horizontal_flip=False, vertical_flip=False, quarter_turns=False
    ),
)


class LapFigures(TypedDict):
    """What an entrant reached after `epochs` in all, and what this round cost."""

    epochs: int
    validation_accuracy: float  # 0-1
    validation_log_likelihood: float  # nats per image
    image_passes: int


class Row(TypedDict):
    """An entrant in a round: LapFigures, and how far (nats per image) it was behind the first."""

    round: int  # from 1
    place: int  # from 1
    name: str
    epochs: int
    validation_accuracy: float
    validation_log_likelihood: float
    image_passes: int
    gap: float
    standard_error: float


class Report(TypedDict):
    """A race in reports/ranking.json.

    kendall_tau compares its order with that of the ranking; regret is the accuracy (0-1) that what the ranking takes lacked of the best
    in the last round that it ran in.
    """

    winner: str
    order: list[str]
    kendall_tau: float
    regret: float
    image_passes: int
    rows: list[Row]


@dataclass(frozen=True)
class Race:
    """Who won, whom it beat for certain, and the whole race.

    beaten: by name, how much better the winner was (nats per image) and its standard error; only those whom it beat with CERTAINTY.
    """

    winner: str
    beaten: dict[str, tuple[float, float]]
    report: Report


@dataclass(frozen=True)
class _Lap:
    """What an entrant reached in a round."""

    network: model.Network
    likelihood: np.ndarray  # (n,) of each validation image's class, nats
    figures: LapFigures


def run(
    table: pd.DataFrame,
    root: Path,
    cards: Sequence[SourceCard],
    *,
    taken: str,
    epochs: int,
    views: int,
    folds: int,
    seed: int,
    device: Device = CPU,
) -> Race:
    """Race the sources that `cards` name, two or more, in the order of the ranking, which takes `taken`.

    They train on the train split of `table` and are compared on its validation split. `epochs` is that of the first round; in each
    later round half the
    entrants (rounded up) go on, until they have had twice the epochs. Who was beaten is told by the last round that it ran in.
    Raises Unavailable, with the name of the candidate, for an entrant that cannot be trained.
    """
    starts = {}
    for card in cards:
        with common.using(card.name, "raced"):
            starts[card.name] = _head(table, root, card, folds, seed, device)
    field = list(cards)
    rounds: list[dict[str, _Lap]] = []  # best first
    out: list[str] = []  # the last to leave first
    while len(field) > 1:
        total = epochs * 2 ** len(rounds)
        log.info("race, round %d: %d sources, epochs: %d", len(rounds) + 1, len(field), total)
        before = rounds[-1] if rounds else {}
        laps = {}
        for card in field:
            head, lap = starts[card.name], before.get(card.name)
            with common.using(card.name, "raced"):
                laps[card.name] = _lap(table, root, card, head, lap, epochs=total, views=views, seed=seed, device=device)
        order = sorted(laps, key=lambda name: -laps[name].likelihood.mean())
        rounds.append({name: laps[name] for name in order})
        kept = -(-len(order) // 2)
        out = [*order[kept:], *out]
        field = [card for card in field if card.name in order[:kept]]
    final = [field[0].name, *out]
    last = {name: laps for laps in rounds for name in laps}
    pairs = {name: (last[name][final[0]], last[name][name]) for name in out}
    beaten = {name: _gap(*pair) for name, pair in pairs.items() if paired.better(pair[0].likelihood, pair[1].likelihood, CERTAINTY)}
    return Race(final[0], beaten, _report(rounds, final, [card.name for card in cards], last[taken], taken))


def _head(table: pd.DataFrame, root: Path, card: SourceCard, folds: int, seed: int, device: Device) -> heads.Head:
    """The head that an entrant starts from, on the train split."""
    train = table[table["split"] == "train"].reset_index(drop=True)
    classes = encoding.classes(table)
    return frozen_head.on(train, root, card, classes, penalties=scores.PENALTIES, folds=folds, seed=seed, device=device)


def _lap(
    table: pd.DataFrame,
    root: Path,
    card: SourceCard,
    head: heads.Head,
    before: _Lap | None,
    *,
    epochs: int,
    views: int,
    seed: int,
    device: Device,
) -> _Lap:
    """One entrant in one round, after which it has had `epochs` in all.

    The frozen layers run before the first round; what they give is kept.
    """
    classes = encoding.classes(table)
    more = epochs - before.figures["epochs"] if before else epochs
    plan = fine_tuning.plan_of(BLOCK.model_copy(update={"epochs": more, "patience": more, "views": views}), table, classes, seed)
    done = fine_tuning.run(table, root, card, head, classes, plan, device=device, begun=before.network if before else None)
    held = encoding.encode(table.loc[table["split"] == "validation", "label"], classes)
    likelihood = of_labels(done.logits, held)
    frozen_passes = 0 if before else views * int((table["split"] == "train").sum())
    figures: LapFigures = {
        "epochs": epochs,
        "validation_accuracy": float((done.logits.argmax(1) == held).mean()),
        "validation_log_likelihood": float(likelihood.mean()),
        "image_passes": done.summary["image_passes"] + frozen_passes,
    }
    return _Lap(done.network, likelihood, figures)


def _gap(first: _Lap, second: _Lap) -> tuple[float, float]:
    return paired.difference(first.likelihood, second.likelihood)


def _report(rounds: list[dict[str, _Lap]], final: list[str], ranked: list[str], last: dict[str, _Lap], taken: str) -> Report:
    """How it went, and how well the ranking foretold it; `last` is the last round that `taken` ran in."""
    from scipy.stats import kendalltau  # takes half a second to import, and a race is rare

    rows: list[Row] = []
    for number, laps in enumerate(rounds, 1):
        first = next(iter(laps.values()))
        for place, (name, lap) in enumerate(laps.items(), 1):
            gap, error = _gap(first, lap)
            rows.append({"round": number, "place": place, "name": name, **lap.figures, "gap": gap, "standard_error": error})
    accuracy = {name: lap.figures["validation_accuracy"] for name, lap in last.items()}
    return {
        "winner": final[0],
        "order": final,
        "kendall_tau": float(kendalltau([ranked.index(name) for name in final], range(len(final))).statistic),
        "regret": max(accuracy.values()) - accuracy[taken],
        "image_passes": sum(row["image_passes"] for row in rows),
        "rows": rows,
    }
