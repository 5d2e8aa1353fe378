"""Divide images into train, validation and test.

If the folders give the split, it is used. Otherwise the split is stratified, seeded, and keeps each group together.

No random numbers: an image's place in line is the SHA-256 of the seed and its pixels, so a split depends neither on the order nor on the
names of the files, and most images stay where they are when photos are added.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from headstart.indexing import duplicates


def assign(table: pd.DataFrame, *, test_share: float, validation_share: float, seed: int) -> np.ndarray:
    """The split of each of n readable images, shape (n,): "train", "validation" or "test".

    `table` has the columns label, split (as the folders give it, "" for none), pixels_sha256 and group. Shares are of images;
    `validation_share` is of what remains beside the test split. If folders give validation but no test, theirs is the test.
    """
    splits = table["split"].to_numpy(object).copy()
    if "test" not in splits:
        splits[splits == "validation"] = "test"
    if "test" not in splits:
        splits[:] = "train"
        _cut(table, splits, "test", test_share, seed, keep=2)
    if "validation" not in splits:
        _cut(table, splits, "validation", validation_share, seed, keep=1)
    return splits


@dataclass
class _Class:
    """What a class still has to give to the split that is being cut, and how many atoms it may give."""

    wanted: int  # images
    room: int  # atoms
    given: bool = False

    def give(self, images: int) -> None:
        self.wanted -= images
        self.room -= 1
        self.given = True


def _cut(table: pd.DataFrame, splits: np.ndarray, name: str, share: float, seed: int, keep: int) -> None:
    """Move about `share` of the training images of each class to split `name`.

    Whole groups (atoms) are moved at a time. Each class keeps `keep` atoms, one for every split still to be filled. In the order of their
    keys, atoms go over while they fit; a class that would otherwise give nothing gives its smallest.
    """
    rows = np.flatnonzero(splits == "train")
    if len(rows) == 0:
        return
    labels = pd.factorize(table["label"].iloc[rows], sort=True)[0]
    pixels = pd.factorize(table["pixels_sha256"].iloc[rows])
    keys = keys_of(pixels[1], seed)[pixels[0]]
    given = table["together"].iloc[rows].to_numpy() if "together" in table else np.full(len(rows), "")
    atoms = _atoms(table["group"].to_numpy()[rows], labels, _unbreakable(pixels[0], given), keys, least=keep + 1)
    n_atoms = int(atoms.max()) + 1
    key, low, high = np.full(n_atoms, 2**64 - 1, np.uint64), np.full(n_atoms, len(rows)), np.zeros(n_atoms, np.int64)
    np.minimum.at(key, atoms, keys)
    np.minimum.at(low, atoms, labels)
    np.maximum.at(high, atoms, labels)
    chosen = np.zeros(n_atoms, bool)
    images = np.bincount(labels)
    classes = [
        _Class(max(round(share * count), 1), max(number - keep, 0))
        for count, number in zip(images.tolist(), _atoms_of_class(atoms, labels, len(images)).tolist(), strict=True)
    ]
    sizes = np.bincount(atoms)
    single = np.flatnonzero(low == high)
    said = np.zeros(n_atoms, bool)
    said[atoms[given != ""]] = True
    _choose_given(
        chosen, classes, _counts(atoms, labels, np.flatnonzero((low != high) & said), key), np.bincount(low[single], minlength=len(images))
    )
    _choose_mixed(chosen, classes, _counts(atoms, labels, np.flatnonzero((low != high) & ~said), key), key, share)
    order = single[np.lexsort((key[single], low[single]))]
    borders = np.searchsorted(low[order], np.arange(len(images) + 1))
    for number, needs in enumerate(classes):
        _choose(chosen, order[borders[number] : borders[number + 1]], sizes, needs)
    splits[rows[chosen[atoms]]] = name


def _choose(chosen: np.ndarray, order: np.ndarray, sizes: np.ndarray, needs: _Class) -> None:
    """Mark atoms of one class, as near to the wanted number of images as whole atoms allow.

    Atoms are taken in the order of their keys.
    """
    rest = []
    for atom, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        if needs.room == 0 or needs.wanted <= 0:
            break
        if size <= needs.wanted:
            chosen[atom] = True
            needs.give(size)
        else:
            rest.append((size, atom))
    if rest and needs.room > 0 and needs.wanted > 0:
        size, atom = min(rest, key=lambda pair: pair[0])
        if size < 2 * needs.wanted or not needs.given:
            chosen[atom] = True


def _choose_mixed(chosen: np.ndarray, classes: list[_Class], counts: dict[int, dict[int, int]], key: np.ndarray, share: float) -> None:
    """Mark groups of look-alikes that carry several labels.

    A group is marked if its key, which is as good as random, is below the share, and if every one of its classes still wants as many
    images. `counts` gives the images of each class by atom.
    """
    for atom, of_class in counts.items():
        fits = all(classes[label].wanted >= count and classes[label].room > 0 for label, count in of_class.items())
        if fits and int(key[atom]) < share * 2**64:
            _mark(chosen, classes, atom, of_class)


def _choose_given(chosen: np.ndarray, classes: list[_Class], counts: dict[int, dict[int, int]], alone: np.ndarray) -> None:
    """Mark groups that the user gave and that carry several labels, until the classes have what they want.

    In the order of their keys, a group goes over if at least half of its images are wanted. A class that would give nothing, as it has no
    other groups (`alone`: those of one label, by class), gives its smallest.
    """
    for atom, of_class in counts.items():
        wanted = sum(min(count, max(classes[label].wanted, 0)) for label, count in of_class.items())
        if 2 * wanted >= sum(of_class.values()) and all(classes[label].room > 0 for label in of_class):
            _mark(chosen, classes, atom, of_class)
    for number, needs in enumerate(classes):
        able = [atom for atom, of_class in counts.items() if number in of_class and not chosen[atom]]
        able = [atom for atom in able if all(classes[label].room > 0 for label in counts[atom])]
        if able and not needs.given and not alone[number]:
            smallest = min(able, key=lambda atom: sum(counts[atom].values()))
            _mark(chosen, classes, smallest, counts[smallest])


def _mark(chosen: np.ndarray, classes: list[_Class], atom: int, of_class: dict[int, int]) -> None:
    chosen[atom] = True
    for label, count in of_class.items():
        classes[label].give(count)


def _counts(atoms: np.ndarray, labels: np.ndarray, which: np.ndarray, key: np.ndarray) -> dict[int, dict[int, int]]:
    """The images of each class in the atoms `which`, in the order of their keys."""
    counts: dict[int, dict[int, int]] = {atom: {} for atom in which[np.argsort(key[which])].tolist()}
    rows = np.flatnonzero(np.isin(atoms, which))
    for atom, label in zip(atoms[rows].tolist(), labels[rows].tolist(), strict=True):
        counts[atom][label] = counts[atom].get(label, 0) + 1
    return counts


def _atoms(groups: np.ndarray, labels: np.ndarray, pixels: np.ndarray, keys: np.ndarray, least: int) -> np.ndarray:
    """The number of the atom of each image, from 0.

    Atoms are the groups, but if a class has fewer than `least` of them its largest are
    broken up into images of identical pixels: a class missing from a split would be worse than look-alikes on both sides of a cut."""
    atoms = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    few = np.flatnonzero(_atoms_of_class(atoms, labels, int(labels.max()) + 1) < least)
    for label in few.tolist():
        while True:
            mine = np.unique(atoms[labels == label])
            if len(mine) >= least:
                break
            distinct, _, largest = max((len(np.unique(pixels[atoms == atom])), int(keys[atoms == atom].min()), int(atom)) for atom in mine)
            if distinct < 2:
                break
            broken = atoms == largest
            atoms[broken] = atoms.max() + 1 + pixels[broken]
    return np.unique(atoms, return_inverse=True)[1]


def _unbreakable(pixels: np.ndarray, together: np.ndarray) -> np.ndarray:
    """Numbers (n,) of what even a group that is broken up keeps whole: identical images, and what the user said belongs together."""
    forest = duplicates.Forest(np.ones(int(pixels.max()) + 1, np.int64), 0)
    duplicates.join_given(forest, pixels, together)
    return forest.roots()[pixels]


def _atoms_of_class(atoms: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """How many atoms hold images of each class, shape (n_classes,)."""
    pairs = pd.unique(atoms * n_classes + labels)  # not in order, and 20 times as fast as NumPy's
    return np.bincount(pairs % n_classes, minlength=n_classes)


def keys_of(pixels: pd.Index, seed: int) -> np.ndarray:
    """The place in line of each of these pixel hashes, as uint64.

    It is the first 64 bits of SHA-256 of the seed and the hash.
    """
    return np.array(
        [int.from_bytes(hashlib.sha256(f"{seed}:{value}".encode()).digest()[:8], "big") for value in pixels.tolist()], np.uint64
    )
