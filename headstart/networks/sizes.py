"""The size of a source's square input for the images of a table."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pandas as pd

from headstart.networks import common, sources

log = logging.getLogger(__name__)
UPSCALE = 8  # most times that an image is enlarged by `input_size: auto`
SMALLEST = 32  # pixels: the stride of the usual networks
T = TypeVar("T")


def choose(source: common.Source, wanted: int | str, table: pd.DataFrame) -> int:
    """The input size (pixels) for a source: its own, but small images are enlarged at most UPSCALE times."""
    own = source.transform.input_size
    if wanted != "auto":
        return int(wanted)
    if source.fixed_size:
        return own
    side = float(np.median(np.minimum(table["width"], table["height"])))
    return int(min(own, max(SMALLEST, SMALLEST * np.ceil(side * UPSCALE / SMALLEST))))


def fitting(source: common.Source, wanted: int | str, table: pd.DataFrame, use: Callable[[common.Source, int], T]) -> T:
    """What `use` makes of the source at the chosen size; at its own if it turns out not to take that, unless a size is asked for."""
    size = choose(source, wanted, table)
    try:
        return use(sources.resized(source, size), size)
    except (AssertionError, RuntimeError, ValueError):
        own = source.transform.input_size
        if wanted != "auto" or size == own:
            raise
        log.info("%s does not take %d pixels; used at its own %d", source.name, size, own)
        return use(source, own)
