"""What images without labels bring beside labelled ones, and whether they are kept out where they would harm.

    python benchmarks/partly.py FOLDER... [--labels 5 10 20] [--draws 10] [--strangers FOLDER] [--out FILE.jsonl]

Each FOLDER holds a folder per class (splits above them are passed by). Half of its images are kept apart, class by class. From the other half, `--labels`
images per class keep their label, and the rest are images without labels. The head on frozen Lite0 is fitted on the labels alone and taught with
all (headstart/linear/self_training.py); labelled images that were left out decide which of both counts, as in the stage train_head. Kinds of draws:

- `rest`: the images without labels are the rest;
- `uneven`: of half of the classes, a fifth of the rest alone;
- `others`: of half of the classes there is no labelled image, so a half of those without labels has no right label;
- `strangers`: as many images of another folder, with `--strangers`.

Rows are appended to FILE as they are made. Ends with a line of JSON: per folder, kind and labels the accuracy on the images that were kept apart, of the head
on labels alone, of the one taught with all, and as decided; how many draws decided to let them join, and in how many what was decided is worse than
labels alone by a paired t test of 95% on these images.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits
from workspace import report

from headstart.data import folding, photos
from headstart.features import of_source
from headstart.indexing import indexer
from headstart.linear import logistic, self_training
from headstart.linear.self_training import Pool
from headstart.networks import sources
from headstart.statistics import paired
from headstart.statistics.goals import ACCURACY

SOURCE = "wheel:efficientnet_lite0"
MOST = 1_000  # images of a folder, for time
FEW = 0.2  # of the images of a class that is rare in the draws `uneven`


class Set(NamedTuple):
    """A folder's features (n, d) and classes (n,)."""

    name: str
    features: np.ndarray
    truth: np.ndarray


class Draw(NamedTuple):
    """Rows of the labelled images, of those without labels (None: of another folder), and of those kept apart; the classes that count."""

    kind: str
    labelled: np.ndarray
    without: np.ndarray | None
    apart: np.ndarray
    classes: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--labels", nargs="+", type=int, default=[5, 10, 20])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--strangers", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    others = read(given.strangers) if given.strangers else None
    rows = []
    for one in map(read, given.folders):
        for labels in given.labels:
            for seed in range(given.draws):
                for draw in draws(one, labels, seed, strangers=others is not None):
                    rows.append({"folder": one.name, "labels": labels, "seed": seed, **measure(one, draw, others, seed)})
                    if given.out:
                        with given.out.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(rows[-1]) + "\n")
    report({"cells": summary(rows)})


def read(folder: Path) -> Set:
    """The features of a folder, of MOST images drawn at random."""
    paths = sorted(path.relative_to(folder).as_posix() for path in photos.walk(folder))
    paths = [paths[i] for i in np.sort(np.random.default_rng(0).permutation(len(paths))[:MOST])]
    table = indexer.index_unlabelled(folder, paths, 10**8)
    features = of_source.of_source(sources.load(SOURCE).card(), table, folder)[:].astype(np.float32)
    return Set(folder.name, features, np.unique([Path(path).parent.name for path in paths], return_inverse=True)[1])


def draws(one: Set, labels: int, seed: int, strangers: bool) -> Iterator[Draw]:
    """The draws of a seed."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(one.truth))
    every = np.arange(one.truth.max() + 1)
    of = [order[one.truth[order] == label] for label in every]
    apart = np.concatenate([rows[: len(rows) // 2] for rows in of])
    labelled = [rows[len(rows) // 2 :][:labels] for rows in of]
    rest = [rows[len(rows) // 2 :][labels:] for rows in of]
    whole = np.concatenate(labelled)
    yield Draw("rest", whole, np.concatenate(rest), apart, every)
    rare = set(random.permutation(every)[: len(every) // 2].tolist())
    yield Draw(
        "uneven", whole, np.concatenate([rows[: int(len(rows) * FEW)] if k in rare else rows for k, rows in enumerate(rest)]), apart, every
    )
    if len(every) >= 4:
        known = np.array([k for k in every if k not in rare])
        yield Draw(
            "others", np.concatenate([labelled[k] for k in known]), np.concatenate(rest), apart[np.isin(one.truth[apart], known)], known
        )
    if strangers:
        yield Draw("strangers", whole, None, apart, every)


def measure(one: Set, draw: Draw, others: Set | None, seed: int) -> dict[str, Any]:
    """A draw: accuracies on the images that were kept apart, and what was decided."""
    number = np.full(one.truth.max() + 1, -1)
    number[draw.classes] = np.arange(len(draw.classes))
    x, y, k = one.features[draw.labelled], number[one.truth[draw.labelled]], len(draw.classes)
    groups = np.arange(len(y))
    assert draw.without is not None or others is not None
    pool = one.features[draw.without] if draw.without is not None else others.features[: len(one.truth) // 2]  # type: ignore[union-attr]
    folds = folding.split_folds(y, groups, logistic.FOLDS, seed)
    alone, validated = logistic.fit(x, y, folds, classes=k, penalties=logistic.PENALTIES, what="labels alone, fits")
    left_out = self_training.left_out(
        x, y, groups, folds, Pool(pool, np.arange(len(pool)) + len(y)), classes=k, alone=validated, goal=ACCURACY
    )
    told = self_training.compared(validated.held_out, left_out, y, ACCURACY)
    joined = told.helps
    with threadpool_limits(1):
        taught = self_training.teach(x, y, pool, classes=k, penalty=validated.penalty, balanced=validated.balanced, goal=ACCURACY)
    truth = number[one.truth[draw.apart]]
    right = {name: head.logits(one.features[draw.apart]).argmax(1) == truth for name, head in (("alone", alone), ("taught", taught.head))}
    decided = right["taught" if joined else "alone"]
    accuracies = {name: float(rows.mean()) for name, rows in {**right, "decided": decided}.items()}
    worse = joined and paired.better(right["alone"], right["taught"], 0.95)
    return {"kind": draw.kind, **accuracies, "joined": joined, "worse": worse, "without": len(pool), "reason": told.reason}


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The means of each cell."""
    cells = sorted({(row["folder"], row["kind"], row["labels"]) for row in rows})
    told = []
    for folder, kind, labels in cells:
        these = [row for row in rows if (row["folder"], row["kind"], row["labels"]) == (folder, kind, labels)]
        means = {name: round(float(np.mean([row[name] for row in these])), 4) for name in ("alone", "taught", "decided")}
        counts = {"draws": len(these), "joined": sum(row["joined"] for row in these), "worse": sum(row["worse"] for row in these)}
        worst = round(100 * min(row["decided"] - row["alone"] for row in these), 1)
        told.append({"folder": folder, "kind": kind, "labels": labels, **means, **counts, "worst_points": worst})
    return told


if __name__ == "__main__":
    main()
