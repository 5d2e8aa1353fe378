"""Choose the source for the target data: score every candidate on frozen features, rank, race, probe.

The ranking (ranking.py) puts the voting scores together and takes the cheapest source that cannot be told from the leader. Its choice
stands unless the
race (race.py) shows another to be better on validation with 99% certainty. The probe of depths (depth.py) is of the source that is
chosen, and says how
deep to retrain it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.choice import depth, race, ranking, scores, scoring
from headstart.choice.ranking import Row
from headstart.choice.scoring import Candidate
from headstart.data import folding
from headstart.data.sampling import sample
from headstart.networks import catalogue, common
from headstart.networks.cards import SourceCard
from headstart.params import Race, SelectSource

log = logging.getLogger(__name__)
LEAST_RACED = 50  # training images, whatever the share
DEPTH_IMAGES = 2_000  # that the probe of depths sees at most
NEAR = 0.02  # share of the training images that a source may have wrong more often than the chosen one and count as nearly as good


class Described(TypedDict):
    """A score, with what a reader of its figures should know.

    `keys` are those of its figures, `votes` those of them that count.
    """

    name: str
    title: str
    paper: str
    assumptions: str
    cost: str
    keys: list[str]
    votes: list[str]


class Ranking(TypedDict):
    """The content of reports/ranking.json. Candidates come best first, those that were skipped last."""

    chosen: str
    ranked_first: str  # what the ranking takes, before the race
    published_first: str | None  # of the highest published accuracy: the ranking to beat; None if no source has one
    clear: bool  # whether its leader is a clear winner
    reason: str
    votes: list[str]  # keys of the scores that counted
    candidates: list[Row]
    n_images: int
    folds: int
    neighbours: int
    bootstrap: int
    scores: list[Described]
    race: NotRequired[race.Report]
    depth: NotRequired[int]  # stages to retrain, counted from the head
    depths: NotRequired[list[depth.Row]]


@dataclass(frozen=True)
class Selection:
    """The chosen source's card, and the whole ranking; and the card of the cheapest source that is nearly as good, for what any source shows."""

    chosen: SourceCard
    report: Ranking
    cheap: SourceCard


def select(table: pd.DataFrame, root: Path, block: SelectSource, *, seed: int, device: Device = CPU) -> Selection:
    """Score every candidate on the training rows of `table`, race the leaders, and choose one.

    The race is decided on the validation rows. What cannot be had is skipped with the reason, and the order of the candidates does
    not matter.
    Raises ParamsError for a name of no known form and if the bounds leave nothing, HeadstartError if none can be had.
    """
    bounds = {"max_parameters": block.max_parameters, "max_gflops": block.max_gflops}
    names = sorted(catalogue.expand(block.candidates, **bounds, licences=block.licences or None))
    for name in names:
        catalogue.published(name)  # a name that is not known is told before the first image is looked at
    train = sample(table[table["split"] == "train"], block.max_images, seed)
    scored, skipped = scoring.score(
        names, train, root, input_size=block.input_size, folds=block.folds, neighbours=block.neighbours, seed=seed, device=device
    )
    while True:
        try:
            return _settle(table, train, root, scored, skipped, block, seed=seed, device=device)
        except common.Unavailable as error:  # it could be scored, and then neither raced nor probed
            if error.candidate not in [one.card.name for one in scored]:
                raise
            log.warning("skipped: %s: %s", error.candidate, error)
            skipped[error.candidate] = str(error)
            scored = [one for one in scored if one.card.name != error.candidate]
            scoring.refuse_none(scored, skipped)


def _settle(
    table: pd.DataFrame,
    train: pd.DataFrame,
    root: Path,
    scored: list[Candidate],
    skipped: dict[str, str],
    block: SelectSource,
    *,
    seed: int,
    device: Device,
) -> Selection:
    """Rank, race and probe what was scored. Raises Unavailable for a candidate that turns out to be broken."""
    report = _rank(scored, skipped, len(train), block, seed)
    found = {one.card.name: one for one in scored}
    wanted = block.race.sources > 1 and len(scored) > 1
    few = _too_few(table, report, block.race) if wanted else ""
    if few:
        report["reason"] += f"; no race, as {few} to overrule the ranking"
    elif wanted:
        field = [found[name].card for name in entrants(report["candidates"], report["chosen"], block.race.sources)]
        limited = pd.concat([sample(table[table["split"] == split], most, seed) for split, most in field_size(table, block.race).items()])
        done = race.run(
            limited.reset_index(drop=True),
            root,
            field,
            taken=report["chosen"],
            epochs=block.race.epochs,
            views=block.race.views,
            folds=block.folds,
            seed=seed,
            device=device,
        )
        report["race"] = done.report
        _overrule(report, done)
    chosen, cheap = found[report["chosen"]], found[cheapest(report["candidates"], report["chosen"])].card
    if not block.depths:
        return Selection(chosen.card, report, cheap)
    some = sample(train, DEPTH_IMAGES, seed)
    with common.using(chosen.card.name, "probed"):
        probed = depth.probe(chosen.card, chosen.widths, some, root, folds=block.folds, seed=seed, device=device)
    report["depth"], report["depths"] = probed.stages, probed.curve
    return Selection(replace(chosen.card, depth=probed.stages), report, cheap)


def _too_few(table: pd.DataFrame, report: Ranking, block: Race) -> str:
    """Why a race could not overrule the ranking; "" if it could."""
    held = int((table["split"] == "validation").sum())
    if held < folding.LEAST_RACED:
        return f"{held} validation images are too few"
    taken = next(row for row in report["candidates"] if row["name"] == report["chosen"])
    raced = min(held, block.max_images)
    wrong = (1 - taken["probe_accuracy"]) * raced
    return f"about {wrong:.0f} of {raced} validation images would be wrong, too few" if wrong < race.LEAST_WRONG else ""


