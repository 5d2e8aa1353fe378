"""How good is the choice of the source: its regret against fine-tuning every candidate, and what it costs beside that.

    python benchmarks/choice.py ANTS_BEES SIGN_DIGITS [--reference FILE.jsonl] [--seeds 3] [--first 0] [--labels 10 20 50 0]

The candidates are the three wheels. For each data set, number of labels a class (train and validation together; 0: all) and seed, each candidate is
fine-tuned with the default parameters (`last_stages`) and measured on the test split: the reference. The ranking (select_source's, without the race) sees
the training images only. Regret is the best candidate's test accuracy less the chosen one's, in points. References are appended to FILE as they are
made and not made again, so the script can be broken off and gone on with. `select_source.published` was settled on seeds 0 to 2: `--first 3` takes
seeds that it has not seen.

Ends with a line of JSON. `mean_regret`: points, over all cells and seeds. `significantly_worse`: cells (data set and labels) in which the chosen candidates are worse than the best
candidate of the cell by a paired test over seeds and images (one-sided 5%). `choice_cost_ratio`: image-FLOPs of ranking / of fine-tuning all.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from workspace import report

from headstart.base import devices
from headstart.choice import selection
from headstart.data import encoding, sampling
from headstart.features import extraction, of_source
from headstart.features.transforms import View
from headstart.indexing import indexer, splits
from headstart.linear import frozen_head
from headstart.networks import common, model, sizes, sources
from headstart.params import FineTune, IndexImages, Race, SelectSource, TrainHead
from headstart.training import fine_tuning

CANDIDATES = ["wheel:efficientnet_lite0", "wheel:efficientnet_lite1", "wheel:efficientnet_lite2"]
DEPTH = 3  # stages that the reference retrains, the same for every candidate
TEST_SHARE = 0.3  # where the folders give none
LEVEL = 0.05


def subset(table: pd.DataFrame, labels: int, seed: int) -> pd.DataFrame:
    """The test rows, and `labels` others of each class (0: all) with a validation split of their own."""
    if not labels:
        return table
    test, rest = table[table["split"] == "test"], table[table["split"] != "test"]
    order = rest["sha256"].map(lambda value: sampling.hash_order(value, seed)).groupby(rest["label"]).rank(method="first")
    some = pd.concat([test, rest[order <= labels].assign(split="train")]).sort_values("path").reset_index(drop=True)
    some["split"] = splits.assign(some, test_share=TEST_SHARE, validation_share=IndexImages().validation_share, seed=seed)
    return some


def reference(table: pd.DataFrame, root: Path, name: str, seed: int) -> dict[str, Any]:
    """Fine-tune one candidate with the defaults and measure it on the test split."""
    source = sources.load(name)
    card = source.card().at(sizes.choose(source, "auto", table[table["split"] == "train"]))
    classes, head = encoding.classes(table), TrainHead()
    fitted, _ = frozen_head.train(table, root, card, penalties=head.penalties, folds=head.folds, balanced=False, seed=seed)
    plan = fine_tuning.plan_of(FineTune(depth=DEPTH), table, classes, seed)
    started = time.perf_counter()
    done = fine_tuning.run(table, root, card, fitted["train_only"], classes, plan, device=devices.choose())
    seconds = time.perf_counter() - started
    test = table[table["split"] == "test"].reset_index(drop=True)
    labels = encoding.encode(test["label"], classes)
    frozen = extraction.Frozen.of(lambda: done.network, f"choice:{time.monotonic_ns()}", card.transform.input_size)
    tuned = extraction.extract(frozen, test, root, View.of(card.transform), what="test images")[:].argmax(1) == labels
    by_head = fitted["train_only"].logits(of_source.of_source(card, test, root)).argmax(1) == labels
    trained = set(done.summary["trained"])
    below, _ = done.network.below(trained)
    n = int((table["split"] == "train").sum())
    whole = common.gflops(model.trunk(source)[1], card.transform.input_size)
    lower = common.gflops(below[1:], card.transform.input_size)
    return {
        "source": name,
        "n_train": n,
        "accuracy": float(tuned.mean()),
        "head_accuracy": float(by_head.mean()),
        "right": "".join("1" if value else "0" for value in tuned),
        "validation": done.summary["validation"],
        "seconds": round(seconds, 1),
        "ranking_gflops": n * whole,
        "tuning_gflops": n * done.summary["views"] * lower + done.summary["image_passes"] * 3 * (whole - lower),
    }


def rank(table: pd.DataFrame, root: Path, seed: int) -> selection.Ranking:
    """What select_source's ranking chooses, the race left out."""
    block = SelectSource(candidates=CANDIDATES, depths=False, race=Race(sources=0))
    return selection.select(table, root, block, seed=seed).report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--reference", type=Path, default=Path("choice.jsonl"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 20, 50, 0])
    parser.add_argument("--reference-only", action="store_true")
    options = parser.parse_args()
    known_file = options.reference.resolve()
    known = {tuple(row["cell"]): row for row in map(json.loads, known_file.read_text().splitlines())} if known_file.exists() else {}
    rows: list[dict[str, Any]] = []
    folders = [folder.resolve() for folder in options.folders]
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        for seed in range(options.first, options.first + options.seeds):
            for root in folders:
                table = indexer.index(root, **IndexImages(test_share=TEST_SHARE).model_dump(), seed=seed)
                table = table[table["readable"]].reset_index(drop=True)
                for labels in options.labels:
                    some = subset(table, labels, seed)
                    tuned = []
                    for name in CANDIDATES:
                        cell = (root.name, labels, seed, name)
                        if cell not in known:
                            known[cell] = {"cell": cell, **reference(some, root, name, seed)}
                            with known_file.open("a") as file:
                                file.write(json.dumps(known[cell]) + "\n")
                        tuned.append(known[cell])
                    print(root.name, labels, seed, [round(row["accuracy"], 4) for row in tuned], flush=True)
                    if not options.reference_only:
                        rows.append(compare(root.name, labels, seed, tuned, rank(some, root, seed)))
        os.chdir("/")
    if rows:
        finish(rows)


