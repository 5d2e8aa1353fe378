"""The splits of images that come later: what was there keeps its split, and what is new follows what it looks like.

A batch is cut by itself, so its splits do not depend on what came before, with two exceptions: a new image that is a near-duplicate of a
known one, or that belongs together with it, gets that one's split, test before all; and a class that still lacks a split gives it its
first image by key.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from headstart.indexing import duplicates, splits

ORDER = ("train", "test", "validation")  # in which a class that lacks some is given them
FEW = 5  # images of a class in a batch; of fewer, a share cannot be cut off, and each goes by its own key


@dataclass(frozen=True)
class Cut:
    """How splits are cut: shares of images (0-1), what near-duplicates are (bits of 64, images), and the seed."""

    test_share: float
    validation_share: float
    distance: int
    limit: int
    seed: int

    def groups(self, table: pd.DataFrame) -> np.ndarray:
        """The numbers (n,) of the groups of near-duplicates, and of what belongs together, of a table."""
        given = table["together"]
        together = given if (given != "").any() else None
        return duplicates.group(table["phash"], table["pixels_sha256"], self.distance, self.limit, together)


def settle(known: pd.DataFrame, new: pd.DataFrame, cut: Cut) -> np.ndarray:
    """The split (n,) of each row of `new`, "train", "validation" or "test"; those of `known` stay as they are.

    Both are readable images with the columns label, split, pixels_sha256, phash and together; in `new`, split is what folders give, "" for
    none. A split that a folder gives gives way only to that of a known near-duplicate.
    """
    new = new.reset_index(drop=True)
    if new.empty:
        return np.empty(0, object)
    new["group"] = cut.groups(new)
    given = bool((new["split"] != "").any())
    found = splits.assign(new, test_share=cut.test_share, validation_share=cut.validation_share, seed=cut.seed).astype(object)
    keys = splits.keys_of(pd.Index(new["pixels_sha256"]), cut.seed)
    if not given:
        _by_key(new, found, keys, cut)
    bound = _follow(known, new, found, cut)
    if not given:
        _complete(known, new, found, keys, bound)
    return found


def _by_key(new: pd.DataFrame, found: np.ndarray, keys: np.ndarray, cut: Cut) -> None:
    """Cut groups all of whose classes have few images in this batch by their own keys, which come to the shares over many batches."""
    few = (new.groupby("label")["label"].transform("size") < FEW).to_numpy()
    groups = new["group"].to_numpy()
    lowest = pd.Series(keys).groupby(groups).transform("min").to_numpy()
    for row in np.flatnonzero(pd.Series(few).groupby(groups).transform("all").to_numpy()).tolist():
        place = int(lowest[row]) / 2**64
        rest = (place - cut.test_share) / (1 - cut.test_share)
        found[row] = "test" if rest < 0 else "validation" if rest < cut.validation_share else "train"


def _follow(known: pd.DataFrame, new: pd.DataFrame, found: np.ndarray, cut: Cut) -> np.ndarray:
    """Give groups that reach a known image its split; returns which of `new` (n,) bool these are."""
    if known.empty:
        return np.zeros(len(new), bool)
    columns = ["label", "split", "pixels_sha256", "phash", "together"]
    both = pd.concat([known[columns], new[columns]], ignore_index=True)
    among = cut.groups(both)
    of_known: dict[int, set[str]] = {}
    for number, split in zip(among[: len(known)].tolist(), known["split"], strict=True):
        of_known.setdefault(number, set()).add(split)
    reached: dict[int, set[str]] = {}
    own = new["group"].tolist()
    for number, group in zip(among[len(known) :].tolist(), own, strict=True):
        reached.setdefault(group, set()).update(of_known.get(number, ()))
    bound = np.array([bool(reached[group]) for group in own])
    for row in np.flatnonzero(bound).tolist():
        found[row] = next(split for split in ("test", "validation", "train") if split in reached[own[row]])
    return bound


def _complete(known: pd.DataFrame, new: pd.DataFrame, found: np.ndarray, keys: np.ndarray, bound: np.ndarray) -> None:
    """Give classes that would lack a split one group of the new ones, the first by its key, from the split that has most of them."""
    groups = new["group"].to_numpy()
    alone = (new.groupby("group")["label"].transform("nunique") == 1).to_numpy() & ~bound
    sizes = known.groupby(["label", "split"]).size().to_dict()
    for label in sorted(new["label"].unique()):
        rows = np.flatnonzero((new["label"] == label).to_numpy())
        for split in ORDER:
            counts = {name: int(sizes.get((label, name), 0)) + int((found[rows] == name).sum()) for name in ORDER}
            if counts[split]:
                continue
            able = [row for row in rows.tolist() if alone[row] and _spares(found[row], groups[row], rows, groups, found, counts)]
            if able:
                most = max(ORDER, key=lambda name: sum(found[row] == name for row in able))
                chosen = min((row for row in able if found[row] == most), key=lambda row: int(keys[row]))
                found[rows[(groups[rows] == groups[chosen]) & (found[rows] == most)]] = split


def _spares(split: str, group: int, rows: np.ndarray, groups: np.ndarray, found: np.ndarray, counts: dict[str, int]) -> bool:
    """Whether a split keeps images of a class without those of this group."""
    return counts[split] > int(((groups[rows] == group) & (found[rows] == split)).sum())
