"""The report's sections on the choice of the source: how the candidates were ranked, how they raced, and how deep the chosen one is retrained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from headstart.report import charts
from headstart.report.findings import Findings
from headstart.words.formats import percent
from headstart.words.lists import sentence

UNCLEAR = "no clear winner: "  # how the ranking's reason begins where there is none


@dataclass(frozen=True)
class Column:
    """How a score is headed and written."""

    title: str
    unit: str
    text: Callable[[float], str]


def _loss(value: float) -> str:
    return f"{-value:.3f}"


def _three(value: float) -> str:
    return f"{value:.3f}"


COLUMNS = {
    "probe_accuracy": Column("Linear probe", "right", percent),
    "probe_log_likelihood": Column("Linear probe", "log loss", _loss),
    "depth_log_likelihood": Column("Best depth", "log loss", _loss),
    "knn_accuracy": Column("Neighbours", "right", percent),
    "logme": Column("LogME", "nats", _three),
    "h_score": Column("H\u2011score", "shrunk", _three),
    "nce": Column("NCE", "nats", _three),
    "leep": Column("LEEP", "nats", _three),
    "imagenet_accuracy": Column("ImageNet", "published", percent),
}


def sources(f: Findings) -> dict[str, Any]:
    """The ranking as a table and a chart, and the race."""
    ranking = f.ranking
    ranked = [c for c in ranking["candidates"] if c["status"] == "ranked"]
    keys = _keys(ranking, ranked)
    columns = {key: COLUMNS.get(key, Column(key.replace("_", " "), "", _three)) for key in keys}
    rows = [
        {
            **row,
            "notes": ", ".join(_notes(row, number, ranking)) if len(ranked) > 1 else "",
            "cells": [_cell(row, key, column) for key, column in columns.items()],
        }
        for number, row in enumerate(ranked)
    ]
    return {
        "ranked": rows,
        "columns": [{"title": c.title, "unit": c.unit, "counts": key in ranking.get("votes", [])} for key, c in columns.items()],
        "skipped": [c for c in ranking["candidates"] if c["status"] != "ranked"],
        "chart": _chart(ranked, ranking["chosen"]) if len(ranked) > 1 else "",
        "edge": any(row.get("frontier") for row in ranked),
        "standing": _standing(ranking) if len(ranked) > 1 else "",
        "reason": sentence(ranking["reason"].removeprefix(UNCLEAR)),
        "race": _race(ranking),
        "scores": ranking.get("scores", []),
        "bootstrap": ranking.get("bootstrap"),
        **{key: ranking[key] for key in ("chosen", "n_images", "folds", "neighbours")},
    }


def _standing(ranking: dict[str, Any]) -> str:
    """Whether the ranking had a clear winner, where the reason for the choice does not say it."""
    if "clear" not in ranking:
        return ""
    if ranking["chosen"] != ranking["ranked_first"]:
        return f"The ranking had {'a' if ranking['clear'] else 'no'} clear winner."
    return "" if ranking["clear"] else "No clear winner."


def _keys(ranking: dict[str, Any], ranked: list[dict[str, Any]]) -> list[str]:
    """The scores that some source has, in the order in which the ranking lists them."""
    listed = [key for score in ranking.get("scores", []) for key in score["keys"]] or list(COLUMNS)
    return [key for key in listed if any(row.get(key) is not None for row in ranked)]


def _notes(row: dict[str, Any], number: int, ranking: dict[str, Any]) -> list[str]:
    """What sets a source apart in the ranking, of which it is number `number` (from 0)."""
    notes = {
        "chosen": row["name"] == ranking["chosen"],
        "taken before the race": row["name"] == ranking.get("ranked_first") != ranking["chosen"],
        "leads": number == 0 and "chance_best" in row,
        "level with the leader": number > 0 and bool(row.get("level_with_leader")),
    }
    return [words for words, holds in notes.items() if holds]


def _cell(row: dict[str, Any], key: str, column: Column) -> tuple[str, str]:
    """A score in words and, where it is known, its standard error."""
    value = row.get(key)
    if value is None:
        return "", ""
    error = row.get("probe_standard_error") if key == "probe_accuracy" else None
    return column.text(value), "" if error is None else f"± {percent(error)}"


def _chart(ranked: list[dict[str, Any]], chosen: str) -> str:
    points = [
        charts.Dot(c["name"], c["gflops"], c["probe_accuracy"], c["probe_standard_error"], c["name"] == chosen, bool(c.get("frontier")))
        for c in ranked
    ]
    alt = "; ".join(f"{p.text} {percent(p.y)} at {p.x:.2g} GFLOPs{', on the frontier' if p.edge else ''}" for p in points)
    return charts.dots(
        points,
        alt=f"Accuracy of a linear probe over the cost of each source; {alt}",
        x_title="cost of one image (GFLOPs)",
        y_title="linear probe, cross-validated",
    )


def _race(ranking: dict[str, Any]) -> dict[str, Any] | None:
    """The rounds, what they cost, and how well the ranking foretold them; None where nothing raced."""
    race = ranking.get("race")
    if not race:
        return None
    rounds = [list(rows) for _, rows in groupby(race["rows"], key=lambda row: row["round"])]
    return {"rounds": rounds, "foretold": foretold(race, ranking["ranked_first"]), "passes": race["image_passes"]}


def foretold(race: dict[str, Any], taken: str) -> str:
    """One sentence on how the race ended beside the ranking, which had taken the source `taken`."""
    tau = race["kendall_tau"]
    order = (
        "in the order of the ranking"
        if tau == 1
        else "in the reverse order of the ranking"
        if tau == -1
        else "in another order than the ranking"
    )
    if race["winner"] == taken:
        cost = f"{taken}, which the ranking had taken, won"
    elif race["regret"] > 0:
        cost = f"{taken}, which the ranking had taken, was {100 * race['regret']:.1f} points of validation accuracy below the best of its last round"
    else:
        cost = f"{taken}, which the ranking had taken, lost no validation accuracy to the best of its last round"
    return f"The race ended {order} (Kendall's tau {tau:.2f}; 1 is the same order, -1 the reverse), and {cost}."


def depth(f: Findings) -> dict[str, Any] | None:
    """The probe at the end of every stage, what fine_tune retrained marked; None where no depths were probed."""
    curve = f.ranking.get("depths")
    if not curve:
        return None
    proposed = {row["stage"] for row in curve if row["retrained"]}
    trained = set(f.fine_tuned.get("trained", [])) & {row["stage"] for row in curve}
    rows = [
        (row["stage"], row["accuracy"], f"{percent(row['accuracy'])}, {-row['log_likelihood']:.3f}", row["stage"] in trained)
        for row in curve
    ]
    alt = "Accuracy of a linear probe at the end of every stage, from the image to the head; " + "; ".join(
        f"{name} {percent(value)}{', retrained' if marked else ''}" for name, value, _, marked in rows
    )
    first = next(row["stage"] for row in curve if row["retrained"])
    return {"chart": charts.ladder(rows, alt=alt), "first": first, "followed": trained == proposed, "trained": bool(trained)}
