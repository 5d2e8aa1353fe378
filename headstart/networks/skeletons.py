"""Untrained networks of timm and torchvision, with and without their classifier."""

from __future__ import annotations

from typing import Any

from torch import nn

from headstart.machinery.errors import ParamsError


def skeleton(library: str, architecture: str) -> tuple[nn.Module, str]:
    """An untrained network of a library without its classifier, and the classifier's name there."""
    if library == "timm":
        import timm

        trunk = timm.create_model(architecture, pretrained=False, num_classes=0)
        return trunk, timm_classifier(trunk)
    trunk, classifier, _ = without_last_linear(whole(library, architecture), architecture)
    return trunk, classifier


def whole(library: str, architecture: str) -> nn.Module:
    """An untrained network of a library with its classifier."""
    if library == "timm":
        import timm

        made: nn.Module = timm.create_model(architecture, pretrained=False)
        return made
    import torchvision

    # Weights are loaded over these values: auxiliary classifiers are for training from scratch only.
    extra = {"aux_logits": False, "init_weights": False} if architecture in ("googlenet", "inception_v3") else {}
    network: nn.Module = torchvision.models.get_model(architecture, weights=None, **extra)
    return network


def timm_classifier(trunk: nn.Module) -> str:
    name: Any = trunk.pretrained_cfg["classifier"]  # type: ignore[index]
    return name if isinstance(name, str) else name[0]


def without_last_linear(model: nn.Module, architecture: str) -> tuple[nn.Module, str, nn.Module]:
    """A torchvision network without its last linear layer, the name of that layer, and the layer."""
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ParamsError(f"select_source.candidates: torchvision:{architecture} ends in no linear layer, so it cannot be given a new head")
    parent, _, child = linear[-1].rpartition(".")
    last = model.get_submodule(linear[-1])
    setattr(model.get_submodule(parent), child, nn.Identity())
    return model.eval(), linear[-1], last
