"""A picture with what counted for a class left bright."""

from __future__ import annotations

import numpy as np
from PIL import Image

DIM = 0.6  # how far parts that did not count are darkened


def darkened(image: Image.Image, crop: float, found: np.ndarray) -> Image.Image:
    """A decoded picture in which the parts that did not count for a class are darkened: `found` is that of evaluation/occlusion.py.

    crop: the share of the shorter side that the network sees. What lies outside the square that the network sees is darkened too. If nothing counted, all is.
    """
    share = np.clip(found, 0, None)
    share = np.sqrt(share / share.max()) if share.max() > 0 else share  # else all but the peak would be dark
    side = min(image.size) * crop
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (round(left), round(top), round(left + side), round(top + side))
    smooth = Image.fromarray((255 * share).round().astype(np.uint8)).resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BICUBIC)
    bright = Image.new("L", image.size, round(255 * (1 - DIM)))
    bright.paste(smooth.point([round(255 * (1 - DIM) + DIM * value) for value in range(256)]), box[:2])
    return Image.composite(image.convert("RGB"), Image.new("RGB", image.size), bright)
