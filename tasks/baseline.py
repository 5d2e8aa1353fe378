"""Train the same architecture from random weights, for comparison: python -m tasks.baseline"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from headstart.base import devices, outputs
from headstart.data import encoding, manifest
from headstart.networks import cards
from headstart.networks.cards import Architecture
from headstart.params import Baseline, Repeats, Shared
from headstart.statistics import records
from headstart.training import designs
from tasks import stage


def baseline(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    architecture: Path = Path("models/architecture.json"),
    changes: Path = Path("models/changes.json"),
    out: Path = Path("models/baseline"),
    curve: Path = Path("reports/curves/baseline.csv"),
    *,
    block: Baseline,
    verdict: Repeats,
    shared: Shared,
) -> None:
    """Train the baseline and write what came of it.

    Writes the network of the first seed, what was done, and which validation images every run had right, epoch by epoch.
    """
    table, wanted = manifest.read(clean), Architecture.from_json(outputs.read_json(architecture), architecture)
    classes = encoding.classes(table)
    card = designs.random_card(wanted, block.max_size, shared.seed)
    runs, first, settled = {}, None, block
    if block.epochs:
        from headstart.networks import model
        from headstart.training import scratch  # and with them PyTorch, which takes seconds

        place = devices.choose(shared.device, shared.precision)
        settled = scratch.settled(block, table, outputs.read_json(changes), place)
        plan = scratch.plan_of(settled)
        for one in designs.trainings(table, seeds=verdict.runs, label_curve=verdict.label_curve, images=block.max_images, seed=shared.seed):
            done = scratch.train(one.table, images, card.design, classes, plan, seed=one.seed, device=place)
            runs[one.labels, one.number] = records.of_run(one.table, done)
            if (one.labels, one.number) == (0, 0):
                first = done
    with outputs.folder(out) as folder:
        records.write(folder / "trials.safetensors", runs)
        if first:
            model.save(folder / cards.WEIGHTS, first.network)
        made = {"card": card.to_json(), "classes": classes, "parameters": {"baseline": block.model_dump()}, "settled": settled.model_dump()}
        outputs.write_json(folder / "summary.json", {**first.summary, **made} if first else made)
    with outputs.whole(curve) as temporary:
        pd.DataFrame(first.curve if first else []).to_csv(temporary, index=False)
    print(
        f"from random weights: {first.summary['validation']['accuracy']:.1%} of the validation images right"
        if first
        else "transfer is not tested: baseline.epochs is 0"
    )


if __name__ == "__main__":
    stage.run(baseline)
