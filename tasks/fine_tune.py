"""Unfreeze and fine-tune from the trained head, watching the validation split: python -m tasks.fine_tune"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from headstart.base import devices, outputs, weights
from headstart.data import manifest
from headstart.features import classify
from headstart.networks import cards, heads, model
from headstart.statistics import records
from headstart.training import fine_tuning
from tasks import stage


def fine_tune(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    head: Path = Path("models/head"),
    out: Path = Path("models/fine_tuned"),
    curve: Path = Path("reports/curves/fine_tune.csv"),
    *,
    strategy: str,
    depth: int | str,
    epochs: int,
    patience: int,
    rate: float,
    decay: float,
    weight_decay: float,
    label_smoothing: float,
    class_weights: str,
    batch_size: int,
    views: int | str,
    cache_gib: float,
    augmentation: dict[str, Any],
    processes: int | str,
    regulariser: str,
    regulariser_strength: float,
    seed: int,
    device: str,
    precision: str,
) -> None:
    """Write the fine-tuned weights, what was done and what they reach on validation, and the learning curve."""
    table, card, classes = manifest.read(clean), cards.read_source(source), outputs.read_json(head / "summary.json")["classes"]
    parameters: dict[str, Any] = {
        "strategy": strategy,
        "depth": depth,
        "epochs": epochs,
        "patience": patience,
        "rate": rate,
        "decay": decay,
        "weight_decay": weight_decay,
        "label_smoothing": label_smoothing,
        "class_weights": class_weights,
        "regulariser": regulariser,
        "regulariser_strength": regulariser_strength,
        "batch_size": batch_size,
        "views": views,
        "cache_gib": cache_gib,
        "augmentation": augmentation,
    }
    place = devices.choose(device, precision)
    done = fine_tuning.run(
        table,
        images,
        card,
        heads.load(head / "head.safetensors", "train_only"),
        classes,
        **fine_tuning.settings(parameters, table, classes, seed),
        device=place,
        processes=processes,
    )
    with outputs.folder(out) as folder:
        model.save(folder / cards.WEIGHTS, done.network)
        records.write(folder / "trials.safetensors", {(0, 0): records.of_run(table, done)})
        outputs.write_json(folder / "summary.json", {**done.summary, "parameters": {"fine_tune": parameters}})
    with outputs.whole(curve) as temporary:
        pd.DataFrame(done.curve).to_csv(temporary, index=False)
    if place.kind == "cpu":  # evaluate then finds the exported network, and needs no PyTorch
        classify.prepared(card, weights.digest(done.network.weights()), lambda: done.network, place)
    reached = done.summary["validation"]
    print(
        f"{reached['fine_tuned_accuracy']:.1%} of {reached['n']} validation images right, {reached['head_accuracy']:.1%} with the frozen head "
        f"(difference {reached['difference']:+.1%}, standard error {reached['standard_error']:.1%})"
    )


if __name__ == "__main__":
    stage.run(fine_tune)
