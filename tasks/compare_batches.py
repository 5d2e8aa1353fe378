"""Say how well each batch is known, and whether the newest is of another kind: python -m tasks.compare_batches"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.base import devices, outputs, weights
from headstart.base.reading import Features
from headstart.continual import outcome
from headstart.data import batches, forgotten, manifest
from headstart.networks import cards, heads
from headstart.networks.cards import ModelCard
from headstart.params import CompareBatches, Shared
from headstart.statistics import goals
from headstart.words import batches as words
from headstart.words import formats, lists
from tasks import stage


def compare_batches(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    head: Path = Path("models/head"),
    predictions: Path = Path("reports/predictions.parquet"),
    remembered: Path = Path("models/remembered"),
    out: Path = Path("reports/batches.json"),
    *,
    block: CompareBatches,
    shared: Shared,
) -> None:
    """Write what is known of each batch, what the newest did to the others, whether it drifts, and a model that knows forgotten batches.

    Without batches, that there are none.
    """
    table = manifest.read(clean)
    there = set(table["batch"])
    names = [name for name in batches.names(batches.read(images)) if name in there]
    report = outcome.nothing()
    if len(names) < 2 and not forgotten.names(images):
        _write(remembered, None)
        outputs.write_json(out, report)
        print("nothing to compare: all images came at once (headstart import --add)")
        return
    from headstart.continual import remembering
    from headstart.features import of_source

    card = cards.read_source(source)
    answered = pd.read_parquet(predictions, columns=["path", "correct"]).set_index("path")["correct"]
    features = of_source.of_source(card, table, images, devices.choose(shared.device, shared.precision))
    if len(names) > 1:
        report = _compared(table, features, names, answered, head, block, shared.seed)
    memory = remembering.remember(images, table, features, card, answered)
    report["remembered"] = memory.report if memory else None
    _write(remembered, remembering.model(card, memory, table) if memory and memory.head else None)
    outputs.write_json(out, report)
    _say(report)


def _compared(
    table: pd.DataFrame, features: Features, names: list[str], answered: pd.Series, head: Path, block: CompareBatches, seed: int
) -> outcome.Report:
    """Accuracy per batch, what the newest did to the others, and whether it drifts."""
    from headstart.continual import comparing, drift

    summary = outputs.read_json(head / "summary.json")
    how, classes = summary["final"], summary["classes"]
    fitted = partial(
        comparing.without_newest,
        table,
        features,
        classes,
        penalty=how["penalty"],
        balanced=how["class_weights"] == "balanced",
        goal=goals.read(summary["goal"]),
    )
    before = fitted(names[-1])
    joined = (summary.get("self_training") or {}).get("joined")  # both heads are then of labels alone
    after = (fitted("") if joined else None) or (heads.load(head / "head.safetensors", "final"), classes)
    seen = np.flatnonzero((table["split"] != "test").to_numpy())  # the test images decide nothing, drift neither
    rows = table.iloc[seen]
    return {
        **outcome.nothing(),
        "batches": comparing.accuracies(table, names, answered),
        "forgetting": comparing.forgetting(table, features, names, before, after) if before else [],
        "drift": drift.measure(
            names[-1],
            features[seen],
            rows["label"].to_numpy(str),
            rows["group"].to_numpy(),
            (rows["batch"] == names[-1]).to_numpy(),
            level=block.level,
            permutations=block.permutations,
            most=block.max_images,
            seed=seed,
        ),
    }


def _write(folder: Path, made: tuple[dict[str, np.ndarray], ModelCard] | None) -> None:
    """Write the model, a word instead of one if there is none."""
    with outputs.folder(folder) as temporary:
        if made:
            weights.write(temporary / cards.WEIGHTS, made[0])
            outputs.write_json(temporary / cards.CARD, made[1].to_json())
        else:  # DVC warns of an empty folder
            (temporary / "README.txt").write_text("No batch was forgotten whose sums are of the source; reports/batches.json says more.\n")


def _say(report: outcome.Report) -> None:
    for one in report["batches"]:
        if one["accuracy"] is not None:
            low, high = one["interval"]
            told = f"{one['accuracy']:.1%} of {formats.count(one['n_test'], 'test image')} right (95% interval {low:.1%} to {high:.1%})"
            print(f"batch {one['name']}: {told}")
    if found := report["drift"]:
        print(f"drift of {found['batch']}: {lists.listing(found['found']) or 'none shown'}; p of its looks: {found['looks']['p']}")
    if kept := report["remembered"]:
        print(f"remembered: {words.remembered(kept['images'], kept['batches'], kept['unusable'], kept['gone_classes'])}")


if __name__ == "__main__":
    stage.run(compare_batches)
