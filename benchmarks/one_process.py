"""From a folder of images to a saved model on one source, in one process and without stages: what versus_fastai.py times.

    python benchmarks/one_process.py IMAGES OUT [--source wheel:efficientnet_lite0] [--fine-tune] [--test-share 0.2]

Index and split, train the head on the frozen source at its own input size, save; with --fine-tune, fine-tune from that head and save the
outcome instead. Parameters are the defaults of headstart.params. Leaves what `headstart predict` needs in OUT. What depends on the source
alone (card, weights, exported network) is kept in .headstart where this is run; with it at hand, a frozen head needs no PyTorch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd

from headstart import params
from headstart.base import devices, weights
from headstart.indexing import indexer
from headstart.linear import frozen_head
from headstart.networks import cards, heads, kept


def index(images: Path, everything: params.Params) -> pd.DataFrame:
    """The readable images and their split."""
    table = indexer.index(images, **params.kwargs(everything, "index_images"), seed=everything.seed)
    return table[table["readable"]].reset_index(drop=True)


def source_card(name: str) -> tuple[cards.SourceCard, str]:
    """The card of a source and the name of its classifier, kept beside its weights; its engine is made while it is loaded."""
    path = kept.FOLDER / f"{name.replace(':', '-')}.json"
    if not path.exists():
        from headstart.features import extraction
        from headstart.networks import model, sources

        source = sources.load(name)
        kept.keep(source.trunk.state_dict(), source.weights_sha256)
        extraction.Frozen.of(lambda: model.trunk(source), extraction.identity(source.card(), "features"), source.transform.input_size)
        path.write_text(json.dumps({"card": source.card().to_json(), "classifier": source.classifier}))
    content = json.loads(path.read_text())
    return cards.SourceCard.from_json(content["card"], path), content["classifier"]


def train(
    table: pd.DataFrame, images: Path, card: cards.SourceCard, classifier: str, everything: params.Params
) -> tuple[dict[str, heads.Head], dict[str, Any], list[str]]:
    """The heads on the frozen source, the weights of the source with the one to ship, and the classes in order."""
    block = everything.train_head
    trained, summary = frozen_head.train(
        table,
        images,
        card,
        penalties=block.penalties,
        folds=block.folds,
        balanced=block.balanced,
        seed=everything.seed,
        device=devices.choose(everything.device, everything.precision),
    )
    head = trained[frozen_head.FINAL]
    return trained, {**kept.of_source(card), f"{classifier}.weight": head.weight, f"{classifier}.bias": head.bias}, summary["classes"]


def fine_tune(
    table: pd.DataFrame, images: Path, card: cards.SourceCard, head: heads.Head, classes: list[str], everything: params.Params
) -> dict[str, Any]:
    """The weights after fine-tuning from the head that saw the train split only."""
    from headstart.training import augmenting, tuning

    seed, device = everything.seed, devices.choose(everything.device, everything.precision)
    changes = augmenting.measure(table[table["split"] == "train"], images, card, classes, seed=seed, device=device)
    done = tuning.tune(table, images, card, head, classes, everything.fine_tune, changes, seed=seed, device=device)
    return {key: value.numpy() for key, value in done.result.network.weights().items()}


def model_card(card: cards.SourceCard, classes: list[str]) -> dict[str, object]:
    """What `headstart predict` must know."""
    return cards.ModelCard(
        library=card.library,
        architecture=card.architecture,
        weights_sha256=card.weights_sha256,
        transform=card.transform,
        classes=tuple(classes),
        format=1,
        source=card.name,
        kind=card.kind,
    ).to_json()


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
    card, classifier = source_card(options.source)
    options.out.mkdir(parents=True, exist_ok=True)
    trained, saved, classes = train(table, options.images, card, classifier, everything)
    if options.fine_tune:
        saved = fine_tune(table, options.images, card, trained[frozen_head.TRAIN_ONLY], classes, everything)
    weights.write(options.out / cards.WEIGHTS, saved)
    (options.out / cards.CARD).write_text(json.dumps(model_card(card, classes), indent=2) + "\n")


if __name__ == "__main__":
    main()
