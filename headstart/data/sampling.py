"""Samples of a table that depend on the files' hashes alone.

They depend neither on the order of the rows nor on a random generator.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd


def sample(table: pd.DataFrame, limit: int, seed: int) -> pd.DataFrame:
    """About `limit` rows at most, with every class in proportion.

    Every class keeps at least two rows. Rows are chosen by file hash, so that the choice does not depend on their order.
    """
    if len(table) <= limit:
        return table.reset_index(drop=True)
    share = limit / len(table)
    order = table["sha256"].map(lambda value: hash_order(value, seed))
    rank_in_class = order.groupby(table["label"]).rank(method="first")
    sizes = table.groupby("label")["label"].transform("size")
    return table[rank_in_class <= np.maximum(2, np.floor(sizes * share))].reset_index(drop=True)


def hash_order(sha256: str, seed: int) -> int:
    """A number that orders files at random, the same way every time."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sha256}".encode()).digest()[:6], "big")


def few(table: pd.DataFrame, labels: int, seed: int) -> pd.DataFrame:
    """The table with at most `labels` training rows of each class (0: all), chosen by file hash."""
    if not labels:
        return table
    order = table["sha256"].map(lambda value: hash_order(value, seed)).groupby([table["split"], table["label"]]).rank(method="first")
    return table[(table["split"] != "train") | (order <= labels)].reset_index(drop=True)
