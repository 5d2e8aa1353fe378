"""Sums of features per class, from which a linear head can be made when the images are gone.

Features are rounded to steps of 2^-10 and cut off at 64, so their products are whole numbers of 2^-20, and float64 adds up those of two
million images without rounding once: the sums have the same bytes in whatever order images, or batches of them, are added.

The head is a linear discriminant with a shrunken covariance, as in streaming LDA (Hayes & Kanan, CVPR workshops 2020): class counts, class
sums and one Gram matrix are all that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.base import outputs, reading, weights
from headstart.base.reading import Features
from headstart.data import forgotten
from headstart.machinery.errors import DataError
from headstart.networks.heads import Head

STEP, CUT = 2.0**10, 64.0  # steps a unit; features beyond are cut off
MOST = 2**21  # images whose sums are exact: 2^53 / (CUT * STEP)^2
SHRINKAGES = (0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True)
class Sums:
    """Of which source, and per class (sorted) the counts (C,), the sums (C, d) and, over all, the Gram matrix (d, d); float64 in steps."""

    source: str
    weights_sha256: str
    classes: tuple[str, ...]
    counts: np.ndarray
    sums: np.ndarray
    gram: np.ndarray

    def __add__(self, other: Sums) -> Sums:
        """The sums of both. Raises DataError for sums of another source."""
        if self.weights_sha256 != other.weights_sha256:
            raise DataError(f"sums of features of {self.source} and of {other.source} cannot be added")
        classes = tuple(sorted({*self.classes, *other.classes}))
        counts, sums = np.zeros(len(classes)), np.zeros((len(classes), len(self.gram)))
        for part in (self, other):
            places = [classes.index(name) for name in part.classes]
            counts[places] += part.counts
            sums[places] += part.sums
        return Sums(self.source, self.weights_sha256, classes, counts, sums, self.gram + other.gram)


def of(source: str, weights_sha256: str, features: Features, labels: Iterable[str]) -> Sums:
    """The sums of features (n, d) with n labels. Raises DataError for more images than can be added exactly."""
    names = np.array(list(labels), object)
    if len(names) > MOST:
        raise DataError(f"sums of more than {MOST:,} images are not exact")
    classes = sorted(set(names.tolist()))
    width = features.shape[1]
    counts, sums, gram = np.zeros(len(classes)), np.zeros((len(classes), width)), np.zeros((width, width))
    for part in reading.blocks(len(names)):
        steps = np.rint(np.clip(features[part].astype(np.float64), -CUT, CUT) * STEP)
        gram += steps.T @ steps
        for place, name in enumerate(classes):
            these = names[part] == name
            counts[place] += these.sum()
            sums[place] += steps[these].sum(0)
    return Sums(source, weights_sha256, tuple(classes), counts, sums, gram)


def write(images: Path, batch: str, kept: Sums) -> None:
    """Keep the sums of a batch among the images."""
    folder = images / forgotten.FOLDER
    folder.mkdir(exist_ok=True)
    weights.write(folder / f"{batch}{forgotten.SUMS}", {"counts": kept.counts, "sums": kept.sums, "gram": kept.gram})
    card = {"source": kept.source, "weights_sha256": kept.weights_sha256, "classes": list(kept.classes), "images": int(kept.counts.sum())}
    outputs.write_json(folder / f"{batch}{forgotten.CARD}", card)


def read(images: Path) -> dict[str, Sums]:
    """The sums that are kept, by batch, sorted."""
    found = {}
    for name in forgotten.names(images):
        card = outputs.read_json(images / forgotten.FOLDER / f"{name}{forgotten.CARD}")
        arrays = weights.read(images / forgotten.FOLDER / f"{name}{forgotten.SUMS}")
        classes = tuple(map(str, card["classes"]))
        found[name] = Sums(str(card["source"]), str(card["weights_sha256"]), classes, arrays["counts"], arrays["sums"], arrays["gram"])
    return found


def discriminant(kept: Sums, shrinkage: float) -> Head:
    """The linear discriminant whose shared covariance is shrunken (0-1) towards equal variances in all directions."""
    counts, n = kept.counts, kept.counts.sum()
    means = kept.sums / counts[:, None] / STEP
    within = (kept.gram / STEP**2 - (means * counts[:, None]).T @ means) / max(n - len(counts), 1)
    level = float(np.trace(within)) / len(within)
    covariance = (1 - shrinkage) * within + shrinkage * max(level, 1e-12) * np.eye(len(within))
    weight = np.linalg.solve(covariance, means.T).T
    bias = np.log(counts / n) - (weight * means).sum(1) / 2
    return Head(weight.astype(np.float32), bias.astype(np.float32))
