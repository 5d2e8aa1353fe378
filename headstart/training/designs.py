"""The runs behind a verdict: the same network from the source's weights and from random ones, on the same images, with the same number of steps.

A cell is one run of one arm: labels a class, seed, and which images train and which are held out. Both arms work through the same cells. What a cell
left (which held-out images were right, epoch by epoch) is kept in a file of arrays, so that arms can be compared later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from headstart.data import folding, sampling
from headstart.networks.cards import Architecture, SourceCard

LABELS = (5, 10, 20, 50)  # a class, of the label curve; 0 is all


@dataclass(frozen=True)
class Cell:
    """One run: `labels` a class (0: all), the number of its seed, and the images with their splits."""

    labels: int
    number: int
    seed: int
    table: pd.DataFrame


def cells(table: pd.DataFrame, *, seeds: int, label_curve: bool, images: int, seed: int) -> Iterator[Cell]:
    """Every run that is compared: for each number of labels, each seed.

    Of train and of validation at most `images` are taken.
    """
    parts = [sampling.sample(table[table["split"] == split], images, seed) for split in ("train", "validation")]
    limited = pd.concat(parts).sort_values("path").reset_index(drop=True)
    most = int(parts[0]["label"].value_counts().max())
    for labels in [*(n for n in LABELS if label_curve and n < most), 0]:
        for number, some in enumerate(folding.tables(limited, seeds, seed)):
            yield Cell(labels, number, seed + number, sampling.few(some, labels, seed + number))


def random_card(wanted: Architecture, size: int, seed: int) -> SourceCard:
    """The card of an architecture with random weights, at `size` pixels at most if the network takes other sizes than its own."""
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
