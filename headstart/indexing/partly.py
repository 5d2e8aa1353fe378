"""Images without labels beside labelled ones: which belong to a labelled one, so that no look-alike of a test image trains."""

from __future__ import annotations

import numpy as np
import pandas as pd

from headstart.data import manifest
from headstart.indexing import duplicates

_ORDER = {"test": 0, "validation": 1, "train": 2, "": 3}  # whose group an image gets that looks like several


def settled(labelled: pd.DataFrame, without: pd.DataFrame, distance: int, limit: int) -> pd.DataFrame:
    """The manifest of the images without labels, their groups in one numbering with those of the labelled manifest.

    One that looks like a labelled image, or belongs to it as the import said, gets that one's group: a test image's before all others'.
    `distance` (bits) and `limit` (images of a group) are as in duplicates.group.
    """
    here, there = labelled[labelled["readable"]], without[without["readable"]]
    joint = pd.concat([here, there], ignore_index=True)
    kept = np.array([f"group {group}" for group in here["group"]] + [""] * len(there), object)
    alike = duplicates.group(joint["phash"], joint["pixels_sha256"], distance, limit + len(here), pd.Series(kept))
    own = _first(alike[: len(here)], here)
    given = _first(here["together"].to_numpy(object), here)
    given.pop("", None)
    numbers: dict[object, int] = {}
    free = int(here["group"].max()) + 1 if len(here) else 0

    def number(look: int, together: str) -> int:
        known = [found for found in (given.get(together), own.get(look)) if found is not None]
        if known:
            return min(known)[1]
        return numbers.setdefault(together or look, free + len(numbers))

    groups = [number(look, together) for look, together in zip(alike[len(here) :], there["together"], strict=True)]
    found = np.full(len(without), -1, np.int64)
    found[without["readable"].to_numpy()] = groups
    return without.assign(group=found)


def _first(keys: np.ndarray, here: pd.DataFrame) -> dict[object, tuple[int, int]]:
    """For each key the rank of the split and the group of the labelled image that counts most."""
    found: dict[object, tuple[int, int]] = {}
    for key, split, group in zip(keys.tolist(), here["split"], here["group"], strict=True):
        mine = (_ORDER.get(split, 3), int(group))
        found[key] = min(mine, found.get(key, mine))
    return found


def on_one_scale(labelled: pd.DataFrame, without: pd.DataFrame) -> pd.DataFrame:
    """The manifest of the images without labels, deep images on the scale of the labelled ones, if these have one."""
    scale = manifest.grey(labelled)
    deep = without["white"] > without["black"]
    if scale is None or not deep.any():
        return without
    for known, rows in ((scale.integer, deep & (without["mode"] != "F")), (scale.real, deep & (without["mode"] == "F"))):
        if known:
            without.loc[rows, ["black", "white"]] = known
    return without
