"""The map of images by what a network sees of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from headstart.data import sampling
from headstart.statistics import plane

FEWEST = 10  # images of which a map is drawn


def places(rows: pd.DataFrame, space: np.ndarray, labels: np.ndarray, most: int, seed: int) -> dict[str, np.ndarray]:
    """x and y (n,), 0 to 1, of about `most` images, every group in proportion; NaN for all others."""
    found = np.full((len(rows), 2), np.nan)
    numbered = pd.DataFrame({"sha256": rows["sha256"], "label": labels, "row": range(len(rows))})
    chosen = sampling.sample(numbered, most, seed)["row"].to_numpy(int) if most else np.empty(0, int)
    if len(chosen) >= FEWEST:
        drawn = plane.project(space[chosen], seed)
        low, high = drawn.min(0), drawn.max(0)
        found[chosen] = ((drawn - low) / np.maximum(high - low, 1e-12)).round(4)
    return {"x": found[:, 0], "y": found[:, 1]}
