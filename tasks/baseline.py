"""Train the same architecture from random weights, for comparison: python -m tasks.baseline"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from headstart.base import devices, outputs
from headstart.data import manifest
from headstart.networks import cards
from headstart.networks.cards import Architecture
from headstart.statistics import records
from headstart.training import designs
from tasks import stage


def baseline(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    architecture: Path = Path("models/architecture.json"),
    out: Path = Path("models/baseline"),
    curve: Path = Path("reports/curves/baseline.csv"),
    *,
    epochs: int,
    rate: float,
    batch_size: int,
    weight_decay: float,
    label_smoothing: float,
    views: int,
    max_size: int,
    max_images: int,
    augmentation: dict[str, Any],
    verdict: dict[str, Any],
    seed: int,
    device: str,
    precision: str,
) -> None:
    """Write the network of the first seed, what was done, and which validation images every run had right, epoch by epoch."""
    table, described = manifest.read(clean), Architecture.from_json(outputs.read_json(architecture), architecture)
    classes = sorted(set(table["label"]))
    parameters: dict[str, Any] = {
        "epochs": epochs,
        "rate": rate,
        "batch_size": batch_size,
        "weight_decay": weight_decay,
        "label_smoothing": label_smoothing,
        "views": views,
        "max_size": max_size,
        "max_images": max_images,
        "augmentation": augmentation,
    }
    card = designs.random_card(described, max_size, seed)
    plan = {name: value for name, value in parameters.items() if name not in ("max_size", "max_images")}
    runs, first = {}, None
    if epochs:
        from headstart.networks import model
        from headstart.training import scratch  # and with them PyTorch, which takes seconds

        wanted = {"seeds": verdict["seeds"], "label_curve": verdict["label_curve"]}
        for cell in designs.cells(table, **wanted, images=max_images, seed=seed):
            done = scratch.train(cell.table, images, card.design, classes, **plan, seed=cell.seed, device=devices.choose(device, precision))
            runs[cell.labels, cell.number] = records.of_run(cell.table, done)
            if (cell.labels, cell.number) == (0, 0):
                first = done
    with outputs.folder(out) as folder:
        records.write(folder / "trials.safetensors", runs)
        if first:
            model.save(folder / cards.WEIGHTS, first.network)
        summary = first.summary if first else {}
        outputs.write_json(
            folder / "summary.json", {**summary, "card": card.to_json(), "classes": classes, "parameters": {"baseline": parameters}}
        )
    with outputs.whole(curve) as temporary:
        pd.DataFrame(first.curve if first else []).to_csv(temporary, index=False)
    print(f"from random weights: {first.summary['validation']['accuracy']:.1%} of the validation images right" if first else "no baseline")


if __name__ == "__main__":
    stage.run(baseline)
