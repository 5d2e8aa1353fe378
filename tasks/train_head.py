"""Train a new head on the frozen base: python -m tasks.train_head"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from headstart.base import devices, outputs
from headstart.base.devices import Device
from headstart.data import beside, manifest, settings
from headstart.data.settings import partly
from headstart.features import of_source
from headstart.linear import frozen_head
from headstart.linear.joining import Joining
from headstart.networks import cards, heads
from headstart.networks.cards import SourceCard
from headstart.networks.heads import Head
from headstart.params import Aimed, TrainHead
from headstart.statistics import goals, likelihood
from tasks import stage

NAMED = "unlabelled.csv"  # in `out`, if there are images without labels: the label that the final head gives each


def train_head(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    target: Path = Path("data/target.parquet"),
    source: Path = Path("models/source.json"),
    out: Path = Path("models/head"),
    *,
    block: TrainHead,
    shared: Aimed,
) -> None:
    """Fit the heads and write them.

    Writes the head fitted on train and validation, the one fitted on train alone, how their penalties were chosen, what the model is to be
    good at, and the learning curve. Images without labels teach the heads if that is shown to help; what became of them is written too.
    """
    table, card = manifest.read(clean), cards.read_source(source)
    without = manifest.read(target) if settings.of(images) is partly.PARTLY else None
    device = devices.choose(shared.device, shared.precision)
    aim = shared.aim
    goal = goals.resolve(aim.measure, aim.label, aim.reach, list(table.loc[table["split"] != "test", "label"]))
    trained, summary = frozen_head.train(
        table,
        images,
        card,
        penalties=block.penalties,
        folds=block.folds,
        balanced=block.balanced,
        seed=shared.seed,
        goal=goal,
        curve=True,
        without=None if without is None else Joining(without, block.self_training, block.max_unlabelled),
        device=device,
    )
    with outputs.folder(out) as folder:
        heads.save(folder / "head.safetensors", trained)
        parameters = {"aim": aim.model_dump(), "train_head": block.model_dump()}
        made = {**summary, "goal": asdict(goal), "point": asdict(summary["point"])}
        outputs.write_json(folder / "summary.json", {**made, "parameters": parameters})
        if without is not None:
            named = _named(without, images, card, trained[frozen_head.FINAL], summary, device)
            beside.write(folder / NAMED, ("path", "label", "probability"), named)
    print(
        f"aim: {goal.measure.replace('_', ' ')}{f' of {goal.label}, {goal.reach:g} or more' if goal.label else ''}{'' if goal.asked else ' (by default)'}"
    )
    print(f"head: {summary['train_only']['validation_accuracy']:.1%} of the validation images right when trained without them")
    if told := summary.get("self_training"):
        what = f"{told['learned']:,} images without labels joined" if told["joined"] else "labels alone"
        print(f"{what}: {told['reason']}")


def _named(
    without: pd.DataFrame, images: Path, card: SourceCard, head: Head, summary: frozen_head.Summary, device: Device
) -> list[tuple[str, str, str]]:
    """A row per image without a label that can be read: its path in what was imported, the label that the head gives it, its probability."""
    rows = without[without["readable"]].reset_index(drop=True)
    if rows.empty:
        return []
    found = likelihood.softmax(head.logits(of_source.of_source(card, rows, images, device)))
    named, classes = summary["point"].named(found), summary["classes"]
    paths = (path.removeprefix(f"{partly.FOLDER}/") for path in rows["path"])
    return [(path, classes[k], f"{p[k]:.4f}") for path, k, p in zip(paths, named, found, strict=True)]


if __name__ == "__main__":
    stage.run(train_head)
