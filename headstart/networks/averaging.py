"""Averages of the weights of two networks of one kind.

Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

MIXES = (0.25, 0.5, 0.75)  # shares of the fine-tuned weights that are tried


def averaged(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], share: float) -> dict[str, np.ndarray]:
    """The average of two networks' weights with a share (0-1) of the second."""
    return {key: mixed(first[key], value, share) for key, value in second.items()}


def mixed(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """The average of two arrays with a share (0-1) of the second; counters (integers) are the second's."""
    if not np.issubdtype(second.dtype, np.floating):
        return second
    return np.asarray((1 - share) * first.astype(np.float64) + share * second, second.dtype)
