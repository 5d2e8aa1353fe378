"""How many groups there are: the number whose groups lie farthest apart in the spaces of all sources, with what it is in samples of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.grouping import graph, judging
from headstart.grouping.outcome import Tried
from headstart.grouping.spaces import unit

SMALLEST = 4  # images a group has on average, at least
DRAWS = 19  # sets of images without any groups: the real ones must be better than all of them (5%)


@dataclass(frozen=True)
class Number:
    """How many groups, its 95% interval, what every number came to, and the largest silhouette that images without groups reach."""

    groups: int
    interval: list[int]
    curve: list[Tried]
    silhouette: float
    by_chance: float

    @property
    def shown(self) -> bool:
        """Whether there are groups at all."""
        return self.silhouette > self.by_chance


@dataclass(frozen=True)
class Cuts:
    """Images seen in some spaces, cut into any number of groups."""

    vectors: np.ndarray
    distances: list[np.ndarray]  # (n, n) in each space: 1 less the cosine

    @classmethod
    def of(cls, spaces: Sequence[np.ndarray], most: int) -> Cuts:
        return cls(graph.embedding(graph.joint(spaces), most), [1 - unit(space) @ unit(space).T for space in spaces])

    def groups(self, number: int) -> np.ndarray:
        """So many groups (n,)."""
        return graph.cut(self.vectors, number)

    def silhouette(self, labels: np.ndarray) -> float:
        """As judging.silhouette."""
        return float(np.mean([judging.silhouettes(distances, labels).mean() for distances in self.distances]))


def numbers(n: int, most: int) -> list[int]:
    """The numbers of groups that n images are tried with."""
    return list(range(2, max(2, min(most, n // SMALLEST)) + 1))


def choose(spaces: Sequence[np.ndarray], most: int, resamples: int, seed: int, asked: int | None = None, draws: int = DRAWS) -> Number:
    """The number of groups of the images (n, d) in each space; `asked` is one that is given, of which only the rest is told.

    `draws` sets of images without groups are looked at; with 0 nothing is shown.
    """
    n = len(spaces[0])
    tried = numbers(n, most) if asked is None else [asked]
    whole = Cuts.of(spaces, tried[-1])
    labels = {number: whole.groups(number) for number in tried}
    apart = {number: whole.silhouette(labels[number]) for number in tried}
    best = max(tried, key=lambda number: apart[number])
    agree: dict[int, list[float]] = {number: [] for number in tried}
    found = []
    for rows in judging.samples(n, resamples, seed):
        here = [number for number in tried if number == asked or number <= max(2, len(rows) // SMALLEST)]
        some = Cuts.of([space[rows] for space in spaces], tried[-1])
        cut = {number: some.groups(number) for number in here}
        for number in here:
            agree[number].append(judging.agreement(labels[number][rows], cut[number]))
        found.append(max(here, key=lambda number: some.silhouette(cut[number])))
    low, high = np.quantile(found, [0.025, 0.975], method="inverted_cdf") if found else (best, best)
    curve: list[Tried] = [
        {"groups": number, "stability": float(np.mean(agree[number])) if agree[number] else 0.0, "silhouette": apart[number]}
        for number in tried
    ]
    return Number(best, [min(int(low), best), max(int(high), best)], curve, apart[best], _by_chance(spaces, tried, seed, draws))


def _by_chance(spaces: Sequence[np.ndarray], tried: Sequence[int], seed: int, draws: int) -> float:
    """The largest silhouette that so many images reach which are spread like these and have no groups: normal, with the same covariance."""
    together = np.hstack(spaces)
    _, scale, directions = np.linalg.svd(together - together.mean(0), full_matrices=False)
    random, ends = np.random.default_rng(seed), np.cumsum([space.shape[1] for space in spaces])[:-1]
    reached = []
    for _ in range(draws):
        drawn = random.normal(size=(len(together), len(scale))) * (scale / np.sqrt(len(together))) @ directions
        cuts = Cuts.of(np.split(drawn, ends, axis=1), tried[-1])
        reached.append(max(cuts.silhouette(cuts.groups(number)) for number in tried))
    return max(reached, default=1.0)
