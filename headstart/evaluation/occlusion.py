"""What a network looked at: how much less it finds a class when a part of the picture is covered (occlusion).

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014. It works for every network, transformers and pairs too, and needs no gradients: the
engine that answers runs once for each of 36 covered pictures. What is shown is what counted for this network, not what is right.
"""

from __future__ import annotations

import numpy as np

from headstart.base.cores import in_order
from headstart.features.engines import Engine

CELLS = 7  # of the map, a side, as of the last map of usual networks; two are covered at a time, in steps of one
COVER = 2


def heat(engine: Engine, square: np.ndarray, label: int, classes: int) -> np.ndarray:
    """How much each part of a picture counts for a class: float32 (CELLS, CELLS), rows from the top.

    engine: uint8 (n, size, size, 3) -> (n, classes or more), logits first. square: what the network sees, uint8 (size, size, 3). A cell is the mean, over the covers that
    hide it, of the fall of the class's log odds against all others; below 0: it spoke against the class.
    """
    places = [(row, column) for row in range(CELLS - COVER + 1) for column in range(CELLS - COVER + 1)]
    mean = square.mean((0, 1)).round().astype(np.uint8)  # of its colours: what tells the network least
    edges = np.round(np.arange(CELLS + 1) * len(square) / CELLS).astype(int)

    def covered(place: tuple[int, int]) -> np.ndarray:
        row, column = place
        made = square.copy()
        made[edges[row] : edges[row + COVER], edges[column] : edges[column + COVER]] = mean
        return made

    def one(place: tuple[int, int]) -> np.ndarray:
        return np.asarray(engine.run(covered(place)[None])[0])

    given = list(in_order(one, places)) if engine.batch == 1 else list(engine.run(np.stack([covered(place) for place in places])))
    whole = _odds(engine.run(square[None])[0], label, classes)
    total, times = np.zeros((CELLS, CELLS)), np.zeros((CELLS, CELLS))
    for (row, column), found in zip(places, given, strict=True):
        here = np.s_[row : row + COVER, column : column + COVER]
        total[here] += whole - _odds(found, label, classes)
        times[here] += 1
    return np.asarray(total / times, np.float32)


def _odds(found: np.ndarray, label: int, classes: int) -> float:
    """The log odds of a class against all others, from logits (classes or more,); 0 if there are no others."""
    logits = found[:classes].astype(np.float64)
    others = np.delete(logits, label)
    return float(logits[label] - np.logaddexp.reduce(others)) if len(others) else 0.0
