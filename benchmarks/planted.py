"""Sources that ought not to be chosen, and verdicts that ought not to be positive.

    python benchmarks/planted.py ANTS_BEES SIGN_DIGITS [--rankings 40] [--nulls 40] [--out FILE.jsonl]

Rankings: true ImageNet sources (the three wheels) beside a planted one, on 100 to 300 training photos at 64 or 96 pixels. Planted are networks of the same
architectures with random weights, with a true source's weights shuffled within each layer, or trained on shuffled labels. `planted_preferred` counts the
rankings in which a planted source is chosen or stands above any true one.

Nulls: fresh random weights as the "source" against random weights: five seeds, one-sided 1%, a margin of 1 point. `null_called_positive` counts the verdicts that
claim transfer helped. Shuffled: a true source's weights shuffled within layers as the source; the verdict of five seeds must agree with a reference of ten
others or claim nothing (`shuffled_wrong`). True: Lite0 with 10 labels a class; the verdict must be positive (`true_positive`).

Rows are appended to FILE as they are made and not made again. Ends with a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from workspace import report

from headstart.base import weights
from headstart.choice import selection
from headstart.data import encoding, sampling
from headstart.indexing import indexer
from headstart.networks import common, sources
from headstart.networks.cards import SourceCard
from headstart.networks.model import Network
from headstart.params import Baseline, FineTune, IndexImages, Race, SelectSource, TrainHead
from headstart.proof import comparison, contenders, trained
from headstart.statistics import records
from headstart.training import designs, scratch

TRUE = ["wheel:efficientnet_lite0", "wheel:efficientnet_lite1", "wheel:efficientnet_lite2"]
KINDS = ("random", "shuffled_weights", "shuffled_labels")
SIZES = (64, 96)
IMAGES = (100, 200, 300)
LEVEL, MARGIN = 0.01, 0.01
EPOCHS = 5  # of both networks in nulls and shuffled cases


def checkpoint(folder: Path, source: common.Source, values: dict[str, torch.Tensor]) -> str:
    """Save weights of a source's architecture as a checkpoint source; returns its name."""
    folder.mkdir(parents=True)
    card = source.card()
    described = {"library": card.library, "architecture": card.architecture, "transform": card.transform.to_json(), "licence": "own"}
    (folder / "card.json").write_text(json.dumps(described))
    weights.write(folder / "model.safetensors", {key: value.detach().numpy() for key, value in values.items()})
    return f"checkpoint:{folder}"


def random_weights(source: common.Source, seed: int) -> dict[str, torch.Tensor]:
    """The architecture as its library initialises it."""
    network = scratch.untrained(source.card().design, ["a", "b"], seed)
    return {key: value for key, value in network.weights().items() if not key.startswith(source.classifier)}


def shuffled_weights(source: common.Source, seed: int) -> dict[str, torch.Tensor]:
    """Every tensor's values in another order: the same distributions, no structure."""
    random = np.random.default_rng(seed)
    return {
        key: torch.from_numpy(random.permutation(value.numpy().ravel()).reshape(value.shape)) if value.ndim else value
        for key, value in source.trunk.state_dict().items()
    }


def shuffled_labels(source: common.Source, seed: int, table: pd.DataFrame, root: Path, size: int) -> dict[str, torch.Tensor]:
    """Trained from random weights on labels that mean nothing."""
    wrong = table.assign(label=np.random.default_rng(seed).permutation(table["label"].to_numpy()))
    network = train_random(wrong, root, source.card().at(size), seed, epochs=3)
    return {key: value for key, value in network.weights().items() if not key.startswith(source.classifier)}


def train_random(table: pd.DataFrame, root: Path, card: SourceCard, seed: int, epochs: int) -> Network:
    return scratch.train(table, root, card.design, encoding.classes(table), plan(epochs), seed=seed).network


def plan(epochs: int) -> scratch.Plan:
    """How the network from random weights is trained: baseline's defaults but for the epochs and two views."""
    return scratch.plan_of(Baseline(epochs=epochs, views=2))


def ranking(number: int, tables: list[tuple[Path, pd.DataFrame]], scrap: Path) -> dict[str, Any]:
    """One planted ranking."""
    random = np.random.default_rng(number)
    root, table = tables[number % len(tables)]
    kind, size, count = KINDS[number % len(KINDS)], int(random.choice(SIZES)), int(random.choice(IMAGES))
    some = pd.concat([sampling.sample(table[table["split"] == "train"], count, number), table[table["split"] == "validation"]])
    some = some.reset_index(drop=True)
    source = sources.load(str(random.choice(TRUE)))
    make: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
        "random": lambda: random_weights(source, number),
        "shuffled_weights": lambda: shuffled_weights(source, number),
        "shuffled_labels": lambda: shuffled_labels(source, number, some, root, size),
    }
    planted = checkpoint(scrap / f"ranking-{number}", source, make[kind]())
    block = SelectSource(candidates=[*TRUE, planted], input_size=size, depths=False, race=Race(sources=0))
    done = selection.select(some, root, block, seed=number).report
    order = [row["name"] for row in done["candidates"]]
    figures = {row["name"]: round(row["probe_accuracy"], 3) for row in done["candidates"]}
    return {
        "kind": kind,
        "of": source.name,
        "folder": root.name,
        "size": size,
        "images": count,
        "chosen": done["chosen"],
        "preferred": done["chosen"] == planted or order[-1] != planted,
        "probe": [figures[name] for name in [*TRUE, planted]],
    }


