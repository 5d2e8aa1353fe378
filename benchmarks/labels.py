"""How well wrong labels are found: planted ones in the top of the list, how many are expected beside how many there are, and blocks of files.

    python benchmarks/labels.py FOLDER [FOLDER ...] --work DIR [--seeds 3] [--draws 20] [--peer PYTHON]

Each FOLDER holds a folder per class. Features of the frozen source are kept in DIR and cost a pass once. For every seed, 3% of the files are moved to the folder of another class at random, and the
head is fitted as the pipeline fits it: out of fold on train and validation, and on these two for the test images. For every draw, 28 consecutive files of each class are taken, eight of
one class are replaced by photos of another class from the same stretch of file numbers, both classes drawn at random, and the list has to name that block; before, it should name none. PYTHON is an interpreter that has cleanlab, whose
ranking of the same probabilities is printed beside ours. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from limits import Kind, read
from workspace import report

from headstart.data import encoding, folding
from headstart.labels import blocks, confident, doubtful
from headstart.labels.doubtful import Doubts
from headstart.linear import logistic
from headstart.networks import sources
from headstart.networks.heads import Head
from headstart.params import Aim
from headstart.params.blocks import TrainHead
from headstart.statistics import goals, likelihood

SHARE, TOP = 0.03, 0.05  # of all labels: changed; looked at from the top of the list
OF_CLASS, IN_BLOCK = 28, 8  # files
TEST = 5  # one of so many files is for the test, if a block is looked for
PEER = """
import json, sys
import numpy as np
from cleanlab import filter, rank
kept = np.load(sys.argv[1])
labels, probabilities = kept["labels"], kept["probabilities"]
orders = {how: np.argsort(rank.get_label_quality_scores(labels, probabilities, method=how), kind="stable").tolist()
          for how in ("normalized_margin", "self_confidence")}
found = filter.find_label_issues(labels, probabilities, filter_by="low_self_confidence", n_jobs=1)
print(json.dumps({"orders": orders, "found": np.flatnonzero(found).tolist()}))
"""


def fitted(table: pd.DataFrame, features: np.ndarray, seed: int, penalties: list[float]) -> tuple[Head, dict[str, Any]]:
    """The head of train and validation with its out-of-fold logits, as the stage train_head fits it, and how it was fitted."""
    classes, seen = encoding.classes(table), (table["split"] != "test").to_numpy()
    labels, block, aim = encoding.encode(table["label"], classes)[seen], TrainHead(), Aim()
    goal = goals.resolve(aim.measure, aim.label, aim.reach, list(table.loc[seen, "label"]))
    parts = folding.split_folds(labels, table["group"].to_numpy()[seen], block.folds, seed)
    how: dict[str, Any] = {"classes": len(classes), "penalties": penalties, "balanced": None, "goal": goal}
    head, validated = logistic.fit(features[seen], labels, parts, **how, what="head, fits")
    return replace(head, held_out=validated.held_out), {"penalty": validated.penalty, "balanced": validated.balanced}


def changed(table: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The table with SHARE of its files moved to the folder of another class at random, and the rows of these."""
    random, classes = np.random.default_rng(seed), encoding.classes(table)
    rows = random.choice(len(table), round(SHARE * len(table)), replace=False)
    labels = encoding.encode(table["label"], classes)
    labels[rows] = (labels[rows] + random.integers(1, len(classes), len(rows))) % len(classes)
    named = [classes[label] for label in labels]
    # A file that stayed in the folder of its class would lie beside the others that were changed like it, in the order of paths: a block.
    moved = [str(path.parent.with_name(label) / path.name) for path, label in zip(map(PurePosixPath, table["origin"]), named, strict=True)]
    return table.assign(label=named, origin=moved), rows


