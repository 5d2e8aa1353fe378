"""Put images without labels into groups: which sources see them, how many there are, by which method, and what is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from headstart.base.devices import Device
from headstart.data import manifest
from headstart.data.sampling import sample
from headstart.grouping import describing, judging, mapping, number, views
from headstart.grouping.methods import METHODS, margins
from headstart.grouping.number import Number
from headstart.grouping.outcome import Group, Method, Report, Source
from headstart.grouping.spaces import Axes
from headstart.machinery.progress import Progress
from headstart.params import Candidates, GroupImages

AUTO = "auto"
JOINED = 3  # sources, the best ones, in whose spaces groups are looked for
ANEW = 5  # halves of the images that the chosen method groups again
LARGEST = 1_000  # images by which the number of groups is settled


@dataclass(frozen=True)
class Grouping:
    """What is told, and a row for each usable image: columns outcome.TABLE."""

    report: Report
    table: pd.DataFrame


@dataclass(frozen=True)
class Found:
    """Groups (n,) from 0, the largest first, the method that found them, and what each method came to."""

    labels: np.ndarray
    method: str
    methods: list[Method]
    stability: float
    together: list[float]  # of each group


def group(rows: pd.DataFrame, root: Path, candidates: Candidates, block: GroupImages, *, seed: int, device: Device) -> Grouping:
    """Group the images of a manifest. Near-duplicates count once; of many images a sample is grouped, and the others join its groups.

    Raises what headstart.grouping.views.views raises.
    """
    rows = rows.reset_index(drop=True)
    single = ~rows["lookalike"].duplicated()
    seen, skipped = views.views(rows, root, candidates, device)
    chosen = rows["path"].isin(set(sample(rows[single], block.max_images, seed)["path"])).to_numpy()
    axes = {name: Axes.of(one.features[chosen]) for name, one in seen.items()}
    spaces = {name: axes[name].place(one.features) for name, one in seen.items()}
    with threadpool_limits(1):  # sums of several threads come in any order
        tried = sources({name: space[chosen] for name, space in spaces.items()}, block, seed)
        best = [one["name"] for one in by_worth(tried)][:JOINED]
        some = [spaces[name][chosen] for name in best]
        counted = count(some, block, seed)
        found = find(some, counted.groups, block.method, seed)
        space = spaces[best[0]]
        labels = _all(space, chosen, rows["lookalike"].to_numpy(), found.labels)
        outlier = describing.outliers(space)
        stand = describing.medoids(space, np.where(chosen, labels, -1))
        parts = describing.parts(space, labels, stand)
        places = mapping.places(rows, space, labels, block.mapped, seed)
    table = pd.DataFrame({"path": rows["path"], "group": labels + 1, "part": parts + 1})
    table = table.assign(distance=describing.distances(space, labels).round(4), outlier=outlier, **places)
    report: Report = {
        "setting": "no_labels",
        "images": len(rows),
        "reason": "",
        "source": best[0],
        "method": found.method,
        "groups": _groups(table, rows, stand, found.together),
        "asked": block.groups != AUTO,
        "interval": counted.interval,
        "curve": counted.curve,
        "stability": found.stability,
        "silhouette": counted.silhouette,
        "by_chance": counted.by_chance,
        "shown": counted.shown,
        "sources": [*tried, *(Source(name=name, stability=None, silhouette=None, reason=why) for name, why in skipped.items())],
        "methods": found.methods,
        "outliers": int(outlier.sum()),
        "near_duplicates": int((~single).sum()),
        "table_sha256": "",
        "grey": _grey(rows),
    }
    return Grouping(report, table)


def sources(spaces: Mapping[str, np.ndarray], block: GroupImages, seed: int) -> list[Source]:
    """What each source sees by itself: stability and silhouette of its groups, of the number that suits it best, or of the one that is given."""
    told: list[Source] = []
    with Progress(len(spaces), "comparing what sources see") as progress:
        for name, space in spaces.items():
            alone = count([space], block, seed, draws=0)
            (curve,) = (one for one in alone.curve if one["groups"] == alone.groups)
            told.append({"name": name, "stability": curve["stability"], "silhouette": curve["silhouette"], "reason": ""})
            progress.step()
    return told


def count(spaces: Sequence[np.ndarray], block: GroupImages, seed: int, draws: int = number.DRAWS) -> Number:
    """How many groups there are, by LARGEST images at most."""
    n = len(spaces[0])
    some = np.sort(np.random.default_rng(seed).permutation(n)[:LARGEST])
    asked = None if block.groups == AUTO else min(int(block.groups), n // 2)  # halves have as many images
    return number.choose([space[some] for space in spaces], block.most, block.resamples, seed, asked, draws)


def find(spaces: Sequence[np.ndarray], groups: int, method: str, seed: int) -> Found:
    """So many groups in the spaces (n, d), by a method of METHODS, or by the one whose groups lie farthest apart in all spaces ("auto")."""
    names = list(METHODS) if method == AUTO else [method]
    made: dict[str, np.ndarray] = {}
    with Progress(len(names) + ANEW, "finding groups") as progress:
        for name in names:
            begun = name == "turtle" and "consensus" in made  # which takes most of the time
            labels = margins(spaces, groups, seed, made["consensus"]) if begun else METHODS[name](spaces, groups, seed)
            made[name] = describing.ordered(labels)
            progress.step()
        apart = judging.silhouettes_of(spaces, list(made.values()))
        told: list[Method] = [
            {"name": name, "silhouette": share, "groups": int(labels.max()) + 1}
            for (name, labels), share in zip(made.items(), apart, strict=True)
        ]
        fit = [one for one in told if one["groups"] == groups] or told
        best = max(fit, key=lambda one: one["silhouette"])["name"]
        drawn = []
        for part in judging.samples(len(spaces[0]), ANEW, seed):
            labels = np.full(len(spaces[0]), -1)
            labels[part] = METHODS[best]([space[part] for space in spaces], groups, seed)
            drawn.append(labels)
            progress.step()
    stable = float(judging.agreements(made[best], drawn).mean())
    return Found(made[best], best, told, stable, judging.together(made[best], drawn))


def by_worth(told: Sequence[Source]) -> list[Source]:
    """The sources by stability and silhouette, the best first."""
    return sorted(told, key=lambda one: -((one["stability"] or 0.0) + (one["silhouette"] or 0.0)))


def _all(space: np.ndarray, chosen: np.ndarray, alike: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The group (n,) of every image: its own, that of its near-duplicate, or what a linear discriminant says."""
    found = np.full(len(space), -1)
    found[chosen] = labels
    of = dict(zip(alike[chosen], labels, strict=True))
    for row in np.flatnonzero(~chosen):
        found[row] = of.get(alike[row], -1)
    left = found < 0
    if left.any():
        found[left] = judging.named(space[chosen], labels, space[left])
    return found


def _groups(table: pd.DataFrame, rows: pd.DataFrame, stand: list[list[int]], together: list[float]) -> list[Group]:
    paths = rows["path"].tolist()
    sizes, far = table["group"].value_counts(), table.loc[table["outlier"], "group"].value_counts()
    return [
        {
            "group": group,
            "images": int(sizes[group]),
            "medoids": [paths[row] for row in these],
            "stability": share,
            "outliers": int(far.get(group, 0)),
        }
        for group, (these, share) in enumerate(zip(stand, together, strict=True), 1)
    ]


def _grey(rows: pd.DataFrame) -> dict[str, list[float]] | None:
    scale = manifest.grey(rows)
    return {name: list(values) for name, values in scale.to_json().items()} if scale else None
