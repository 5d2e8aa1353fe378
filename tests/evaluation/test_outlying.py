"""headstart.evaluation.outlying: the images that are the least like any known one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from headstart.evaluation import outlying
from headstart.evaluation.limits import Limits
from headstart.statistics.limits import Unlike, Unsure

UNSURE = Unsure(0.5, "error", 0.05, 20, 1.0, 0.0, 0.1, True)


def made(unlike: Unlike | None = None) -> Limits:
    """Forty images of one direction; a training and a test image of directions of their own."""
    random = np.random.default_rng(0)
    features = np.concatenate([[[1.0, 0, 0, 0]] + random.normal(0, 0.02, (40, 4)), [[0, 1, 0, 0], [0, 0.2, 1, 0]]]).astype(np.float32)
    rows = pd.DataFrame(
        {"path": [f"{n:02}.png" for n in range(42)], "label": "a", "split": ["train"] * 30 + ["test"] * 10 + ["train", "test"]}
    )
    return Limits(UNSURE, unlike, None, {"answered": 1.0, "error": 0.0, "false_alarms": None}, rows, features)


def test_the_furthest_come_first_and_a_training_image_is_not_its_own_neighbour() -> None:
    found = outlying.find(made(Unlike(0.4, 5, 0.05, 20, 31)))
    assert [(one["path"], one["split"]) for one in found["images"][:2]] == [("40.png", "train"), ("41.png", "test")]
    assert all(one["distance"] > 0.9 for one in found["images"][:2])
    assert all(one["distance"] < 0.1 for one in found["images"][2:])
    assert (len(found["images"]), found["distance"]) == (outlying.MOST, 0.4)


def test_without_a_threshold() -> None:
    assert outlying.find(made())["distance"] is None