def _rank(scored: list[Candidate], skipped: dict[str, str], n_images: int, block: SelectSource, seed: int) -> Ranking:
    """The ranking of the candidates that were scored on `n_images`, and of those that were skipped."""
    votes = [key for score in scores.SCORES.values() for key in score.votes]
    published = ranking.Prior.of([one.published for one in scored], block.published.worth, block.published.error)
    totals = ranking.add_up([one.rows for one in scored], votes, resamples=block.bootstrap, seed=seed, prior=published)
    rows = _rows(scored, totals, published.nats)
    taken, reason = ranking.choose(rows, totals, skipped=len(skipped))
    name = rows[taken]["name"]
    rows.sort(key=lambda row: -row["aggregate"])
    empty = dict.fromkeys(rows[0])
    left_out = [cast(Row, {**empty, "name": name, "status": "skipped", "reason": why}) for name, why in skipped.items()]
    return {
        "chosen": name,
        "ranked_first": name,
        "published_first": _published_first(scored),
        "clear": bool(totals.best[totals.leader] >= ranking.CLEAR),
        "reason": reason,
        "votes": totals.votes,
        "candidates": [*rows, *left_out],
        "n_images": n_images,
        "folds": block.folds,
        "neighbours": block.neighbours,
        "bootstrap": block.bootstrap,
        "scores": _described(scored),
    }


def _published_first(scored: list[Candidate]) -> str | None:
    """The source of the highest published accuracy, the first of several."""
    known = [(one.published, one.card.name) for one in scored if one.published is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def _rows(scored: list[Candidate], totals: ranking.Totals, prior: np.ndarray) -> list[Row]:
    """A row for each candidate, in the order given."""
    keys = list(dict.fromkeys(key for one in scored for key in one.rows))  # a source without a classifier of its own lacks some scores
    edge = ranking.frontier([one.figures["gflops"] for one in scored], [one.rows["probe_accuracy"].mean() for one in scored])
    rows = []
    for i, one in enumerate(scored):
        probe = one.rows["probe_accuracy"]
        share = (probe.sum() + 2) / (len(probe) + 4)  # so that no error is zero (Agresti & Coull, Am. Stat. 52, 1998)
        first = {"name": one.card.name, "status": "ranked", "reason": "", **one.figures}
        means = {key: float(one.rows[key].mean()) if key in one.rows else None for key in keys}
        last = {
            "probe_standard_error": float(np.sqrt(share * (1 - share) / (len(probe) + 4))),
            "aggregate": float(totals.aggregate[i]),
            "prior": float(prior[i]),
            "prior_share": float(totals.prior_share[i]),
            "chance_best": float(totals.best[i]),
            "level_with_leader": bool(totals.beats_leader[i] >= ranking.LEVEL),
            "frontier": edge[i],
        }
        rows.append(cast(Row, {**first, **means, **last}))
    return rows


def _described(scored: list[Candidate]) -> list[Described]:
    """The scores, as they are told of beside the ranking."""
    return [
        {
            "name": name,
            "title": score.title,
            "paper": score.paper,
            "assumptions": score.assumptions,
            "cost": score.cost,
            "keys": list(dict.fromkeys(key for one in scored for key in one.scores[name])),
            "votes": list(score.votes),
        }
        for name, score in scores.SCORES.items()
    ]


def cheapest(rows: Sequence[Row], chosen: str) -> str:
    """The source of fewest GFLOPs whose linear probe is right on hardly fewer images (NEAR) than that of the chosen one."""
    ranked = {row["name"]: row for row in rows if row["status"] == "ranked"}
    least = ranked[chosen]["probe_accuracy"] - NEAR
    near = [row for row in ranked.values() if row["probe_accuracy"] >= least]
    return min(near, key=lambda row: (row["gflops"], row["name"]))["name"]


def field_size(table: pd.DataFrame, block: Race) -> dict[str, int]:
    """The most images of each split in a race."""
    training = int((table["split"] == "train").sum())
    return {"train": min(block.max_images, max(LEAST_RACED, round(block.share * training))), "validation": block.max_images}


def entrants(rows: Sequence[Row], taken: str, count: int) -> list[str]:
    """Who races, in the order of the ranking, at most `count` sources.

    They are what the ranking takes, the prior's favourite (best published accuracy), and the best of the others.
    """
    ranked = [row for row in rows if row["status"] == "ranked"]
    published = {row["name"]: row.get("imagenet_accuracy") for row in ranked}
    known = {name: value for name, value in published.items() if isinstance(value, (int, float))}
    favourite = [max(known, key=lambda name: known[name])] if known else []
    field = list(dict.fromkeys([taken, *favourite, *(row["name"] for row in ranked)]))[:count]
    return [row["name"] for row in ranked if row["name"] in field]


def _overrule(report: Ranking, done: race.Race) -> None:
    """Choose the winner of the race if it is shown to be better than what the ranking took; if it is not, say who won."""
    taken = report["chosen"]
    if taken not in done.beaten:
        if done.winner != taken:
            report["reason"] += f"; the race contradicts it, {done.winner} having won, by too little to overrule it"
        return
    gap, error = done.beaten[taken]
    report["chosen"] = done.winner
    report["reason"] = (
        f"{done.winner} won the race: its log loss on validation is lower by {gap:.3f} (standard error {error:.3f}) "
        f"than that of {taken}, which the ranking had taken"
    )
