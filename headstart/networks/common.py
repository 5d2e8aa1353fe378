"""A pretrained network without its classifier, and what all kinds of sources share.

Also what is known of such a network without loading it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from headstart.networks import libraries
from headstart.networks.cards import SourceCard, Transform
from headstart.networks.heads import Head

ABSENT = "are not in the local cache and could not be downloaded"
_LONGEST = 200  # letters of a library's message that are shown


class Unavailable(HeadstartError):
    """A candidate cannot be had or used here; the message says why. `candidate` is its name, if it is not known anyway."""

    candidate = ""


@dataclass(frozen=True)
class Source:
    """A pretrained network without its classifier, and how it wants its images."""

    name: str
    kind: str
    library: str  # whose architecture names apply: timm or torchvision
    architecture: str
    trunk: nn.Module  # images (n, 3, size, size), normalised -> features (n, features)
    features: int
    classifier: str  # the name the library gives the last layer, under which a new head is saved
    transform: Transform
    fixed_size: bool  # whether the network works at `transform.input_size` only
    licence: str | None
    weights_sha256: str  # of the trunk
    head: Head | None = None  # the source's own classifier: logits of its classes are head.logits(features); None if it is no linear layer

    def card(self) -> SourceCard:
        """What must be known to build the same network again."""
        return SourceCard(
            name=self.name,
            kind=self.kind,
            library=self.library,
            architecture=self.architecture,
            transform=self.transform,
            weights_sha256=self.weights_sha256,
            features=self.features,
            fixed_size=self.fixed_size,
        )


@dataclass(frozen=True)
class Entry:
    """What is known of a source without loading it. None is unknown."""

    name: str
    kind: str
    library: str | None
    architecture: str | None
    input_size: int | None = None  # pixels
    parameters: int | None = None  # of the network with its classifier
    gflops: float | None = None  # multiply-adds (10^9) of an image at `input_size`
    imagenet_accuracy: float | None = None  # published top-1 on ImageNet-1k, 0-1
    licence: str | None = None
    download_bytes: int | None = None
    here: bool = False  # whether it can be loaded without a network


@dataclass(frozen=True)
class Listing:
    """What there is of a kind. Names are without the kind, as for the functions in KINDS."""

    names: Callable[[str], list[str]]  # those that a pattern with * or ? matches, sorted
    entry: Callable[[str], Entry]  # raises as `load` does for a name that is not known


def torch_cache(url: str) -> Path:
    """Where torch.hub keeps what it has downloaded."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def matching(names: list[str], pattern: str) -> list[str]:
    """Names that a pattern matches, whole or without what follows the architecture's name, sorted."""
    return sorted(name for name in names if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(without_weights(name), pattern))


def without_weights(name: str) -> str:
    """The name of the architecture: what comes before `/IMAGENET1K_V2` or `.a1_in1k`."""
    return re.split("[/.]", name)[0]


def gflops(trunk: nn.Module, size: int) -> float:
    """Multiply-adds (10^9) of one image of `size` pixels through the network."""
    counter = libraries.flop_counter().FlopCounterMode(display=False)
    with counter, torch.no_grad():
        trunk(torch.zeros(1, 3, size, size, device=next((p.device for p in trunk.parameters()), None)))
    return float(counter.get_total_flops()) / 2e9


def linear_head(layer: Any, trunk: nn.Module, name: str, features: int) -> Head | None:
    """A classifier as a head, if it is a plain linear layer over the trunk's features.

    If nothing is in its place under its name, the trunk lost more than this layer (EfficientViT-M: the normalisation before it).
    """
    plain = type(layer).__name__ == "Linear" and isinstance(layer, nn.Linear)  # timm has one of this name too, which does the same
    if not plain or layer.in_features != features or not isinstance(dict(trunk.named_modules()).get(name), nn.Identity):
        return None
    bias = np.zeros(layer.out_features, np.float32) if layer.bias is None else layer.bias.detach().float().numpy()
    return Head(layer.weight.detach().float().numpy(), bias)


def fixed_size(library: str, architecture: str, trunk: nn.Module) -> bool:
    if library == "timm":
        cfg: Any = trunk.pretrained_cfg
        return bool(cfg.get("fixed_input_size", False))
    return architecture.startswith(("vit_", "maxvit_"))


def width(trunk: nn.Module, size: int) -> int:
    with torch.inference_mode():
        return int(trunk.eval()(torch.zeros(1, 3, size, size)).shape[1])


@contextlib.contextmanager
def obtaining(name: str) -> Iterator[None]:
    """Turn whatever a library raises when it cannot get its weights into Unavailable."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        yield
    except Exception as error:  # URLError, HfHubHTTPError, LocalEntryNotFoundError, OSError, RuntimeError for a bad hash, ...
        raise Unavailable(f"the weights of {name} {ABSENT}: {said(error)}") from error


@contextlib.contextmanager
def using(name: str, doing: str) -> Iterator[None]:
    """Turn whatever a network or its library raises into Unavailable that names the candidate; `doing` is what was tried (scored).

    What is wrong with the data or the parameters is not the candidate's fault and is raised as it is.
    """
    try:
        yield
    except (DataError, ParamsError):
        raise
    except Unavailable as error:
        error.candidate = name
        raise
    except Exception as error:  # networks raise whatever they like
        broken = Unavailable(str(error) if isinstance(error, HeadstartError) else f"it could not be {doing}: {said(error)}")
        broken.candidate = name
        raise broken from error


def said(error: BaseException) -> str:
    """What an error says, in a line without escape codes, cut at the end of a word."""
    kind = type(error).__name__
    text = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", str(error)).strip()
    first = " ".join("".join(letter if letter.isprintable() else " " for letter in (text.splitlines() or [""])[0]).split()).rstrip(":;,. ")
    if len(first) > _LONGEST:
        first = f"{first[:_LONGEST].rsplit(' ', 1)[0]} ..."
    plain = isinstance(error, (HeadstartError, OSError)) or kind in ("RuntimeError", "ValueError", "Exception")
    return first if first and plain else f"{kind}: {first}" if first else kind
