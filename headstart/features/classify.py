"""Logits of a whole model for a table of images.

This is the one place that runs a model from its weights and its card.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.features.transforms import View

if TYPE_CHECKING:
    from torch import nn

from headstart.base import weights
from headstart.features import extraction
from headstart.features.extraction import Frozen
from headstart.networks.cards import Card


def prepared(card: Card, sha256: str, make: Callable[[], nn.Module], device: Device = CPU, images: int | None = None) -> Frozen:
    """A whole network that `card` describes, ready to run on any number of images, or on `images` of them and no more.

    `sha256` is the hash of its weights. It computes uint8 (n, size, size, 3) -> logits (n, classes).
    `make` gives the network; it is called only if no exported file is at hand.
    """
    return Frozen.of(make, extraction.identity(card, f"logits:{sha256}"), card.transform.input_size, device, images)


def of_model(values: dict[str, np.ndarray], card: Card, device: Device = CPU, images: int | None = None) -> Frozen:
    """A whole model from its weights and its card, ready to run on any number of images, or on `images` of them and no more.

    The weights go by the library's names. It computes uint8 (n, size, size, 3) -> logits (n, classes).
    Raises HeadstartError if they do not fit together.
    """

    def make() -> nn.Module:
        import torch

        from headstart.networks import model

        return model.rebuild(card, {key: torch.from_numpy(np.array(value)) for key, value in values.items()})

    return prepared(card, weights.digest(values), make, device, images)


def answering(values: dict[str, np.ndarray], card: Card, device: Device = CPU) -> Frozen:
    """As `of_model`, but it computes logits and features: uint8 (n, size, size, 3) -> (n, classes + width)."""

    def make() -> nn.Module:
        import torch

        from headstart.networks import answering, model

        return answering.Answering(model.rebuild(card, {key: torch.from_numpy(np.array(value)) for key, value in values.items()}))

    named = extraction.identity(card, f"answers:{weights.digest(values)}")
    return Frozen.of(make, named, card.transform.input_size, device)


def answers(
    values: dict[str, np.ndarray], card: Card, table: pd.DataFrame, root: Path, device: Device = CPU, what: str = "images"
) -> np.ndarray:
    """Logits and features (n, classes + width) of the rows of `table` under a whole model; else as `logits`."""
    rows = extraction.extract(answering(values, card, device), table, root, View.of_card(card), dtype="float32", what=what)
    return rows[:]


def logits(
    values: dict[str, np.ndarray], card: Card, table: pd.DataFrame, root: Path, device: Device = CPU, what: str = "images"
) -> np.ndarray:
    """Logits (n, classes) of the rows of `table` under a whole model; `what` is for the progress line.

    Raises HeadstartError if weights and card do not fit together, DataError when a file has changed since it was indexed.
    """
    rows = extraction.extract(of_model(values, card, device, len(table)), table, root, View.of_card(card), dtype="float32", what=what)
    return rows[:]
