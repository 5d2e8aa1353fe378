"""The weights of a source as they were chosen, kept in .headstart/sources.

They are for what needs the weights and not the network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headstart.base import outputs
from headstart.base import weights as weights_module
from headstart.networks import heads
from headstart.networks.cards import SourceCard

FOLDER = Path(".headstart/sources")


def keep(weights: Mapping[str, Any], sha256: str) -> None:
    """Keep a source's weights at hand for the stages that need the weights and not the network."""
    path = _path(sha256)
    if not path.exists():
        with outputs.whole(path) as temporary:
            weights_module.write(temporary, {key: value.detach().cpu().numpy() for key, value in weights.items()})


def of_source(card: SourceCard) -> dict[str, np.ndarray]:
    """The weights that a source card names, without a classifier.

    Raises HeadstartError if they cannot be had any more.
    """
    path = _path(card.weights_sha256)
    with contextlib.suppress(Exception):  # missing or damaged: the source itself has them
        known = weights_module.read(path)
        if weights_module.digest(known) == card.weights_sha256:
            return known
    path.unlink(missing_ok=True)
    from headstart.networks import sources

    trunk = sources.known(card).trunk.state_dict()
    keep(trunk, card.weights_sha256)
    return {key: value.numpy() for key, value in trunk.items()}


def _path(sha256: str) -> Path:
    return FOLDER / f"{sha256}.safetensors"


def with_head(card: SourceCard, tuned: dict[str, np.ndarray], head: heads.Head) -> dict[str, np.ndarray]:
    """The source's weights with `head` on top, under the names that the fine-tuned weights have."""
    bare = of_source(card)
    bias, weight = sorted(set(tuned) - set(bare))
    return {**bare, weight: head.weight, bias: head.bias}
