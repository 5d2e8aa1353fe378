"""In a develop directory: train a source model from random or pretrained weights.

Run it with: python -m tasks.train_source
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from headstart.base import devices, outputs
from headstart.data import manifest
from headstart.developing import develop
from headstart.networks import cards, model
from headstart.params import Shared
from headstart.params.developing import TrainSource
from tasks import develop_stage


def train_source(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    out: Path = Path("models/trained"),
    curve: Path = Path("reports/curves/train_source.csv"),
    *,
    block: TrainSource,
    shared: Shared,
) -> None:
    """Write the weights of the best epoch on validation, what was done, and the learning curve."""
    place = devices.choose(shared.device, shared.precision)
    done = develop.train(manifest.read(clean), images, block, seed=shared.seed, device=place)
    with outputs.folder(out) as folder:
        model.save(folder / cards.WEIGHTS, done.network)
        outputs.write_json(folder / "summary.json", done.summary)
    with outputs.whole(curve) as temporary:
        pd.DataFrame(done.curve).to_csv(temporary, index=False)
    best = min(done.curve, key=lambda row: row["validation_loss"])
    print(f"{best['validation_accuracy']:.1%} of the validation images right at epoch {best['epoch']} of {done.curve[-1]['epoch']}")


if __name__ == "__main__":
    develop_stage.run(train_source)
