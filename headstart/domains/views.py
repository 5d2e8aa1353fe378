"""Both domains as each pretrained network sees them: the last two stages of the network, averaged over positions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.base.devices import Device
from headstart.data import encoding
from headstart.domains.spaces import Spaces
from headstart.features import of_source
from headstart.networks import model, sources
from headstart.networks.cards import SourceCard

LAYERS = 2


@dataclass(frozen=True)
class View:
    """A network's card, and both domains as it sees them; the target (m, d) whole, in its features."""

    card: SourceCard
    spaces: Spaces
    target: np.ndarray


def view(
    name: str, size: int, known: pd.DataFrame, some: np.ndarray, target: pd.DataFrame, root: Path, classes: list[str], device: Device
) -> View:
    """The view of the source `name` at `size` pixels: of the labelled rows `known`, and of the rows `some` of the target.

    Raises what headstart.networks.sources raises for a source that cannot be had any more.
    """
    source = sources.resized(sources.load(name), size)
    card = source.card().at(size)
    network = model.Depths(source)
    widths = list(network.widths(size).values())
    ends = np.cumsum([0, *widths])
    parts = [(int(ends[i]), int(ends[i + 1])) for i in range(max(0, len(widths) - LAYERS), len(widths))]

    def layers(table: pd.DataFrame) -> tuple[np.ndarray, ...]:
        rows = of_source.depths(card, table, root, device, lambda: network)
        return tuple(rows.columns(*part)[:].astype(np.float32) for part in parts)

    here, there = layers(known), layers(target)
    spaces = Spaces(here, tuple(layer[some] for layer in there), encoding.encode(known["label"], classes), len(classes))
    return View(card, spaces, there[-1])
