"""What the races of earlier runs teach of published accuracy: how much a point of it was worth beside the images.

Each race says how likely a source makes the validation images once it is fine-tuned a little. What a source reaches there beyond what its frozen
features foretold (the scores that vote, both in nats per image) is laid against its published ImageNet accuracy: the slope of weighted least
squares. It is taken together with what is held to be so beforehand (`select_source.published` as it comes), each weighed by the inverse of
its variance (Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.5). No run reads this: the same inputs must give the same bytes. `headstart promote`
says it, and a person writes it into params.yaml.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np

from headstart.choice import ranking
from headstart.params import Published

SHOWN = 0.25  # of the worth in use: a smaller change is not worth a word


class Raced(TypedDict):
    """A source in the first round of a race, in which all train alike."""

    name: str
    published: float  # accuracy on ImageNet (0-1)
    foretold: float  # nats per image, mean of the scores that voted
    reached: float  # nats per image, mean of the validation images
    error: float  # standard error of the distance to the first of the round, nats per image


class Foretold(TypedDict):
    """How well the ranking of a run foretold its race, as it is kept in rankings.jsonl."""

    data_sha256: str
    ranking_sha256: str
    candidates: list[str]  # who raced, in the order of the ranking
    winner: str | None
    kendall_tau: float
    regret: float
    raced: NotRequired[list[Raced]]  # those with a published accuracy


@dataclass(frozen=True)
class Learned:
    """What a point of published accuracy was worth, nats per image, in `races`, and with what was held before."""

    races: int
    seen: float
    seen_error: float
    worth: float
    error: float


def line(content: bytes, data_sha256: str) -> Foretold | None:
    """What to keep of a reports/ranking.json; None if it cannot be read or there was no race."""
    try:
        report = json.loads(content)
        race = report["race"]
        ranked = [row["name"] for row in report["candidates"] if row["status"] == "ranked"]
        kept: Foretold = {
            "data_sha256": data_sha256,
            "ranking_sha256": hashlib.sha256(content).hexdigest(),
            "candidates": [name for name in ranked if name in race.get("order", ranked)],
            "winner": race.get("winner"),
            "kendall_tau": race["kendall_tau"],
            "regret": race["regret"],
        }
        if raced := _raced(report):
            kept["raced"] = raced
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return kept if kept["candidates"] else None


def _raced(report: Mapping[str, Any]) -> list[Raced]:
    """The sources of the first round that have a published accuracy."""
    candidates = {row["name"]: row for row in report["candidates"]}
    found: list[Raced] = []
    for row in report["race"].get("rows", []):
        ranked = candidates.get(row["name"], {})
        if row["round"] == 1 and ranked.get("imagenet_accuracy") is not None:
            foretold = float(np.mean([ranked[key] for key in report["votes"]]))
            published, reached = ranked["imagenet_accuracy"], row["validation_log_likelihood"]
            found.append(
                {"name": row["name"], "published": published, "foretold": foretold, "reached": reached, "error": row["standard_error"]}
            )
    return found


def learn(lines: Sequence[Foretold]) -> Learned | None:
    """What these runs teach together; None if no race had two sources of different published accuracy.

    The last run of each data set counts. Data sets of one project share most of their images, so the error is that of the surest race alone.
    """
    latest = {one["data_sha256"]: one for one in lines if one.get("raced")}
    slopes = [slope for one in latest.values() if (slope := _slope(one["raced"])) is not None]
    if not slopes:
        return None
    values, errors = np.array(slopes).T
    weights = errors**-2
    seen, error = float(values @ weights / weights.sum()), float(errors.min())
    held = Published()
    of_held, of_seen = held.error**-2, error**-2
    worth = max((held.worth * of_held + seen * of_seen) / (of_held + of_seen), 0.0)
    return Learned(len(slopes), seen, error, worth, float((of_held + of_seen) ** -0.5))


def _slope(raced: Sequence[Raced]) -> tuple[float, float] | None:
    """Nats per image for a point of published accuracy, and their standard error, in one race."""
    points = 100 * np.array([one["published"] for one in raced])
    gained = np.array([one["reached"] - one["foretold"] for one in raced])
    points = points - points.mean()
    spread = float(points @ points)
    if spread < 1e-9:
        return None
    # the distance of two sources has the variance of both; the first has none to itself
    apart = [one["error"] for one in raced if one["error"] > 0]
    of_images = float(np.mean(np.square(apart))) / 2 if apart else 0.0
    return float(points @ gained) / spread, float(np.sqrt((of_images + ranking.SOURCE_ERROR**2) / spread))


def told(learned: Learned | None, used: Published) -> list[str]:
    """What `headstart promote` says of it: nothing if what is in use is about that."""
    if learned is None or abs(learned.worth - used.worth) <= SHOWN * used.worth:
        return []
    races = "the race" if learned.races == 1 else f"{learned.races} races"
    return [
        f"a point of published accuracy counts {used.worth:g} nats an image in the ranking; {races} on these images showed {round(learned.seen, 3) + 0.0:.3f} (standard error "
        f"{learned.seen_error:.3f}), which with the usual worth makes {learned.worth:.3f}. To count it so from now on: "
        f"headstart run --keep --set select_source.published.worth={learned.worth:.3f} --set select_source.published.error={learned.error:.3f}"
    ]
