"""Rank the candidate source models on the training images and choose one: python -m tasks.select_source"""

from __future__ import annotations

from pathlib import Path

from headstart import devices, manifest, outputs, selection
from tasks import stage


def select_source(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    ranking: Path = Path("reports/ranking.json"),
    *,
    candidates: list[str],
    input_size: int | str,
    max_images: int,
    folds: int,
    neighbours: int,
    seed: int,
    device: str,
    precision: str,
) -> None:
    """Write the choice, and every candidate with its scores and cost or the reason it was skipped."""
    table = manifest.read(clean)
    parameters = {"candidates": candidates, "input_size": input_size, "max_images": max_images, "folds": folds, "neighbours": neighbours}
    chosen_device = devices.choose(device, precision)
    ranked = selection.rank(table, images, **parameters, seed=seed, device=chosen_device)  # type: ignore[arg-type]
    outputs.write_json(source, {**ranked.chosen, "parameters": {"seed": seed, "select_source": parameters}})
    outputs.write_json(ranking, ranked.report)
    print(f"chosen: {ranked.report['reason']}")


if __name__ == "__main__":
    stage.run(select_source)
