"""Where pretrained models come from.

Each kind is a function in KINDS that turns a name into a Source, and a Listing in LISTS.

Candidates are written `wheel:efficientnet_lite0`, `torchvision:resnet50`, `torchvision:resnet50/IMAGENET1K_V2`, `timm:NAME`
and `checkpoint:PATH`. To add a kind, write such a function and put it into KINDS; its Listing says what there is of it
(headstart/networks/catalogue.py), and a kind without one is left out of the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from headstart.base import weights
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.networks import common, skeletons
from headstart.networks.cards import SourceCard
from headstart.networks.common import Listing, Source
from headstart.networks.kinds import checkpoint, wheel
from headstart.networks.kinds import timm as timm_kind
from headstart.networks.kinds import torchvision as torchvision_kind


def load(name: str) -> Source:
    """Load a candidate. Raises ParamsError for a name of no known form, Unavailable if it cannot be had."""
    kind, rest = split(name)
    with common.using(name, "loaded"):
        source = KINDS[kind](rest)
        source.trunk.eval().requires_grad_(False)
        if bad := weights.told(weights.not_finite(source.trunk.state_dict())):
            raise common.Unavailable(f"{name} holds {bad}")
    return source


def resized(source: Source, size: int) -> Source:
    """A source that takes one size only, rebuilt for images of `size` pixels as timm does: its positions are interpolated.

    Raises Unavailable if its network cannot be.
    """
    if not source.fixed_size or size == source.transform.input_size:
        return source
    with common.using(source.name, f"built for {size} pixels"):
        skeletons.resize(source.trunk, size)
        digest = weights.digest(source.trunk.state_dict())
    return replace(source, transform=source.transform.at(size), weights_sha256=digest)


def split(name: str) -> tuple[str, str]:
    """The kind of a candidate and its name there. Raises ParamsError for a name of no known form."""
    kind, colon, rest = name.partition(":")
    if not colon or not rest or kind not in KINDS:
        known = ", ".join(f"{k}:..." for k in KINDS)
        raise ParamsError(f"select_source.candidates: {name!r} is not of a known kind; write one of {known}")
    return kind, rest


def known(card: SourceCard) -> Source:
    """The source that a card names.

    Raises HeadstartError if its weights are no longer those that were chosen.
    """
    source = resized(load(card.name), card.transform.input_size)
    if source.weights_sha256 != card.weights_sha256:
        raise HeadstartError(f"the weights of {card.name} have changed since it was chosen; run `dvc repro --force select_source`")
    return source


KINDS: dict[str, Callable[[str], Source]] = {
    "wheel": wheel.load,
    "torchvision": torchvision_kind.load,
    "timm": timm_kind.load,
    "checkpoint": checkpoint.load,
}
LISTS = {
    "wheel": Listing(lambda pattern: common.matching(list(wheel.WHEELS), pattern), wheel.entry),
    "torchvision": Listing(torchvision_kind.names, torchvision_kind.entry),
    "timm": Listing(timm_kind.names, timm_kind.entry),
    "checkpoint": Listing(checkpoint.names, checkpoint.entry),
}
