"""Say how well each batch is known, and whether the newest is of another kind: python -m tasks.compare_batches"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from headstart.base import devices, outputs
from headstart.continual import outcome
from headstart.data import batches, manifest
from headstart.networks import cards, heads
from headstart.params import CompareBatches, Shared
from headstart.statistics import goals
from headstart.words import formats, lists
from tasks import stage


def compare_batches(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    head: Path = Path("models/head"),
    predictions: Path = Path("reports/predictions.parquet"),
    out: Path = Path("reports/batches.json"),
    *,
    block: CompareBatches,
    shared: Shared,
) -> None:
    """Write what is known of each batch, what the newest did to the others, and whether it drifts; without batches, that there are none."""
    table = manifest.read(clean)
    there = set(table["batch"])
    names = [name for name in batches.names(batches.read(images)) if name in there]
    if len(names) < 2:
        outputs.write_json(out, outcome.nothing())
        print("nothing to compare: all images came at once (headstart import --add)")
        return
    from headstart.continual import comparing, drift
    from headstart.features import of_source

    answered = pd.read_parquet(predictions, columns=["path", "correct"]).set_index("path")["correct"]
    features = of_source.of_source(cards.read_source(source), table, images, devices.choose(shared.device, shared.precision))
    summary = outputs.read_json(head / "summary.json")
    how, classes = summary["final"], summary["classes"]
    before = comparing.without_newest(
        table,
        features,
        classes,
        names[-1],
        penalty=how["penalty"],
        balanced=how["class_weights"] == "balanced",
        goal=goals.read(summary["goal"]),
    )
    after = heads.load(head / "head.safetensors", "final"), classes
    seen = np.flatnonzero((table["split"] != "test").to_numpy())  # the test images decide nothing, drift neither
    rows = table.iloc[seen]
    report: outcome.Report = {
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
            seed=shared.seed,
        ),
    }
    outputs.write_json(out, report)
    _say(report)


def _say(report: outcome.Report) -> None:
    for one in report["batches"]:
        if one["accuracy"] is not None:
            low, high = one["interval"]
            told = f"{one['accuracy']:.1%} of {formats.count(one['n_test'], 'test image')} right (95% interval {low:.1%} to {high:.1%})"
            print(f"batch {one['name']}: {told}")
    if found := report["drift"]:
        print(f"drift of {found['batch']}: {lists.listing(found['found']) or 'none shown'}; p of its looks: {found['looks']['p']}")


if __name__ == "__main__":
    stage.run(compare_batches)
