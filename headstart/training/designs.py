"""The trainings behind a verdict: one network from the source's weights and from random ones.

Both are trained on the same images with the same number of steps: they work through the same trainings. What each left is a record
(statistics/records.py), kept in a file of arrays so that they can be compared later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from headstart.data import folding, sampling
from headstart.networks.cards import Architecture, SourceCard

LABELS = (5, 10, 20, 50)  # per class, of the label curve; 0 is all
FOLDS = 5  # of train and validation, if few validation images leave the answer open: enough to estimate what trainings vary by


@dataclass(frozen=True)
class Training:
    """One training that is compared."""

    labels: int  # per class; 0: all
    number: int  # of its seed
    seed: int
    table: pd.DataFrame  # the images with their splits


def trainings(table: pd.DataFrame, *, seeds: int, label_curve: bool, images: int, seed: int) -> Iterator[Training]:
    """Every training that is compared: for each number of labels, each seed.

    Of train and of validation at most `images` are taken.
    """
    parts = [sampling.sample(table[table["split"] == split], images, seed) for split in ("train", "validation")]
    limited = pd.concat(parts).sort_values("path").reset_index(drop=True)
    most = int(parts[0]["label"].value_counts().max())
    for labels in [*(n for n in LABELS if label_curve and n < most), 0]:
        for number, some in enumerate(folding.tables(limited, seeds, seed)):
            yield Training(labels, number, seed + number, sampling.few(some, labels, seed + number))


def random_card(wanted: Architecture, size: int, seed: int) -> SourceCard:
    """The card of an architecture with random weights.

    It is for images of `size` pixels at most, if the network takes other sizes than its own.
    """
    own = wanted.transform.input_size
    return SourceCard(
        name="random weights",
        kind="random",
        library=wanted.library,
        architecture=wanted.architecture,
        transform=wanted.transform.at(own if wanted.fixed_size else min(own, size)),
        weights_sha256=f"random:{seed}",
        fixed_size=wanted.fixed_size,
    )
