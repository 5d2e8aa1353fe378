"""The training images that are most like a picture, from the features that a model keeps of those that it knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.data import images, manifest
from headstart.evaluation import limits as of_model
from headstart.features import extraction
from headstart.features.predict import Ready
from headstart.features.transforms import View
from headstart.machinery.errors import DataError
from headstart.statistics import limits

CLEAN, IMAGES = Path("data/clean.parquet"), Path("data/images")
SHOWN = 5
SAME = 0.98  # cosine between features that are kept and those computed now, at least; 16 bits and another engine make less of a difference


@dataclass(frozen=True)
class Known:
    """Training images: their table, the folder that its paths are below, and their features (n, width) at length 1."""

    table: pd.DataFrame
    root: Path
    features: np.ndarray

    def nearest(self, features: np.ndarray) -> pd.DataFrame:
        """The rows of the SHOWN images that are most like one with these features (1, width), with a column `alike`, the cosine."""
        alike = (limits.unit(features) @ np.asarray(self.features, np.float32).T)[0]
        order = np.argsort(-alike, kind="stable")[:SHOWN]
        return self.table.iloc[order].assign(alike=alike[order])


def known(ready: Ready, folder: Path) -> Known | None:
    """The images that the model in `folder` knows, in its own project or in this one; None if they are not here.

    Their features are those that the model keeps; if it keeps none, or not of these images, they are computed and stored.
    """
    seed = ready.card.parameters.get("seed", 0)
    for project in dict.fromkeys((Path(), folder.resolve().parent.parent)):
        clean, root = project / CLEAN, project / IMAGES
        if not (clean.is_file() and root.is_dir()):
            continue
        table = manifest.read(clean)
        if manifest.split_hash(table) != ready.card.data_sha256:
            continue
        rows = of_model.known_rows(table, seed if isinstance(seed, int) else 0)
        if ready.known is not None and _fits(rows, root, ready):
            return Known(rows, root, ready.known)
        view, stored = View.of_card(ready.card), project / extraction.FOLDER
        try:
            found = extraction.extract(ready.frozen, rows, root, view, dtype="float32", folder=stored, what="features of training images")
        except DataError:  # an image is gone, or another one
            continue
        return Known(rows, root, limits.unit(found[:][:, len(ready.card.classes) :]))
    return None


def _fits(rows: pd.DataFrame, root: Path, ready: Ready) -> bool:
    """Whether the features that a model keeps are of these rows: those of the first, the middle one and the last are computed again."""
    if ready.known is None or len(rows) != len(ready.known):
        return False
    for at in sorted({0, len(rows) // 2, len(rows) - 1}):
        try:
            square = ready.read(root / rows["path"].iloc[at])
        except images.Unreadable:
            return False
        now = limits.unit(ready.frozen.engine.run(square[None])[:, len(ready.card.classes) :])[0]
        if float(now @ ready.known[at].astype(np.float32)) < SAME:
            return False
    return True
