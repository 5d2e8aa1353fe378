"""What each candidate source sees of the images: its features, from the store that all stages share."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.base.devices import Device
from headstart.features import of_source
from headstart.machinery.errors import HeadstartError
from headstart.networks import catalogue, common, model, sizes, sources
from headstart.networks.cards import SourceCard
from headstart.params import Candidates

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """A source's card, and its features (n, d) of the images."""

    card: SourceCard
    features: np.ndarray


def views(table: pd.DataFrame, root: Path, block: Candidates, device: Device) -> tuple[dict[str, View], dict[str, str]]:
    """What every candidate that can be had sees of the rows of `table`, by name, and why the others cannot be had.

    Raises ParamsError for a name of no known form, HeadstartError if none can be had.
    """
    bounds = {"max_parameters": block.max_parameters, "max_gflops": block.max_gflops}
    names = sorted(catalogue.expand(block.candidates, **bounds, licences=block.licences or None))
    for name in names:
        catalogue.published(name)  # a name that is not known is told before the first image is looked at
    found: dict[str, View] = {}
    skipped: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        log.info("candidate %d of %d: %s", number, len(names), name)
        try:
            with common.using(name, "used"):
                found[name] = sizes.fitting(
                    sources.load(name), block.input_size, table, lambda source, size: _view(source, size, table, root, device)
                )
        except common.Unavailable as error:
            log.warning("skipped: %s: %s", name, error)
            skipped[name] = str(error)
    if not found:
        reasons = "\n".join(f"  - {name}: {reason}" for name, reason in skipped.items())
        raise HeadstartError(
            f"no candidate of select_source.candidates can be had here:\n{reasons}\n"
            "Name one that comes as a package (wheel:efficientnet_lite0)."
        )
    return found, skipped


def _view(source: common.Source, size: int, table: pd.DataFrame, root: Path, device: Device) -> View:
    card = source.card().at(size)
    network = model.Depths(source)
    rows = of_source.features(card, of_source.depths(card, table, root, device, lambda: network))[:].astype(np.float32)
    if not np.isfinite(rows).all():
        raise common.Unavailable("what it makes of the images is not finite (NaN or infinite), so they cannot be told apart")
    return View(card, rows)