def compare(folder: str, labels: int, seed: int, tuned: list[dict[str, Any]], ranking: selection.Ranking) -> dict[str, Any]:
    """One cell and seed: what was chosen, and how much better the best would have been."""
    accuracy = {row["source"]: row["accuracy"] for row in tuned}
    row = {
        "folder": folder,
        "labels": labels,
        "seed": seed,
        "chosen": ranking["chosen"],
        "accuracy": accuracy,
        "regret": 100 * (max(accuracy.values()) - accuracy[ranking["chosen"]]),
        "right": {one["source"]: one["right"] for one in tuned},
        "ranking_gflops": sum(one["ranking_gflops"] for one in tuned),
        "tuning_gflops": sum(one["tuning_gflops"] for one in tuned),
    }
    print(f"  chosen {row['chosen']}, regret {row['regret']:.2f} points", flush=True)
    return row


def worse(rows: list[dict[str, Any]]) -> bool:
    """Whether, over the seeds of a cell, the chosen are worse than the candidate that is best on average, by a paired test over images and seeds."""
    names = list(rows[0]["accuracy"])
    best = max(names, key=lambda name: float(np.mean([row["accuracy"][name] for row in rows])))
    gaps = [np.array([int(a) - int(b) for a, b in zip(row["right"][best], row["right"][row["chosen"]], strict=True)]) for row in rows]
    means = np.array([gap.mean() for gap in gaps])
    images = float(np.sqrt(sum(gap.var(ddof=1) / len(gap) for gap in gaps))) / len(gaps)
    seeds = float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else 0.0
    error = max(images, seeds)
    return bool(means.mean() > norm.ppf(1 - LEVEL) * error and means.mean() > 0)


def finish(rows: list[dict[str, Any]]) -> None:
    cells: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        cells.setdefault((row["folder"], row["labels"]), []).append(row)
    lost = [f"{folder} {labels}" for (folder, labels), some in cells.items() if worse(some)]
    for (folder, labels), some in cells.items():
        accuracies = {name: round(float(np.mean([row["accuracy"][name] for row in some])), 4) for name in CANDIDATES}
        print(f"{folder:12} {labels or 'all':>4} labels a class: regret {np.mean([row['regret'] for row in some]):.2f}", accuracies)
    report(
        {
            "mean_regret": round(float(np.mean([row["regret"] for row in rows])), 3),
            "significantly_worse": lost,
            "choice_cost_ratio": round(sum(row["ranking_gflops"] for row in rows) / sum(row["tuning_gflops"] for row in rows), 4),
            "cells": [{key: value for key, value in row.items() if key != "right"} for row in rows],
        }
    )


if __name__ == "__main__":
    main()
