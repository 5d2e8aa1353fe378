"""How well a model knows its limits: photos of another kind that are flagged, false alarms, and the calibration error.

    python benchmarks/limits.py ants_bees=FOLDER sign_digits=FOLDER --work DIR

Each folder in turn is the known kind, and the photos of the others are shown to its model. Features of the frozen source are kept in DIR/NAME and cost a pass once.
Thresholds are chosen on the validation images, for 5% false alarms; false alarms are counted on the test images. The calibration
error on the test images is that of the head as it is (temperature 1), and with its logits divided by the temperature of the out-of-fold ones. Prints a line of JSON per pair.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.data import encoding, folding, manifest
from headstart.features import of_source
from headstart.indexing import indexer
from headstart.linear import logistic
from headstart.networks import sources
from headstart.networks.cards import SourceCard
from headstart.params.blocks import IndexImages
from headstart.statistics import calibration, likelihood, limits

FALSE_ALARMS = 0.05
RANKS = (1, 5, 10, 20)
Score = Callable[[np.ndarray], np.ndarray]  # features (n, width) -> how unlike the known kind (n,)


@dataclass(frozen=True)
class Kind:
    """A folder of photos: its table, and the features (n, width) of all rows."""

    table: pd.DataFrame
    features: np.ndarray

    def of(self, split: str) -> np.ndarray:
        """The features of a split."""
        return self.features[(self.table["split"] == split).to_numpy()]


def read(folder: Path, work: Path, card: SourceCard) -> Kind:
    """Index a folder and compute its features, in `work`, where both are kept."""
    work.mkdir(parents=True, exist_ok=True)
    here, path, root = Path.cwd(), work / "table.parquet", folder.resolve()
    if not path.exists():
        manifest.write(indexer.index(root, **IndexImages().model_dump(), seed=0), path)
    table = manifest.read(path)
    table = table[table["readable"]].reset_index(drop=True)
    os.chdir(work)
    try:
        return Kind(table, of_source.of_source(card, table, root)[:].astype(np.float32))
    finally:
        os.chdir(here)


def mahalanobis(known: np.ndarray, labels: np.ndarray) -> Score:
    """The distance from the nearest class mean under the shared covariance, shrunk by a tenth (Lee et al., NeurIPS 2018)."""
    means = np.stack([known[labels == label].mean(0) for label in np.unique(labels)])
    centred = known - means[np.unique(labels, return_inverse=True)[1]]
    shared = centred.T @ centred / len(known)
    shared = 0.9 * shared + 0.1 * np.trace(shared) / len(shared) * np.eye(len(shared))
    whiten = np.linalg.cholesky(np.linalg.inv(shared))
    at = means @ whiten
    return lambda x: np.min([((x @ whiten - mean) ** 2).sum(1) for mean in at], axis=0)


def scores(kind: Kind, head: Callable[[np.ndarray], np.ndarray]) -> dict[str, Score]:
    """Every score, made from the training images."""
    known = kind.of("train")
    labels = kind.table.loc[kind.table["split"] == "train", "label"].to_numpy()
    bank = limits.unit(known).astype(np.float16)
    made: dict[str, Score] = {f"knn_{rank}": lambda x, rank=rank: limits.distances(x, bank, rank) for rank in RANKS}  # type: ignore[misc]
    return {**made, "mahalanobis": mahalanobis(known, labels), "probability": lambda x: 1 - head(x).max(1)}


def measure(name: str, kinds: dict[str, Kind]) -> None:
    """Print what the model of one kind makes of the others."""
    kind = kinds[name]
    classes = encoding.classes(kind.table)
    train = kind.table[kind.table["split"] == "train"]
    labels = encoding.encode(train["label"], classes)
    parts = folding.split_folds(labels, train["group"].to_numpy(), 3, 0)
    head, validated = logistic.fit(
        kind.of("train"), labels, parts, classes=len(classes), penalties=[100.0, 10.0, 1.0], balanced=False, what="head"
    )
    answers = likelihood.softmax(head.logits(kind.of("test")))
    truth = encoding.encode(kind.table.loc[kind.table["split"] == "test", "label"], classes)
    right = float((answers.argmax(1) == truth).mean())
    for temperature in (1.0, likelihood.temperature(validated.held_out, labels)):
        scaled = likelihood.softmax(head.logits(kind.of("test")) / temperature)
        error, low, high = calibration.error(calibration.bins(scaled, truth, 15), draws=2000, seed=0)
        said = {"temperature": temperature, "calibration_error": error, "interval": [low, high]}
        print(json.dumps({"known": name, "accuracy": right, **said}), flush=True)
    for score, far in scores(kind, lambda x: likelihood.softmax(head.logits(x))).items():
        cut = limits.conformal(far(kind.of("validation")), FALSE_ALARMS)
        assert cut is not None
        alarms = float((far(kind.of("test")) > cut).mean())
        flagged = {other: float((far(one.features) > cut).mean()) for other, one in kinds.items() if other != name}
        print(json.dumps({"known": name, "score": score, "false_alarms": alarms, "flagged": flagged}), flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--work", type=Path, default=Path("limits-work"))
    parser.add_argument("--source", default="wheel:efficientnet_lite0")
    options = parser.parse_args()
    card = sources.load(options.source).card()
    given = dict(pair.split("=", 1) for pair in options.folders)
    kinds = {name: read(Path(folder), options.work.resolve() / name, card) for name, folder in given.items()}
    for name in kinds:
        measure(name, kinds)


if __name__ == "__main__":
    main()
