"""Untrained networks of timm and torchvision, with and without their classifier."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from headstart.machinery.errors import HeadstartError
from headstart.networks import libraries


def skeleton(library: str, architecture: str) -> tuple[nn.Module, str]:
    """An untrained network of a library without its classifier, and the classifier's name there.

    Raises HeadstartError for an unknown library or architecture.
    """
    if library == "timm":
        timm = libraries.timm()

        check(library, architecture)
        trunk = timm.create_model(architecture, pretrained=False, num_classes=0)
        return trunk, timm_classifier(trunk)
    trunk, classifier, _ = without_last_linear(whole(library, architecture), architecture)
    return trunk, classifier


def fit_size(trunk: nn.Module, shapes: Mapping[str, Sequence[int]], size: int) -> None:
    """Build a network that takes one size only for `size` pixels, in place, if that is what weights of these shapes were made for."""
    wanted = trunk.state_dict()
    other = [key for key, shape in shapes.items() if key in wanted and tuple(wanted[key].shape) != tuple(shape)]
    if other and all(any(word in key for word in ("pos_embed", "relative_position")) for key in other):
        resize(trunk, size)


def whole(library: str, architecture: str) -> nn.Module:
    """An untrained network of a library with its classifier. Raises HeadstartError for an unknown library or architecture."""
    check(library, architecture)
    if library == "timm":
        timm = libraries.timm()

        made: nn.Module = timm.create_model(architecture, pretrained=False)
        return made
    torchvision = libraries.torchvision()

    # Weights are loaded over these values: auxiliary classifiers are for training from scratch only.
    extra = {"aux_logits": False, "init_weights": False} if architecture in ("googlenet", "inception_v3") else {}
    network: nn.Module = torchvision.models.get_model(architecture, weights=None, **extra)
    return network


def check(library: str, architecture: str) -> None:
    """Raise HeadstartError unless the architecture is a name in the library's own list.

    timm also takes names that begin with hf-hub: or local-dir:, for which it would ask a hub or read a folder; a card must not make it.
    """
    known = architectures(library)
    name = architecture.partition(".")[0] if library == "timm" else architecture
    if name not in known:
        near = difflib.get_close_matches(name, known, 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"`headstart sources {library}:*` lists what there is"
        raise HeadstartError(f"{library} has no architecture {architecture[:100]!r}; {hint}")


@functools.cache
def architectures(library: str) -> tuple[str, ...]:
    """The architectures of a library. Raises HeadstartError for one that is not known."""
    if library == "timm":
        timm = libraries.timm()

        return tuple(timm.list_models())
    if library == "torchvision":
        torchvision = libraries.torchvision()

        return tuple(torchvision.models.list_models(module=torchvision.models))
    raise HeadstartError(f"the library {library[:100]!r} is not known; known are timm and torchvision")


def resize(trunk: nn.Module, size: int) -> None:
    """Build a network of timm that takes one size only for another, in place. Raises HeadstartError if it cannot be."""
    cfg: Any = getattr(trunk, "pretrained_cfg", None) or {}
    own = cfg["input_size"][-1] if cfg else None
    build: Any = getattr(trunk, "set_input_size", None)
    if size == own:
        return
    if build is None:
        raise HeadstartError(f"it takes images of {own or 'its own'} pixels only; set select_source.input_size to auto, or leave it out")
    build(img_size=size)


def timm_classifier(trunk: nn.Module) -> str:
    name: Any = trunk.pretrained_cfg["classifier"]  # type: ignore[index]
    return name if isinstance(name, str) else name[0]


def without_last_linear(model: nn.Module, architecture: str) -> tuple[nn.Module, str, nn.Module]:
    """A torchvision network without its last linear layer, the name of that layer, and the layer."""
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise HeadstartError(f"torchvision:{architecture} ends in no linear layer, so it cannot be given a new head")
    parent, _, child = linear[-1].rpartition(".")
    last = model.get_submodule(linear[-1])
    setattr(model.get_submodule(parent), child, nn.Identity())
    return model.eval(), linear[-1], last
