"""fastai's documented recipe for classifying images: the child process that versus_fastai.py times. Knows nothing of Headstart.

    python benchmarks/fastai_peer.py IMAGES TABLE.csv WEIGHTS.safetensors OUT --arch NAME --epochs 5

The table has the columns path, label and is_valid. All is as in fastai's vision tutorial and at its default: Resize(460) and
aug_transforms(size=224), batches of 64, a worker a core, `vision_learner` on a name of timm's, `fine_tune`. Only the weights of that
network come from the given file, read by timm in place of a download; fastai normalises by what timm says of the network. Leaves
OUT/model.pth, the weights (`export` fails on a lock with fastai 2.8.12 and PyTorch 2.15), and OUT/result.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pandas as pd
from fastai.vision.all import BalancedAccuracy, Callback, ImageDataLoaders, Resize, accuracy, aug_transforms, set_seed, vision_learner
from safetensors.torch import load_file


class Notes(Callback):
    """The accuracy after each epoch, the frozen one first, and the seconds that measuring it took."""

    order = 60  # after fastai's Recorder

    def __init__(self) -> None:
        self.accuracies: list[float] = []
        self.balanced: list[float] = []
        self.seconds = self.started = 0.0

    def before_validate(self) -> None:
        self.started = time.monotonic()

    def after_validate(self) -> None:
        self.seconds += time.monotonic() - self.started

    def after_epoch(self) -> None:
        self.accuracies.append(round(float(self.recorder.values[-1][-2]), 4))
        self.balanced.append(round(float(self.recorder.values[-1][-1]), 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("images", "table", "weights", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--figures-only", action="store_true", help="leave no model.pth")
    options = parser.parse_args()
    set_seed(0)
    loaders = ImageDataLoaders.from_df(
        pd.read_csv(options.table, dtype={"path": str, "label": str}, keep_default_na=False),
        options.images,
        valid_col="is_valid",
        item_tfms=Resize(460),
        batch_tfms=aug_transforms(size=224),
        bs=options.batch_size,
    )
    notes = Notes()
    learn = vision_learner(
        loaders, options.arch, metrics=[accuracy, BalancedAccuracy()], cbs=notes, pretrained_cfg_overlay={"file": str(options.weights)}
    )
    given, loaded = load_file(options.weights), learn.model[0].model.state_dict()
    if given.keys() != loaded.keys() or not all(value.equal(loaded[key]) for key, value in given.items()):
        raise SystemExit("fastai's network has not the weights that it was given")  # timm would say nothing
    with learn.no_bar():
        learn.fine_tune(options.epochs)
    result = {"accuracies": notes.accuracies, "balanced": notes.balanced, "validation_seconds": round(notes.seconds, 1)}
    (options.out / "result.json").write_text(json.dumps(result))
    if not options.figures_only:
        learn.save(options.out.resolve() / "model", with_opt=False)


if __name__ == "__main__":
    main()
