"""The images that are the least like any that the model was made from: what the report shows as outliers."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.evaluation.limits import NEIGHBOURS, Limits
from headstart.statistics import limits

MOST = 12  # images that are kept


class Outlier(TypedDict):
    """An image, and how far it is from its nearest known ones."""

    path: str
    label: str
    split: str
    distance: float  # cosine distance from the fifth nearest training image, itself left out


class Outliers(TypedDict):
    """The content of reports/seen/far.json."""

    distance: float | None  # beyond this `predict` says `unlike`; None if there were too few images for a threshold
    images: list[Outlier]  # the furthest first


def find(known: Limits) -> Outliers:
    """The furthest of the training, validation and test images that the limits were chosen with."""
    train = (known.rows["split"] == "train").to_numpy()
    bank = limits.unit(known.features[train]).astype(np.float16)
    far = np.empty(len(known.rows))
    for rows, itself in ((train, 1), (~train, 0)):  # a training image is its own nearest
        far[rows] = limits.distances(known.features[rows], bank, NEIGHBOURS + itself)
    order = np.lexsort((known.rows["path"].to_numpy(str), -far.round(4)))[:MOST]
    images = [_told(known.rows, row, far[row]) for row in order]
    return {"distance": known.unlike.distance if known.unlike else None, "images": images}


def _told(rows: pd.DataFrame, row: int, distance: float) -> Outlier:
    path, label, split = (str(rows[column].iloc[row]) for column in ("path", "label", "split"))
    return {"path": path, "label": label, "split": split, "distance": round(float(distance), 4)}
