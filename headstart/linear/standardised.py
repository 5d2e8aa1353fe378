"""Mean and scale of features, which heads are fitted without."""

from __future__ import annotations

import numpy as np

from headstart.base import reading
from headstart.base.reading import Features

LEAST_SCALE = 0.1  # of the median of the features' standard deviations: less counts as that much


def moments(features: Features, counted: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (d,) of the rows.

    Only the rows that are `counted` (n,) are used, if it is given. The least standard deviations are raised; all-constant features get 1.
    """
    total, square = np.zeros(features.shape[1]), np.zeros(features.shape[1])
    for part in reading.blocks(len(features)):
        block = features[part].astype(np.float64)
        block = block if counted is None else block[counted[part]]
        total, square = total + block.sum(0), square + (block**2).sum(0)
    n = len(features) if counted is None else int(counted.sum())
    mean = total / n
    scale = np.sqrt(np.maximum(square / n - mean**2, 0))
    # A feature that is nearly always zero would throw off the one image in which it is not.
    scale = np.maximum(scale, LEAST_SCALE * np.median(scale))
    return mean, np.where(scale > 1e-6, scale, 1.0)
