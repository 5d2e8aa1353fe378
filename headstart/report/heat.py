"""What a network looked at: how much less it finds a class when a part of the picture is covered (occlusion).

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014. It works for every network, transformers and pairs too, and needs no gradients: the
engine that answers runs once for each of 49 covered pictures. What is shown is what counted for this network, not what is right.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from headstart.base.cores import in_order
from headstart.features.engines import Run
from headstart.features.transforms import View

CELLS = 8  # of the map, a side; a quarter of the side is covered at a time, in steps of a cell
COVER = 2
DIM = 0.65  # how far parts that did not count are darkened


def heat(run: Run, square: np.ndarray, label: int, classes: int) -> np.ndarray:
    """How much each part of a picture counts for a class: float32 (CELLS, CELLS), rows from the top.

    run: uint8 (1, size, size, 3) -> (1, classes or more), logits first. square: what the network sees, uint8 (size, size, 3). A cell is the mean, over the covers that
    hide it, of the fall of the class's log odds against all others; below 0: it spoke against the class.
    """
    places = [(row, column) for row in range(CELLS - COVER + 1) for column in range(CELLS - COVER + 1)]
    whole = _odds(run(square[None]), label, classes)
    mean = square.mean((0, 1)).round().astype(np.uint8)  # of its colours: what tells the network least
    edges = np.round(np.arange(CELLS + 1) * len(square) / CELLS).astype(int)

    def fall(place: tuple[int, int]) -> float:
        row, column = place
        covered = square.copy()
        covered[edges[row] : edges[row + COVER], edges[column] : edges[column + COVER]] = mean
        return whole - _odds(run(covered[None]), label, classes)

    total, times = np.zeros((CELLS, CELLS)), np.zeros((CELLS, CELLS))
    for (row, column), fell in zip(places, in_order(fall, places), strict=True):
        here = np.s_[row : row + COVER, column : column + COVER]
        total[here] += fell
        times[here] += 1
    return np.asarray(total / times, np.float32)


def _odds(found: np.ndarray, label: int, classes: int) -> float:
    """The log odds of a class against all others, from logits (1, classes or more)."""
    logits = found[0, :classes].astype(np.float64)
    others = np.delete(logits, label)
    top = others.max() if len(others) else 0.0
    return float(logits[label] - top - np.log(np.exp(others - top).sum())) if len(others) else 0.0


def drawn(image: Image.Image, view: View, found: np.ndarray) -> Image.Image:
    """A decoded picture in which the parts that did not count for the class are darkened.

    What lies outside the square that the network sees is darkened too. If nothing counted, all is.
    """
    share = np.clip(found, 0, None)
    share = share / share.max() if share.max() > 0 else share
    side = min(image.size) * view.crop
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (round(left), round(top), round(left + side), round(top + side))
    smooth = Image.fromarray((255 * share).round().astype(np.uint8)).resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BICUBIC)
    bright = Image.new("L", image.size, round(255 * (1 - DIM)))
    bright.paste(smooth.point([round(255 * (1 - DIM) + DIM * value) for value in range(256)]), box[:2])
    return Image.composite(image.convert("RGB"), Image.new("RGB", image.size), bright)
