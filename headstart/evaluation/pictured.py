"""What the report draws of what the model sees: what counted for its worst mistakes, and a map of the images by their features."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base import outputs
from headstart.data import sampling
from headstart.evaluation import occlusion
from headstart.evaluation.outlying import Outliers
from headstart.features import transforms
from headstart.features.engines import Engine
from headstart.features.transforms import View
from headstart.machinery.progress import Progress
from headstart.statistics import mistakes, plane

HEAT, MAP, FAR = "heat.json", "map.parquet", "far.json"  # files of reports/seen/
FEWEST = 10  # images of which a map is drawn


class Heat(TypedDict):
    """The content of heat.json."""

    crop: float  # share of the shorter side that the network sees
    parts: dict[
        str, list[list[float]]
    ]  # by the path of an image: how much each part counted for the class that was named, rows from the top


def counted(predictions: pd.DataFrame, root: Path, engine: Engine, view: View, classes: list[str], most: int) -> Heat:
    """What counted for the worst mistakes among `predictions`, at most `most` of them. `engine` gives logits (n, classes) first."""
    rows, parts = mistakes.worst(predictions).head(most), {}
    with Progress(len(rows), "what counted for the worst mistakes") as progress:
        for path, predicted in zip(rows["path"], rows["predicted"], strict=True):
            square = transforms.read(root / path, [view], "")[0]
            found = occlusion.heat(engine, square, classes.index(predicted), len(classes))
            parts[str(path)] = [[round(float(value), 3) for value in row] for row in found]
            progress.step()
    return {"crop": view.crop, "parts": parts}


def mapped(table: pd.DataFrame, features: np.ndarray, most: int, seed: int) -> pd.DataFrame:
    """A map of images by their features (n, width): rows of `table` with x and y (0 to 1), about `most` of them and every class in proportion; none of fewer than FEWEST."""
    chosen = sampling.sample(table.assign(row=range(len(table))), most, seed) if most else table.head(0).assign(row=[])
    if len(chosen) < FEWEST:
        return table.head(0)[["path", "label", "split"]].assign(x=[], y=[])
    places = plane.project(features[chosen["row"].to_numpy(int)], seed)
    low, high = places.min(0), places.max(0)
    x, y = ((places - low) / np.maximum(high - low, 1e-12)).T.round(4)
    return chosen[["path", "label", "split"]].reset_index(drop=True).assign(x=x, y=y)


def write(folder: Path, heat: Heat, table: pd.DataFrame, far: Outliers) -> None:
    """Write what counted, the map, and the images unlike the others into a folder, whole or not at all."""
    with outputs.folder(folder) as new:
        outputs.write_json(new / HEAT, heat)
        outputs.write_json(new / FAR, far)
        table.to_parquet(new / MAP, index=False)
