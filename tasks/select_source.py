"""Rank the candidate source models on the training images and choose one: python -m tasks.select_source"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headstart.base import devices, outputs
from headstart.choice import selection
from headstart.data import manifest
from tasks import stage


def select_source(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    architecture: Path = Path("models/architecture.json"),
    ranking: Path = Path("reports/ranking.json"),
    *,
    candidates: list[str],
    max_parameters: float | None,
    max_gflops: float | None,
    licences: list[str],
    input_size: int | str,
    max_images: int,
    folds: int,
    neighbours: int,
    bootstrap: int,
    depths: bool,
    race: dict[str, Any],
    seed: int,
    device: str,
    precision: str,
) -> None:
    """Write the choice, its architecture alone, and every candidate with its scores and cost or the reason it was skipped."""
    parameters: dict[str, Any] = {
        "candidates": candidates,
        "max_parameters": max_parameters,
        "max_gflops": max_gflops,
        "licences": licences,
        "input_size": input_size,
        "max_images": max_images,
        "folds": folds,
        "neighbours": neighbours,
        "bootstrap": bootstrap,
        "depths": depths,
        "race": race,
    }
    done = selection.select(manifest.read(clean), images, **parameters, seed=seed, device=devices.choose(device, precision))
    outputs.write_json(source, {**done.chosen.to_json(), "parameters": {"seed": seed, "select_source": parameters}})
    outputs.write_json(architecture, done.chosen.design.to_json())
    outputs.write_json(ranking, done.report)
    print(f"chosen: {done.report['reason']}")


if __name__ == "__main__":
    stage.run(select_source)
