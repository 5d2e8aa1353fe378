"""Unfreeze and fine-tune from the trained head, watching the validation split: python -m tasks.fine_tune"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from headstart import devices, features, fine_tuning, manifest, model, outputs, weights
from headstart.training import Recipe
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
    depth: int,
    epochs: int,
    patience: int,
    rate: float,
    decay: float,
    weight_decay: float,
    label_smoothing: float,
    class_weights: str,
    batch_size: int,
    views: int,
    cache_gib: float,
    augmentation: dict[str, Any],
    processes: int | str,
    seed: int,
    device: str,
    precision: str,
) -> None:
    """Write the fine-tuned weights, what was done and whether they ship, and the learning curve."""
    table, card, classes = manifest.read(clean), outputs.read_json(source), outputs.read_json(head / "summary.json")["classes"]
    loss_weights = fine_tuning.class_weights(table.loc[table["split"] == "train", "label"], classes, class_weights == "balanced")
    plan: dict[str, Any] = {
        "strategy": strategy,
        "depth": depth,
        "epochs": epochs,
        "rate": rate,
        "decay": decay,
        "views": views,
        "cache_gib": cache_gib,
    }
    recipe = Recipe(batch_size, patience, weight_decay, label_smoothing, loss_weights, seed)
    place = devices.choose(device, precision)
    done = fine_tuning.run(
        table,
        images,
        card,
        head / "head.safetensors",
        classes,
        **plan,
        augmentation=augmentation,
        recipe=recipe,
        device=place,
        processes=processes,
    )
    optimiser = {"patience": patience, "weight_decay": weight_decay, "label_smoothing": label_smoothing, "class_weights": class_weights}
    parameters = {**plan, **optimiser, "batch_size": batch_size, "augmentation": augmentation}
    with outputs.folder(out) as folder:
        model.save(folder / weights.WEIGHTS, done.network)
        outputs.write_json(folder / "summary.json", {**done.summary, "parameters": {"fine_tune": parameters}})
    with outputs.whole(curve) as temporary:
        pd.DataFrame(done.curve).to_csv(temporary, index=False)
    if place.kind == "cpu":  # evaluate then finds the exported network, and needs no PyTorch
        features.logits(card, weights.digest(done.network.weights()), lambda: done.network, place)
    print(done.summary["reason"])


if __name__ == "__main__":
    stage.run(fine_tune)
