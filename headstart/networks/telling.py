"""Tell what network weights are of, where no card says it: by the names and sizes of the weights themselves.

The transform that goes with them cannot be seen in weights: it is what transformers noted beside them, or the one that the library
gives this architecture.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
from pathlib import Path
from typing import Any

import torch

from headstart.networks import skeletons, state_dicts
from headstart.networks.cards import FILTERS, Transform
from headstart.networks.common import Unavailable
from headstart.networks.state_dicts import Tensors

log = logging.getLogger(__name__)
# What is tried, in order, the usual ones first. Networks of the same names and sizes compute the same, but may want other pictures.
USUAL = (
    *(f"timm:resnet{n}" for n in (18, 34, 50, 101, 152)),
    *("timm:resnext50_32x4d", "timm:wide_resnet50_2", "timm:densenet121"),
    *(f"timm:efficientnet_b{n}" for n in range(5)),
    *(f"timm:tf_efficientnet_lite{n}" for n in range(5)),
    *(f"timm:convnext{v}_{n}" for v in ("", "v2") for n in ("tiny", "small", "base", "large")),
    *("timm:mobilenetv3_small_100", "timm:mobilenetv3_large_100", "timm:mobilenetv2_100"),
    *(f"timm:{n}" for n in ("regnety_008", "regnety_016", "regnety_032", "resnet26d", "resnet50d")),
    *(f"timm:vit_{n}_patch16_224" for n in ("tiny", "small", "base", "large")),
    *(f"timm:vit_{n}_patch14_dinov2" for n in ("small", "base", "large")),
    *(f"timm:deit_{n}_distilled_patch16_224" for n in ("tiny", "small", "base")),
    *("timm:vit_base_patch32_224", "timm:vit_base_patch8_224", "timm:vit_small_patch32_224"),
    *(f"timm:swin_{n}_patch4_window7_224" for n in ("tiny", "small", "base", "large")),
    *("torchvision:mobilenet_v2", "torchvision:mobilenet_v3_small", "torchvision:mobilenet_v3_large", "torchvision:shufflenet_v2_x1_0"),
    *(f"torchvision:efficientnet_{n}" for n in ("b0", "b1", "b2", "b3", "v2_s", "v2_m")),
    *(f"torchvision:convnext_{n}" for n in ("tiny", "small", "base")),
    *(f"torchvision:{n}" for n in ("vit_b_16", "swin_t", "swin_s", "swin_b", "densenet121", "vgg16", "vgg19", "alexnet", "mnasnet1_0")),
)


def tell(state: Tensors, where: Path) -> tuple[str, str, Transform]:
    """Library, architecture and transform of weights in the file `where`. Raises Unavailable if nothing that is tried fits."""
    order = sorted(USUAL, key=lambda name: name.partition(":")[2] not in where.name)
    for name in order:
        library, _, architecture = name.partition(":")
        with contextlib.suppress(Exception):  # Unavailable, and what networks raise that cannot be built without memory
            network, classifier = _empty(library, architecture)
            state_dicts.fitted(state, network, classifier, where, architecture)
            transform = _noted(where.parent, _usual(library, architecture))
            log.info("%s: read as %s of %s, by the names and sizes of its weights", where, architecture, library)
            return library, architecture, transform
    raise Unavailable(
        f"{where}: no architecture that is tried fits its weights; write a card.json beside it that says library, architecture and transform "
        f"(`headstart sources --card {where}` writes what can be seen)"
    )


@functools.cache
def _empty(library: str, architecture: str) -> tuple[Any, str]:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return skeletons.skeleton(library, architecture)


def _usual(library: str, architecture: str) -> Transform:
    """The transform that a library gives an architecture."""
    if library == "timm":
        import timm

        cfg: Any = timm.get_pretrained_cfg(architecture)
        how = cfg.interpolation if cfg.interpolation in FILTERS else "bicubic"
        return Transform(cfg.input_size[-1], tuple(cfg.mean), tuple(cfg.std), how, float(cfg.crop_pct or 1.0))  # type: ignore[arg-type]
    from torchvision import models

    wanted = models.get_model_weights(architecture)["DEFAULT"].transforms()
    size = wanted.crop_size[0]
    return Transform(size, tuple(wanted.mean), tuple(wanted.std), wanted.interpolation.value, min(1.0, size / wanted.resize_size[0]))


def _noted(folder: Path, usual: Transform) -> Transform:
    """The transform as preprocessor_config.json of transformers has it; what it does not say is as usual."""
    try:
        noted = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        mean, std = (tuple(map(float, noted.get(key, getattr(usual, key[6:])))) for key in ("image_mean", "image_std"))
        size = noted.get("crop_size", noted.get("size", usual.input_size))
        side = size.get("height", size.get("shortest_edge", usual.input_size)) if isinstance(size, dict) else size
        how = {1: "lanczos", 2: "bilinear", 3: "bicubic"}.get(noted.get("resample"), usual.interpolation)
        crop = float(noted.get("crop_pct", 1.0 if "crop_size" not in noted else usual.crop))
        return Transform(int(side), mean, std, how, crop)  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, AttributeError):
        return usual
