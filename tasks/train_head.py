"""Train a new head on the frozen base: python -m tasks.train_head"""

from __future__ import annotations

from pathlib import Path

from headstart.base import devices, outputs
from headstart.data import manifest
from headstart.linear import frozen_head
from headstart.networks import cards, heads
from headstart.params import Shared, TrainHead
from tasks import stage


def train_head(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    out: Path = Path("models/head"),
    *,
    block: TrainHead,
    shared: Shared,
) -> None:
    """Fit the heads and write them.

    Writes the head fitted on train and validation, the one fitted on train alone, and how their penalties were chosen.
    """
    trained, summary = frozen_head.train(
        manifest.read(clean),
        images,
        cards.read_source(source),
        penalties=block.penalties,
        folds=block.folds,
        balanced=block.class_weights == "balanced",
        seed=shared.seed,
        device=devices.choose(shared.device, shared.precision),
    )
    with outputs.folder(out) as folder:
        heads.save(folder / "head.safetensors", trained)
        outputs.write_json(folder / "summary.json", {**summary, "parameters": {"train_head": block.model_dump()}})
    print(f"head: {summary['train_only']['validation_accuracy']:.1%} of the validation images right when trained without them")


if __name__ == "__main__":
    stage.run(train_head)
