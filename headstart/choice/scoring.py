"""Load the candidates, run the training images through each once, and give every image its scores."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from headstart.base import reading
from headstart.base.devices import CPU, Device
from headstart.choice import depth, scores
from headstart.data import encoding, folding
from headstart.features import of_source
from headstart.features.store import Rows
from headstart.machinery.errors import HeadstartError
from headstart.networks import catalogue, common, model, sizes, sources
from headstart.networks.cards import SourceCard

log = logging.getLogger(__name__)
_ENDLESS = "what it makes of the images is not finite (NaN or infinite), so nothing can be learned from it"


class Figures(TypedDict):
    """What a source is and costs."""

    parameters: int
    gflops: float  # multiply-adds (10^9) per image
    input_size: int  # pixels
    features: int  # their number
    weights_sha256: str
    licence: str | None


@dataclass(frozen=True)
class Candidate:
    """A source that could be had."""

    card: SourceCard
    widths: dict[str, int]  # of its stages
    figures: Figures
    scores: dict[str, dict[str, np.ndarray]]  # of each image (n,), by score and key
    published: float | None  # accuracy on ImageNet (0-1)

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """The scores by key alone."""
        return {key: values for keys in self.scores.values() for key, values in keys.items()}


def score(
    names: list[str],
    train: pd.DataFrame,
    root: Path,
    *,
    input_size: int | str,
    folds: int,
    neighbours: int,
    seed: int,
    device: Device = CPU,
) -> tuple[list[Candidate], dict[str, str]]:
    """The candidates that can be had, with their scores, and by name why the others cannot.

    Raises HeadstartError if none can be had.
    """
    classes = encoding.classes(train)
    labels = encoding.encode(train["label"], classes)
    parts = folding.split_folds(labels, train["group"].to_numpy(), folds, seed)
    scored: list[Candidate] = []
    skipped: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        log.info("candidate %d of %d: %s", number, len(names), name)
        try:
            with common.using(name, "scored"):
                scored.append(_candidate(name, train, root, labels, parts, len(classes), input_size, neighbours, device))
        except common.Unavailable as error:
            log.warning("skipped: %s: %s", name, error)
            skipped[name] = str(error)
    refuse_none(scored, skipped)
    return scored, skipped


def refuse_none(scored: list[Candidate], skipped: dict[str, str]) -> None:
    """Raise HeadstartError, with the reason for each, if no candidate is left."""
    if scored:
        return
    reasons = "\n".join(f"  - {name}: {reason}" for name, reason in skipped.items())
    away = any(common.ABSENT in reason for reason in skipped.values())
    advice = "Give this machine a network or a filled weight cache, or name" if away else "Mend what is said above, or name"
    raise HeadstartError(
        f"no candidate of select_source.candidates can be had here:\n{reasons}\n"
        f"{advice} a candidate that comes as a package (wheel:efficientnet_lite0)."
    )


def _candidate(
    name: str,
    train: pd.DataFrame,
    root: Path,
    labels: np.ndarray,
    parts: np.ndarray,
    classes: int,
    input_size: int | str,
    neighbours: int,
    device: Device,
) -> Candidate:
    """Load a source, run the images through it and score it. Raises Unavailable, or whatever its network raises."""
    return sizes.fitting(
        sources.load(name),
        input_size,
        train,
        lambda source, size: _scored(source, size, train, root, labels, parts, classes, neighbours, device),
    )


def _scored(
    source: common.Source,
    size: int,
    train: pd.DataFrame,
    root: Path,
    labels: np.ndarray,
    parts: np.ndarray,
    classes: int,
    neighbours: int,
    device: Device,
) -> Candidate:
    card = source.card().at(size)
    given_by, widths = _stages(source, card, train, root, device)
    if not all(np.isfinite(given_by[-1][part]).all() for part in reading.blocks(len(train))):
        raise common.Unavailable(_ENDLESS)
    upper = given_by[depth.lowest(len(given_by)) : -1]
    published = catalogue.published(source.name)
    inputs = scores.Inputs(given_by[-1], labels, parts, classes, neighbours, source.head, published, tuple(upper))
    given = {key: one.rows(inputs) for key, one in scores.SCORES.items()}
    if not all(np.isfinite(values).all() for rows in given.values() for values in rows.values()):
        raise common.Unavailable(_ENDLESS)
    return Candidate(card, widths, _figures(source, card), given, published)


def _figures(source: common.Source, card: SourceCard) -> Figures:
    return {
        "parameters": sum(p.numel() for p in source.trunk.parameters()),
        "gflops": common.gflops(source.trunk, card.transform.input_size),
        "input_size": card.transform.input_size,
        "features": source.features,
        "weights_sha256": source.weights_sha256,
        "licence": source.licence,
    }


def _stages(source: common.Source, card: SourceCard, train: pd.DataFrame, root: Path, device: Device) -> tuple[list[Rows], dict[str, int]]:
    """What each stage gives for the training images (n, width), in one pass; and the widths by name.

    Stages come in order from the image to the features.
    """
    network = model.Depths(source)
    rows, widths = of_source.depths(card, train, root, device, lambda: network), network.widths(card.transform.input_size)
    ends = np.cumsum(list(widths.values())).tolist()
    return [rows.columns(start, end) for start, end in zip([0, *ends], ends, strict=False)], widths
