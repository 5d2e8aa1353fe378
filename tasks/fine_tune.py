"""Unfreeze and fine-tune from the trained head, watching the validation split.

Run it with: python -m tasks.fine_tune
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from headstart.base import devices, outputs, weights
from headstart.data import manifest
from headstart.features import classify
from headstart.networks import averaging, cards, heads, model
from headstart.params import FineTune, Shared
from headstart.statistics import paired, records
from headstart.training import tuning
from tasks import stage


def fine_tune(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    source: Path = Path("models/source.json"),
    changes: Path = Path("models/changes.json"),
    head: Path = Path("models/head"),
    out: Path = Path("models/fine_tuned"),
    curve: Path = Path("reports/curves/fine_tune.csv"),
    *,
    block: FineTune,
    shared: Shared,
) -> None:
    """Write the fine-tuned weights, what was done and what it reached, what it and its averages with the head say of the validation images, and the learning curve."""
    table, card = manifest.read(clean), cards.read_source(source)
    classes: list[str] = outputs.read_json(head / "summary.json")["classes"]
    place = devices.choose(shared.device, shared.precision)
    begin = heads.load(head / "head.safetensors", "train_only")
    tuned = tuning.tune(table, images, card, begin, classes, block, outputs.read_json(changes), seed=shared.seed, device=place)
    done, settled = tuned.result, tuned.block.model_dump(exclude={"processes"})
    parameters = block.model_dump(exclude={"processes"})  # which do not say what is made, but with what
    with outputs.folder(out) as folder:
        model.save(folder / cards.WEIGHTS, done.network)
        records.write(folder / "trials.safetensors", {(0, 0): records.of_run(table, done)})
        if tuned.summary["changed"]:
            said = {1.0: done.logits, **done.averages(averaging.MIXES)}
            weights.write(folder / cards.HELD_OUT, {str(share): logits for share, logits in said.items()})
        outputs.write_json(folder / "summary.json", {**tuned.summary, "parameters": {"fine_tune": parameters}, "settled": settled})
    with outputs.whole(curve) as temporary:
        pd.DataFrame(done.curve).to_csv(temporary, index=False)
    reached = done.summary["validation"]
    if reached is None:
        print(f"nothing is unfrozen (fine_tune.strategy is {block.strategy}): what is left is the frozen head")
        return
    # Later stages then find the exported network, and need no PyTorch, unless images are so few that it is not worth it.
    if place.kind == "cpu":
        classify.prepared(card, weights.digest(done.network.weights()), lambda: done.network, place, reached["n"])
    print(
        f"{reached['fine_tuned_accuracy']:.1%} of {reached['n']} validation images right, {reached['head_accuracy']:.1%} with the frozen head "
        f"({paired.points(reached['difference'], *reached['interval'])})"
    )


if __name__ == "__main__":
    stage.run(fine_tune)
