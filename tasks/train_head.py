"""Train a new head on the frozen base: python -m tasks.train_head"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from headstart.base import devices, outputs
from headstart.data import manifest
from headstart.linear import frozen_head
from headstart.networks import cards, heads
from headstart.params import Aimed, TrainHead
from headstart.statistics import goals
from tasks import stage


def train_head(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    out: Path = Path("models/head"),
    *,
    block: TrainHead,
    shared: Aimed,
) -> None:
    """Fit the heads and write them.

    Writes the head fitted on train and validation, the one fitted on train alone, how their penalties were chosen, what the model is to be
    good at, and the learning curve.
    """
    table = manifest.read(clean)
    aim = shared.aim
    goal = goals.resolve(aim.measure, aim.label, aim.reach, list(table.loc[table["split"] != "test", "label"]))
    trained, summary = frozen_head.train(
        table,
        images,
        cards.read_source(source),
        penalties=block.penalties,
        folds=block.folds,
        balanced=None if block.class_weights == "auto" else block.class_weights == "balanced",
        seed=shared.seed,
        goal=goal,
        curve=True,
        device=devices.choose(shared.device, shared.precision),
    )
    with outputs.folder(out) as folder:
        heads.save(folder / "head.safetensors", trained)
        parameters = {"aim": aim.model_dump(), "train_head": block.model_dump()}
        made = {**summary, "goal": asdict(goal), "point": asdict(summary["point"])}
        outputs.write_json(folder / "summary.json", {**made, "parameters": parameters})
    print(
        f"aim: {goal.measure.replace('_', ' ')}{f' of {goal.label}, {goal.reach:g} or more' if goal.label else ''}{'' if goal.asked else ' (by default)'}"
    )
    print(f"head: {summary['train_only']['validation_accuracy']:.1%} of the validation images right when trained without them")


if __name__ == "__main__":
    stage.run(train_head)
