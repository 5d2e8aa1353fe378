"""Whether a run with the defaults says that transfer helped where labels are few, and ten trainings show that it does.

    python benchmarks/few.py FOLDER... [--labels 10 20 50] [--draws 10] [--out FILE.jsonl]

Half of each folder's images are kept apart. From the other half, `--labels` images per class are drawn at random, a fifth of them for validation, and go
through the steps of the library as the stages do: a head on frozen Lite0, fine-tuning, the network from random weights, the verdict. The reference of a
folder and a number of labels compares, over all draws, the frozen head with the network from random weights on the images that were kept apart, both trained
on all images of the draw (crossed design, 5%, a margin of 1 point).

Rows are appended to FILE as they are made. Ends with a line of JSON: per folder and labels how many draws were called positive, too few,
none shown or negative, and the reference; `least_positive` is the smallest share of positive draws where the reference is positive.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from workspace import report

from headstart.data import encoding
from headstart.features import of_source
from headstart.library import steps
from headstart.linear import frozen_head
from headstart.params import Baseline, TrainHead
from headstart.proof import comparison
from headstart.statistics import records
from headstart.statistics.records import Record
from headstart.training import designs, scratch

SOURCE = "wheel:efficientnet_lite0"
HELD_OUT = 0.2  # of the labels, for validation


def halves(images: steps.Images) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images that draws are taken from, and those that are kept apart."""
    mixed = images.usable.sample(frac=1, random_state=0)
    odd = mixed.groupby("label").cumcount() % 2 == 1
    return mixed[~odd], mixed[odd]


def drawn(pool: pd.DataFrame, labels: int, draw: int) -> pd.DataFrame:
    """So many images per class, a fifth of them in validation."""
    some = pool.sample(frac=1, random_state=draw).groupby("label").head(labels)
    held = some.groupby("label").cumcount() < round(HELD_OUT * labels)
    return some.assign(split=np.where(held, "validation", "train")).sort_values("path").reset_index(drop=True)


def verdict(images: steps.Images, draw: int) -> dict[str, Any]:
    """What a run with the defaults says."""
    head = steps.fit_head(images, SOURCE, seed=draw)
    proof = steps.prove(images, head, steps.fine_tune(images, head, seed=draw), seed=draw)
    final = proof["pretrained_against_random"]["asymptote"]
    return {
        "answer": proof["answer"],
        "of": proof["of"],
        "difference": final["difference"],
        "interval": final["interval"],
        "n": final["n_images"],
    }


def both(table: pd.DataFrame, root: Path, classes: list[str], draw: int) -> tuple[Record, Record]:
    """Records of the frozen head and of the network from random weights, trained on the train rows and measured on the validation rows."""
    images = steps.Images(table, root)
    card = steps.fit_head(images, SOURCE, seed=draw).source
    train, held = images.split("train"), images.split("validation")
    block = TrainHead()
    fitted = frozen_head.on(train, root, card, classes, penalties=block.penalties, folds=block.folds, balanced=False, seed=draw)
    right = fitted.logits(of_source.of_source(card, held, root)).argmax(1) == encoding.encode(held["label"], classes)
    fresh = Baseline()
    design = designs.random_card(card.design, fresh.max_size, draw).design
    done = scratch.train(table, root, design, classes, scratch.plan_of(fresh), seed=draw)
    return records.untrained(table, right), records.of_run(table, done)


def cell(folder: Path, labels: int, draws: int, out: Path) -> dict[str, Any]:
    """All draws of a folder and a number of labels, and their reference."""
    images = steps.index(folder)
    pool, apart = halves(images)
    classes, ours, theirs, said = images.classes, [], [], []
    for draw in range(draws):
        some, begun = drawn(pool, labels, draw), time.monotonic()
        said.append(verdict(steps.Images(some, images.root), draw))
        whole = pd.concat([some.assign(split="train"), apart.assign(split="validation")]).sort_values("path").reset_index(drop=True)
        pair = both(whole, images.root, classes, draw)
        ours.append(pair[0])
        theirs.append(pair[1])
        row = {"folder": folder.name, "labels": labels, "draw": draw, **said[-1], "seconds": round(time.monotonic() - begun, 1)}
        row["reference"] = [round(float(one.right[one.best].mean()), 4) for one in pair]
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")
    reference = comparison.compare(ours, theirs, resamples=100)
    return {
        "folder": folder.name,
        "labels": labels,
        "answers": dict(Counter(one["answer"] for one in said)),
        "reference": reference["answer"],
        "difference": reference["asymptote"]["difference"],
        "interval": reference["asymptote"]["interval"],
    }


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--labels", nargs="+", type=int, default=[10, 20, 50])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("few.jsonl"))
    given = parser.parse_args()
    cells = [cell(folder, labels, given.draws, given.out) for labels in given.labels for folder in given.folders]
    shares = [one["answers"].get("positive", 0) / given.draws for one in cells if one["reference"] == "positive"]
    report({"cells": cells, "least_positive": min(shares, default=None)})


if __name__ == "__main__":
    main()
