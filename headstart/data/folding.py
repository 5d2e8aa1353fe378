"""Folds of a table, stratified by class, that keep near-duplicates together."""

from __future__ import annotations

import numpy as np
import pandas as pd


def split_folds(labels: np.ndarray, groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Stratified folds (n,) that keep the near-duplicates of a group together.

    Raises nothing: if a class has fewer groups than `count`, some folds lack it.
    """
    random = np.random.default_rng(seed)
    folds = np.zeros(len(labels), dtype=np.int64)
    filled = np.zeros(count, dtype=np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        names, inverse, sizes = np.unique(groups[rows], return_inverse=True, return_counts=True)
        assigned, here = np.zeros(len(names), dtype=np.int64), np.zeros(count, dtype=np.int64)
        for group in sorted(random.permutation(len(names)), key=lambda g: -sizes[g]):
            fold = min(range(count), key=lambda f: (here[f], filled[f], f))
            assigned[group] = fold
            here[fold] += sizes[group]
            filled[fold] += sizes[group]
        folds[rows] = assigned[inverse]
    # A group under two labels may have been parted: all of it goes where its first image went.
    first = dict(zip(groups[::-1], folds[::-1], strict=True))
    folds = np.array([first[group] for group in groups], dtype=np.int64)
    return np.unique(folds, return_inverse=True)[1]


ENOUGH_IMAGES = 200  # in the validation split; below, folds of train and validation
LEAST_RACED = 20  # in the validation split; with fewer, a race of sources is decided by luck alone
FEWEST_FOLDS = 3


def if_few(asked: bool | str, held: int) -> bool:
    """What is asked for; "auto": whether so few validation images were held out that more has to be done."""
    return held < ENOUGH_IMAGES if asked == "auto" else bool(asked)


def tables(table: pd.DataFrame, seeds: int, seed: int, *, enough: int = ENOUGH_IMAGES) -> list[pd.DataFrame]:
    """The table of each seed's trial, in which only train and validation may differ.

    The columns are label, group and split.
    The split as it is, `seeds` times, if there is one seed or validation has `enough` images. Otherwise train and validation are cut
    into stratified folds that keep groups together, at least FEWEST_FOLDS, and fold s is the validation of trial s; groups without which
    a class could not be learned stay in train. Fewer folds come back if there are fewer groups. The validation split as it is, is the first
    fold, so that what trial 0 leaves has not been trained on it.
    """
    rows = np.flatnonzero(table["split"].isin(["train", "validation"]))
    labels, groups = (table[column].to_numpy()[rows] for column in ("label", "group"))
    if seeds == 1 or (table["split"] == "validation").sum() >= enough or len(np.unique(groups)) < 2:
        return [table.copy() for _ in range(seeds)]
    parts = _parts(labels, groups, table["split"].to_numpy()[rows] == "validation", max(seeds, FEWEST_FOLDS), seed)
    tables = []
    for part in range(int(parts.max()) + 1):
        held = parts == part
        needed = held & ~np.isin(labels, labels[~held])
        held &= ~np.isin(groups, groups[needed])
        splits = table["split"].to_numpy(object).copy()
        splits[rows] = np.where(held, "validation", "train")
        if held.any():
            tables.append(table.assign(split=splits))
    return tables


def _parts(labels: np.ndarray, groups: np.ndarray, validation: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The fold (n,) of each image, from 0: the `validation` images (n,) and their near-duplicates, then folds of the others."""
    first = np.isin(groups, groups[validation])
    if first.all() or not first.any():
        return split_folds(labels, groups, count, seed)
    parts = np.zeros(len(labels), np.int64)
    parts[~first] = 1 + split_folds(labels[~first], groups[~first], count - 1, seed)
    return parts