def ask_peer(python: str, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """What cleanlab makes of the same probabilities: its orders by name, and the rows that it calls issues."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probabilities.npz"
        np.savez(path, labels=labels, probabilities=probabilities)
        done = subprocess.run([python, "-c", PEER, str(path)], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def singles(kind: Kind, seed: int, penalties: list[float], peer: str) -> dict[str, Any]:
    """The share of planted labels in the top of the list, and what is said of how many there are."""
    table, rows = changed(kind.table, seed)
    classes = encoding.classes(table)
    head, how = fitted(table, kind.features, seed, penalties)
    told = doubtful.find(table, kind.features, head, classes, **how)
    labels, probabilities = encoding.encode(table["label"], classes), likelihood.softmax(doubtful.held_out(table, kind.features, head))
    top = round(TOP * len(table))
    order = np.argsort(confident.confidence(probabilities, labels), kind="stable")
    listed = {one["path"] for one in told["labels"] if not one["block"]}
    hits = int(table["path"].iloc[rows].isin(listed).sum())
    row: dict[str, Any] = {
        "seed": seed,
        "planted": len(rows),
        "in_top": float(np.isin(rows, order[:top]).mean()),
        "listed": told["singles"],
    }
    row |= {"of_these_planted": hits, "expected": told["expected"], "blocks": len(told["blocks"])}
    if peer:
        theirs = ask_peer(peer, probabilities, labels)
        for name, one in theirs["orders"].items():
            row[f"cleanlab_{name}"] = float(np.isin(rows, one[:top]).mean())
        row |= {"cleanlab_listed": len(theirs["found"]), "cleanlab_planted": int(np.isin(rows, theirs["found"]).sum())}
    return row


def block(kind: Kind, seed: int, penalties: list[float]) -> dict[str, Any]:
    """Whether a block of wrong files among 28 of a class is named, and what else is: there, and before files were replaced."""
    random, classes = np.random.default_rng(seed), encoding.classes(kind.table)
    rows, one, other, beyond = drawn(kind, random, seed, classes)
    table = kind.table.iloc[rows].reset_index(drop=True)
    table["split"] = np.where(
        np.arange(len(rows)) % TEST == 0, "test", "train"
    )  # that of the folder may leave no file of a class to fit a head on
    features, first = kind.features[rows], int(random.integers(0, OF_CLASS - IN_BLOCK + 1))
    clean = listed(table, features, seed, penalties)
    wrong = np.flatnonzero(table["label"] == one)[first : first + IN_BLOCK]
    features[wrong] = kind.features[beyond]
    told = listed(table, features, seed, penalties)
    paths = set(table["path"].iloc[wrong])
    right = [found["number"] for found in told["blocks"] if (found["label"], found["suggested"]) == (one, other)]
    named_files = {doubt["path"] for doubt in told["labels"] if doubt["block"] in right}
    return {
        "seed": seed,
        "named": len(named_files & paths) > IN_BLOCK / 2,
        "files": len(named_files & paths),
        "others": len(told["blocks"]) - len(right),
        "before": len(clean["blocks"]),
    }


def drawn(kind: Kind, random: np.random.Generator, seed: int, classes: list[str]) -> tuple[np.ndarray, str, str, np.ndarray]:
    """OF_CLASS consecutive files of each class, in order; two classes; and the next files of the second of them. Numbers in names count by value, and for odd seeds as text if that is another order."""
    orders = blocks.orders(list(kind.table["origin"]), list(kind.table["label"]))
    places = orders[seed % len(orders)].places
    named = {name: np.flatnonzero(kind.table["label"] == name) for name in classes}
    order = {name: rows[np.argsort(places[rows])] for name, rows in named.items()}
    begin = random.random() * (1 - (OF_CLASS + IN_BLOCK) / min(map(len, order.values())))
    one, other = random.choice(classes, 2, replace=False)
    rows = np.concatenate([rows[int(begin * len(rows)) :][:OF_CLASS] for rows in order.values()])
    return rows, one, other, order[other][int(begin * len(order[other])) + OF_CLASS :][:IN_BLOCK]


def listed(table: pd.DataFrame, features: np.ndarray, seed: int, penalties: list[float]) -> Doubts:
    """The labels to look at."""
    head, how = fitted(table, features, seed, penalties)
    return doubtful.find(table, features, head, encoding.classes(table), **how)


def measure(folder: Path, work: Path, card: Any, seeds: int, draws: int, penalties: list[float], peer: str) -> dict[str, Any]:
    """All that is measured on a folder."""
    kind = read(folder, work / folder.name, card)
    head, how = fitted(kind.table, kind.features, 0, penalties)
    clean = doubtful.find(kind.table, kind.features, head, encoding.classes(kind.table), **how)
    rows, planted = [], []
    for seed in range(max(seeds, draws)):
        if seed < seeds:
            rows.append(singles(kind, seed, penalties, peer))
        if seed < draws:
            planted.append(block(kind, seed, penalties))
        print(json.dumps([folder.name, rows[-1:], planted[-1:]]), file=sys.stderr, flush=True)
    held = [row["expected"][1] <= row["of_these_planted"] <= row["expected"][2] for row in rows]
    return {
        "images": len(kind.table),
        "as_it_is": {"listed": clean["singles"], "expected": clean["expected"], "blocks": len(clean["blocks"])},
        "in_top": float(np.mean([row["in_top"] for row in rows])) if rows else None,
        "worst": min((row["in_top"] for row in rows), default=None),
        "intervals_that_hold": sum(held),
        "blocks_named": sum(one["named"] for one in planted),
        "other_blocks": sum(one["others"] for one in planted),
        "blocks_before": sum(one["before"] for one in planted),
        "seeds": rows,
        "of_blocks": planted,
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER", type=Path)
    parser.add_argument("--work", type=Path, default=Path("labels-work"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=20, help="of a block")
    parser.add_argument("--source", default="wheel:efficientnet_lite0")
    parser.add_argument("--penalties", type=float, nargs="+", default=TrainHead().penalties)
    parser.add_argument("--peer", default="", metavar="PYTHON", help="an interpreter that has cleanlab")
    given = parser.parse_args()
    card = sources.load(given.source).card()
    work = given.work.resolve()
    told = {folder.name: measure(folder, work, card, given.seeds, given.draws, given.penalties, given.peer) for folder in given.folders}
    report({"benchmark": "labels", "source": given.source, **told})


if __name__ == "__main__":
    main()
