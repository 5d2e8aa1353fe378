"""What a source gives for a table of images, from one pass and one store.

These are its features, and the averages of all its stages.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.features import extraction
from headstart.features.extraction import Frozen
from headstart.features.store import Rows
from headstart.features.transforms import View
from headstart.networks.cards import SourceCard

if TYPE_CHECKING:
    from torch import nn


def of_source(card: SourceCard, table: pd.DataFrame, root: Path, device: Device = CPU) -> Rows:
    """Features (n, d) of the rows of `table` in the plain view of the source that `card` names.

    Raises ValueError for a card of random weights.
    """
    return features(card, depths(card, table, root, device))


def features(card: SourceCard, rows: Rows) -> Rows:
    """The features (n, d) among what every stage of the source gives. Raises ValueError for a card of random weights."""
    if card.features is None:
        raise ValueError(f"{card.name} has no features of its own")
    return rows.columns(rows.shape[1] - card.features, rows.shape[1])


def depths(card: SourceCard, table: pd.DataFrame, root: Path, device: Device = CPU, make: Callable[[], nn.Module] | None = None) -> Rows:
    """What every stage of the source gives for the rows of `table`, averaged over positions.

    The shape is (n, sum of widths); the features are the last columns.
    One pass and one store serve the ranking, the probe of depths and the head. `make` gives the network if it is at hand.
    """
    frozen_part = frozen(card, device, make)
    return extraction.extract(frozen_part, table, root, View.of(card.transform), what=f"{card.name}, images")


def frozen(card: SourceCard, device: Device = CPU, make: Callable[[], nn.Module] | None = None) -> Frozen:
    """The source that `card` names, ready to give all its stages; `make` gives the network if it is at hand."""

    def load() -> nn.Module:
        from headstart.networks import model, sources

        return model.Depths(sources.known(card))

    return Frozen.of(make or load, extraction.identity(card, "depths"), card.transform.input_size, device)
