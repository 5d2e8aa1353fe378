"""In a develop directory: test a trained source model, and write it and its card.

Reads the test split once and compares with naive baselines. Run it with: python -m tasks.register_source
"""

from __future__ import annotations

import shutil
from pathlib import Path

from headstart.base import devices, outputs
from headstart.data import manifest
from headstart.developing import judging
from headstart.networks import cards
from headstart.params import Shared
from tasks import develop_stage


def register_source(
    images: Path = Path("data/images"),
    clean: Path = Path("data/clean.parquet"),
    trained: Path = Path("models/trained"),
    out: Path = Path("models/source"),
    metrics: Path = Path("reports/metrics.json"),
    *,
    shared: Shared,
) -> None:
    """Write the model folder that `checkpoint:` takes, and whether it beats the baselines.

    If it does, `headstart develop` registers it.
    """
    card = judging.evaluate(
        manifest.read(clean),
        images,
        trained / cards.WEIGHTS,
        outputs.read_json(trained / "summary.json"),
        seed=shared.seed,
        device=devices.choose(shared.device, shared.precision),
    )
    with outputs.folder(out) as folder:
        shutil.copy(trained / cards.WEIGHTS, folder / cards.WEIGHTS)
        outputs.write_json(folder / cards.CARD, card.to_json())
    outputs.write_json(metrics, card.metrics)
    print(card.metrics["reason"])


if __name__ == "__main__":
    develop_stage.run(register_source)