def judged(
    table: pd.DataFrame,
    root: Path,
    source: common.Source,
    size: int,
    *,
    seeds: int,
    seed: int,
    epochs: int,
    level: float,
    trainings_of: Any,
) -> comparison.Comparison:
    """The verdict on a source, both networks at `size` pixels."""
    classes, card = encoding.classes(table), source.card().at(size)
    block = FineTune(depth=3, epochs=epochs, views=2)
    ours, theirs = [], []
    for one in trainings_of(table, seeds, seed):
        ours.append(records.of_run(one.table, trained.pretrained(one, contenders.DataSet(table, root, classes), card, TrainHead(), block)))
        theirs.append(records.of_run(one.table, scratch.train(one.table, root, card.design, classes, plan(epochs), seed=one.seed)))
    return comparison.compare(ours, theirs, level=level, margin=MARGIN, seed=seed)


def all_labels(table: pd.DataFrame, seeds: int, seed: int) -> list[designs.Training]:
    return list(designs.trainings(table, seeds=seeds, label_curve=False, images=10**6, seed=seed))


def ten_labels(table: pd.DataFrame, seeds: int, seed: int) -> list[designs.Training]:
    return [one for one in designs.trainings(table, seeds=seeds, label_curve=True, images=10**6, seed=seed) if one.labels == 10]


def few(table: pd.DataFrame, train: int, validation: int, seed: int) -> pd.DataFrame:
    parts = [
        sampling.sample(table[table["split"] == split], count, seed) for split, count in (("train", train), ("validation", validation))
    ]
    return pd.concat(parts).reset_index(drop=True)


def null(number: int, tables: list[tuple[Path, pd.DataFrame]], scrap: Path) -> dict[str, Any]:
    """Random weights as the source."""
    root, table = tables[number % len(tables)]
    name = TRUE[number % len(TRUE)]
    source = sources.load(name)
    planted = sources.load(checkpoint(scrap / f"null-{number}", source, random_weights(source, 1000 + number)))
    done = judged(few(table, 120, 60, number), root, planted, 64, seeds=5, seed=number, epochs=EPOCHS, level=LEVEL, trainings_of=all_labels)
    return {"folder": root.name, "of": name, "answer": done["answer"], "evidence": done["evidence"]}


def shuffled(number: int, tables: list[tuple[Path, pd.DataFrame]], scrap: Path) -> dict[str, Any]:
    """Shuffled weights as the source: five seeds against ten others."""
    root, table = tables[number % len(tables)]
    source = sources.load(TRUE[0])
    planted = sources.load(checkpoint(scrap / f"shuffled-{number}", source, shuffled_weights(source, 2000 + number)))
    some = few(table, 120, 60, number)
    wanted: dict[str, Any] = {"epochs": EPOCHS, "trainings_of": all_labels}
    five = judged(some, root, planted, 64, seeds=5, seed=number, level=LEVEL, **wanted)
    ten = judged(some, root, planted, 64, seeds=10, seed=500 + number, level=LEVEL, **wanted)
    wrong = five["answer"] not in ("none_shown", "too_few", ten["answer"])
    return {"folder": root.name, "answer": five["answer"], "reference": ten["answer"], "wrong": wrong, "evidence": five["evidence"]}


def true(number: int, tables: list[tuple[Path, pd.DataFrame]], scrap: Path) -> dict[str, Any]:
    """A true source with 10 labels a class, at 128 pixels."""
    root, table = tables[number]
    done = judged(table, root, sources.load(TRUE[0]), 128, seeds=5, seed=0, epochs=10, level=0.05, trainings_of=ten_labels)
    return {"folder": root.name, "answer": done["answer"], "standing": done["standing"], "evidence": done["evidence"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs=2, type=Path)
    parser.add_argument("--rankings", type=int, default=40)
    parser.add_argument("--nulls", type=int, default=40)
    parser.add_argument("--shuffled", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("planted.jsonl"))
    options = parser.parse_args()
    out, started = options.out.resolve(), time.monotonic()
    known = {(row["part"], row["number"]): row for row in map(json.loads, out.read_text().splitlines())} if out.exists() else {}
    folders = [folder.resolve() for folder in options.folders]
    parts: list[tuple[Callable[..., dict[str, Any]], int]] = [
        (ranking, options.rankings),
        (true, len(folders)),
        (shuffled, options.shuffled),
        (null, options.nulls),
    ]
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        tables = [(root, indexed(root)) for root in folders]
        for part, count in parts:
            for number in range(count):
                key = (part.__name__, number)
                if key not in known:
                    known[key] = {"part": key[0], "number": number, **part(number, tables, Path(place) / "sources")}
                    with out.open("a") as file:
                        file.write(json.dumps(known[key]) + "\n")
                    print(known[key], flush=True)
                    shutil.rmtree(Path(place) / ".headstart/features", ignore_errors=True)
        os.chdir("/")
    rows = {part.__name__: [known[part.__name__, number] for number in range(count)] for part, count in parts}
    report(
        {
            "planted_cases": len(rows["ranking"]),
            "planted_preferred": sum(row["preferred"] for row in rows["ranking"]),
            "null_cases": len(rows["null"]),
            "null_called_positive": sum(row["answer"] == "positive" for row in rows["null"]),
            "shuffled_cases": len(rows["shuffled"]),
            "shuffled_wrong": sum(row["wrong"] for row in rows["shuffled"]),
            "true_positive": {row["folder"]: row["answer"] for row in rows["true"]},
            "minutes": round((time.monotonic() - started) / 60, 1),
        }
    )


def indexed(root: Path) -> pd.DataFrame:
    table = indexer.index(root, **IndexImages().model_dump(), seed=0)
    return table[table["readable"]].reset_index(drop=True)


if __name__ == "__main__":
    main()
