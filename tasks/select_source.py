"""Rank the candidate source models on the training images and choose one.

Run it with: python -m tasks.select_source
"""

from __future__ import annotations

from pathlib import Path

from headstart.base import devices, outputs
from headstart.choice import selection
from headstart.data import encoding, manifest
from headstart.params import SelectSource, Shared
from headstart.training import augmenting
from tasks import stage


def select_source(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    architecture: Path = Path("models/architecture.json"),
    changes: Path = Path("models/changes.json"),
    ranking: Path = Path("reports/ranking.json"),
    *,
    block: SelectSource,
    shared: Shared,
) -> None:
    """Choose a source model and write the choice.

    Writes the choice, its architecture alone, which changes of the pictures keep their labels (by the features of the cheapest source that is
    nearly as good as the chosen one), and every candidate with its scores and cost or the reason it was skipped.
    """
    place, table = devices.choose(shared.device, shared.precision), manifest.read(clean)
    done = selection.select(table, images, block, seed=shared.seed, device=place)
    train, measured = table[table["split"] == "train"], list[augmenting.Change]()
    if block.changes:
        measured = augmenting.measure(train, images, done.cheap, encoding.classes(table), seed=shared.seed, device=place)
    parameters = {"seed": shared.seed, "select_source": block.model_dump()}
    outputs.write_json(source, {**done.chosen.to_json(), "parameters": parameters})
    outputs.write_json(architecture, done.chosen.design.to_json())
    outputs.write_json(changes, measured)
    outputs.write_json(ranking, done.report)
    print(f"chosen: {done.report['reason']}")


if __name__ == "__main__":
    stage.run(select_source)
