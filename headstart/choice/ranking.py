"""Who leads, how surely, and who is taken: the scores of many sources, with bootstrap confidence.

Every voting score gives each image a value under each source. Images are drawn again with replacement, the same ones for all sources, and
the sources'
differences from their mean, each score in units of its own standard error, are averaged over the scores: the aggregate. The share of
draws in which a
source leads is the chance that it is best on images like these (Efron & Tibshirani, An Introduction to the Bootstrap, 1993).

Frozen features do not tell all: of networks whose features suit the images alike, the better one on ImageNet is the better one once it is
fine-tuned
(Kornblith, Shlens & Le, CVPR 2019). So published accuracy is worth some nats in every voting score: little beside what few images leave
open, or what
a source that suits the images gains, and enough to tell siblings apart if images are many. How much it is worth differs from one data set to
another, and from one source to another: the chance of being best is over draws of that, too. Which sources are level with the leader, of
which the cheapest is taken, is told with the usual worth: so the rule was settled. What races teach of that worth, headstart promote says
(headstart/registry/foretelling.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from threadpoolctl import threadpool_limits

LEVEL = 0.16  # a source that beats the leader in so many draws cannot be told from it: one standard error, one-sided
CLEAR = 0.95  # chance of being best from which a leader is a clear winner
TIE = 1e-9  # standard errors: what is nearer is equal, such as the same weights under two names
SOURCE_ERROR = 0.02  # nats per image, standard deviation of what a source gains or loses beside what its published accuracy foretells
_DRAWS = 100  # at a time


class Row(TypedDict):
    """A candidate in reports/ranking.json.

    After `licence`, a row holds the mean of every score under its key. All but the first three fields of one that was skipped are None.
    """

    name: str
    status: str  # ranked or skipped
    reason: str  # why it was skipped
    parameters: int
    gflops: float  # per image
    input_size: int  # pixels
    features: int  # their number
    weights_sha256: str
    licence: str | None
    probe_accuracy: float  # the scores that are always there: those of the linear probe
    probe_log_likelihood: float
    probe_standard_error: float  # of probe_accuracy
    aggregate: float
    prior: float  # nats per image that published accuracy is worth, beside the best's
    prior_share: float  # which part (0-1) of its distance to the mean that is
    chance_best: float
    level_with_leader: bool  # whether it cannot be told from the leader
    frontier: bool  # whether it is on the accuracy-cost frontier


@dataclass(frozen=True)
class Prior:
    """What published ImageNet accuracies say of sources, beside the images.

    points (sources,): how far each is behind the best, so at most 0. worth and error: what a point counts, nats per image, and the standard
    deviation of that from one data set to another (params.yaml, select_source.published).
    """

    points: np.ndarray
    worth: float
    error: float

    @classmethod
    def of(cls, published: Sequence[float | None], worth: float, error: float) -> Prior:
        """Of accuracies 0-1; a source that has none is not held back."""
        best = max((value for value in published if value is not None), default=0.0)
        return cls(np.array([0.0 if value is None else 100 * (value - best) for value in published]), worth, error)

    @property
    def nats(self) -> np.ndarray:
        """What it counts (sources,), per image."""
        return self.worth * self.points

    def drawn(self, which: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
        """What it may count, in so many draws (sources, draws), beside the mean of the sources.

        `which` (sources,) numbers the sources; the same weights under two names have the same number, and the same luck.
        """
        worth = np.maximum(self.worth + random.normal(0, self.error, draws), 0)
        luck = random.normal(0, SOURCE_ERROR, (len(self.points), draws))[which]
        return (self.points - self.points.mean())[:, None] * worth + luck


@dataclass(frozen=True)
class Totals:
    """The scores put together, a value for each source, in the order given."""

    votes: list[str]  # the scores that counted
    aggregate: np.ndarray  # (sources,) mean standard errors above the mean of the sources
    images: np.ndarray  # (sources,) the same without the prior, in the same units
    best: np.ndarray  # (sources,) chance of being best; they add up to 1, and sources that tie share a draw
    beats_leader: np.ndarray  # (sources,) chance of beating the leader or tying with it; 1 for the leader itself

    @property
    def leader(self) -> int:
        """The source of the highest aggregate, the first of several."""
        return int(self.aggregate.argmax())

    @property
    def prior_share(self) -> np.ndarray:
        """Which part (sources,) of each source's distance to the mean is the prior's: between 0 and 1; 0 if there is no distance."""
        images, prior = np.abs(self.images), np.abs(self.aggregate - self.images)
        return np.where(images + prior > TIE, prior / np.maximum(images + prior, TIE), 0.0)


def add_up(
    rows: Sequence[Mapping[str, np.ndarray]], votes: Sequence[str], *, resamples: int, seed: int, prior: Prior | None = None
) -> Totals:
    """Put the scores of each source together; the same seed gives the same totals.

    rows: for each source, values (n,) of each image by score, higher being better. A score of `votes` that some source lacks does not
    count.
    What `prior` counts is added to the values of each; the chance of being best also draws what it is worth.
    """
    keys = [key for key in votes if all(key in one for one in rows)]
    values = np.stack([[np.asarray(one[key], np.float64) for one in rows] for key in keys])  # (scores, sources, n)
    given = np.zeros(len(rows)) if prior is None else prior.nats
    n = values.shape[2]
    random = np.random.default_rng(seed)
    with threadpool_limits(1):
        parts = [
            values @ (random.multinomial(n, np.full(n, 1 / n), size=min(_DRAWS, resamples - start)).T / n)
            for start in range(0, resamples, _DRAWS)
        ]
    drawn, means = np.concatenate(parts, axis=2), values.mean(axis=2)
    drawn, means = drawn - drawn.mean(axis=1, keepdims=True), means - means.mean(axis=1, keepdims=True)
    given = given - given.mean()
    unit = np.sqrt(drawn.var(axis=2).mean(axis=1))
    unit = np.where(unit > 1e-12, unit, 1.0)  # a score that sees no difference, or a single source
    nat = (1 / unit).mean()  # what a nat is worth in the aggregate
    images = (means / unit[:, None]).mean(axis=0)
    aggregate = (images + given * nat).round(9)  # so that equal sources are equal, whatever the order of adding up
    of_images = (drawn / unit[:, None, None]).mean(axis=0)
    totals = of_images + given[:, None] * nat
    level = (totals >= totals[aggregate.argmax()] - TIE).mean(axis=1)
    if prior is not None:
        _, which = np.unique(values.swapaxes(0, 1).reshape(len(rows), -1), axis=0, return_inverse=True)
        totals = of_images + prior.drawn(which, totals.shape[1], random) * nat
    first = totals >= totals.max(axis=0) - TIE
    return Totals(keys, aggregate, images, (first / first.sum(axis=0)).mean(axis=1), level)


def choose(rows: Sequence[Row], totals: Totals, *, skipped: int = 0) -> tuple[int, str]:
    """The number of the cheapest source (GFLOPs per image) that cannot be told from the leader, and why.

    `skipped` is the number of candidates that could not be had.
    """
    leader = totals.leader
    level = [i for i in range(len(rows)) if totals.beats_leader[i] >= LEVEL]
    chosen = min(level, key=lambda i: (rows[i]["gflops"], -totals.aggregate[i]))
    first, taken, share = rows[leader], rows[chosen], f"best in {totals.best[leader]:.1%} of bootstrap draws"
    if len(rows) == 1:
        return chosen, f"{first['name']} is the only candidate that could be had" if skipped else f"{first['name']} was the only candidate"
    alone = rows[int(totals.images.argmax())]
    if alone is not first:
        share += f" (by its published accuracy: on the images alone {alone['name']} leads)"
    if totals.best[leader] >= CLEAR:
        return chosen, f"{first['name']} is the clear winner: {share} ({_score(first)})"
    start = f"no clear winner: {first['name']} leads ({_score(first)}), {share}"
    if len(level) == 1:
        return chosen, f"{start}, and no other comes within a standard error of it"
    if chosen == leader:
        return chosen, f"{start}, and none of those that cannot be told from it costs less"
    return chosen, (
        f"{start}, but {taken['name']} ({_score(taken)}) cannot be told from it and is taken, as it costs less "
        f"({taken['gflops']:.3g} against {first['gflops']:.3g} GFLOPs an image)"
    )


def frontier(costs: Sequence[float], values: Sequence[float]) -> list[bool]:
    """Whether each source is on the accuracy-cost frontier.

    It is if nothing that costs as little is better, and nothing that is as good costs less.
    """
    pairs = list(zip(costs, values, strict=True))
    return [not any((c <= cost and v > value) or (c < cost and v >= value) for c, v in pairs) for cost, value in pairs]


def _score(row: Row) -> str:
    return f"linear probe: log loss {-row['probe_log_likelihood']:.3f}, {row['probe_accuracy']:.1%} right"
