"""From a folder of images to a saved model on one source, in one process and without stages: what versus_fastai.py times.

    python benchmarks/one_process.py IMAGES OUT [--source wheel:efficientnet_lite0] [--fine-tune] [--test-share 0.2]

Index and split, train the head on the frozen source, save; with --fine-tune, fine-tune from that head and save the outcome instead.
Parameters are the defaults of headstart.params. Leaves what `headstart predict` needs in OUT; caches go to .headstart where it is run.
"""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from headstart import frozen_head, heads, manifest, model, params, selection, sources


def arguments(function: Callable[..., Any], everything: params.Params, stage: str) -> dict[str, Any]:
    """The parameters of `function` that the block of a stage, or the top level, has a value for."""
    known = {**everything.model_dump(), **params.kwargs(everything, stage)}
    return {name: known[name] for name in inspect.signature(function).parameters if name in known}


def index(images: Path, everything: params.Params) -> pd.DataFrame:
    """The readable images and their split."""
    table = manifest.index(images, **arguments(manifest.index, everything, "index_images"))
    return table[table["readable"]].reset_index(drop=True)


def fine_tune(
    table: pd.DataFrame, images: Path, card: dict[str, Any], network: model.Network, classes: list[str], everything: params.Params
) -> model.Network:
    """Fine-tune `network`, which has the head that saw the train split only."""
    from headstart import fine_tuning, training

    balanced = everything.fine_tune.class_weights == "balanced"
    weights = fine_tuning.class_weights(table.loc[table["split"] == "train", "label"], classes, balanced)
    recipe = training.Recipe(**{**arguments(training.Recipe, everything, "fine_tune"), "class_weights": weights})
    how = arguments(fine_tuning.run, everything, "fine_tune")
    return fine_tuning.run(table, images, card, network, classes, **how, recipe=recipe).network


def save(out: Path, network: model.Network, card: dict[str, Any], classes: list[str]) -> None:
    """Write the weights and the card that goes with them."""
    out.mkdir(parents=True, exist_ok=True)
    model.save(out / model.WEIGHTS, network)
    transform = {key: card[key] for key in ("input_size", "mean", "std", "interpolation", "crop")}
    source = {key: card[key] for key in ("library", "architecture", "kind", "weights_sha256")}
    (out / model.CARD).write_text(json.dumps({"format": 1, **source, "classes": classes, "transform": transform}, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--source", default="wheel:efficientnet_lite0")
    parser.add_argument("--fine-tune", action="store_true")
    parser.add_argument("--test-share", type=float, default=0.2)
    options = parser.parse_args()
    everything = params.check({"index_images": {"test_share": options.test_share}})
    table = index(options.images, everything)
    source = sources.load(options.source)
    size = selection.choose_size(source, everything.select_source.input_size, table[table["split"] == "train"])
    card = {**source.card(), "input_size": size}
    balanced = everything.train_head.class_weights == "balanced"
    how = arguments(frozen_head.train, everything, "train_head")
    trained: dict[str, heads.Head]
    trained, summary = frozen_head.train(table, options.images, card, **how, balanced=balanced)
    network = model.of(source, trained["train_only" if options.fine_tune else "final"])
    if options.fine_tune:
        network = fine_tune(table, options.images, card, network, summary["classes"], everything)
    save(options.out, network, card, summary["classes"])


if __name__ == "__main__":
    main()
