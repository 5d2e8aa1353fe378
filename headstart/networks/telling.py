"""Tell what network weights are of, where no card says it: by the names and sizes of the weights themselves.

The transform that goes with them cannot be seen in weights: it is what transformers noted beside them, or the one that the library
gives this architecture.
"""

from __future__ import annotations

import functools
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.networks import census, libraries, skeletons, state_dicts
from headstart.networks.census import Row
from headstart.networks.common import Unavailable, said
from headstart.networks.state_dicts import Tensors
from headstart.networks.transform import FILTERS, Transform

log = logging.getLogger(__name__)
TRIED, _NEAR = 8, 4  # networks that are built, at most: of a fitting number of weights, of one that is near
_CLASSES = 100_000  # most classes of a classifier
_UNEXPLAINED = 3
_PARTS = 0.2  # of all weights, from which a part of what was saved may be a network of its own
# The usual ones: of networks with the same names and sizes, which may want other pictures, the first is taken.
USUAL = (
    *(f"timm:resnet{n}" for n in (18, 34, 50, 101, 152)),
    *("timm:resnext50_32x4d", "timm:wide_resnet50_2", "timm:densenet121"),
    *(f"timm:efficientnet_b{n}" for n in range(5)),
    *(f"timm:tf_efficientnet_lite{n}" for n in range(5)),
    *(f"timm:convnext{v}_{n}" for v in ("", "v2") for n in ("tiny", "small", "base", "large")),
    *("timm:mobilenetv3_small_100", "timm:mobilenetv3_large_100", "timm:mobilenetv2_100"),
    *(f"timm:{n}" for n in ("regnety_008", "regnety_016", "regnety_032", "resnet26d", "resnet50d")),
    *(f"timm:vit_{n}_patch16_224" for n in ("tiny", "small", "base", "large")),
    *(f"timm:vit_{n}_patch14_{kind}dinov2" for kind in ("", "reg4_") for n in ("small", "base", "large")),
    *(f"timm:deit_{n}_distilled_patch16_224" for n in ("tiny", "small", "base")),
    *("timm:vit_base_patch32_224", "timm:vit_base_patch8_224", "timm:vit_small_patch32_224"),
    *(f"timm:swin_{n}_patch4_window7_224" for n in ("tiny", "small", "base", "large")),
    *("torchvision:mobilenet_v2", "torchvision:mobilenet_v3_small", "torchvision:mobilenet_v3_large", "torchvision:shufflenet_v2_x1_0"),
    *(f"torchvision:efficientnet_{n}" for n in ("b0", "b1", "b2", "b3", "v2_s", "v2_m")),
    *(f"torchvision:convnext_{n}" for n in ("tiny", "small", "base")),
    *(f"torchvision:{n}" for n in ("vit_b_16", "swin_t", "swin_s", "swin_b", "densenet121", "vgg16", "vgg19", "alexnet", "mnasnet1_0")),
)


@dataclass(frozen=True)
class Told:
    """What weights are of."""

    library: str
    architecture: str
    transform: Transform
    twins: tuple[str, ...] = ()  # other networks of the same names and sizes, as LIBRARY:ARCHITECTURE


def tell(state: Tensors, where: Path) -> Told:
    """What the weights in the file `where` are of. Raises Unavailable, which names the nearest network, if nothing fits."""
    failed: list[tuple[float, str]] = []
    total = census.elements(state)
    if (hub := _of_hub(state, where)) is not None:
        return hub
    for row in candidates(state, where.name):
        try:
            network, classifier = _empty(row.library, row.architecture)
            state_dicts.fitted(state, network, classifier, where, row.architecture)
        except Exception as error:  # Unavailable, and what networks raise that cannot be built without memory
            failed.append((abs(total - row.elements) / row.elements, f"{row.name}: {said(error).rpartition(': ')[2]}"))
            continue
        twins = tuple(other.name for other in census.read() if other.mark == row.mark and other != row)
        log.info("%s: read as %s of %s, by the names and sizes of its weights", where, row.architecture, row.library)
        if twins:
            log.info("%s: so have %s; a card.json would say which of them it is", where, ", ".join(twins[:5]))
        return Told(row.library, row.architecture, _noted(where.parent, _usual(row.library, row.architecture)), twins)
    nearest = f"the nearest by size is {min(failed)[1]}; if it is that network with changes, it cannot be used, else " if failed else ""
    raise Unavailable(
        f"{where}: no network of timm or torchvision that is tried fits its weights; {nearest}write a card.json beside it that says library, "
        "architecture and transform"
    )


def candidates(state: Tensors, file: str) -> list[Row]:
    """The few networks that weights may be of, the likeliest first: by the number of their weights, and by the name of the file.

    What is left over of the network's own number is its classifier: a row of weights, perhaps with a bias, for each class.
    """
    totals = _totals(state)
    order = {name: number for number, name in enumerate(USUAL)}

    def rank(row: Row) -> tuple[int, int, bool, int, float]:
        left = [total - row.elements for total in totals]
        doubt = min(_doubt(rest, row.features) for rest in left)
        named = len(row.architecture) if row.architecture in file else 0
        usual = order.get(row.name, len(order))
        return doubt, -named, row.name not in order, usual if doubt < _UNEXPLAINED else 0, abs(left[0]) / row.elements

    fit = sorted((row for row in census.read() if row.elements <= 1.02 * max(totals)), key=rank)  # positions may be of another size
    explained = [row for row in fit if rank(row)[0] < _UNEXPLAINED]
    return [*explained[:TRIED], *fit[len(explained) : len(explained) + _NEAR]]


def _doubt(rest: int, features: int) -> int:
    """Whether so many weights are nothing: 0, a classifier of so many features: 1, one without a bias: 2, or something else."""
    if rest == 0:
        return 0
    whole = [features > 0 and rest % width == 0 and 0 < rest // width <= _CLASSES for width in (features + 1, features)]
    return 1 + whole.index(True) if any(whole) else _UNEXPLAINED


def _totals(state: Tensors) -> list[int]:
    """The number of all weights, and of each large part by which their names begin (backbone., model.encoder.)."""
    parts: dict[str, Tensors] = {"": dict(state)}
    for key, value in state.items():
        words = key.split(".")
        for depth in range(1, min(len(words), 5)):
            parts.setdefault(".".join(words[:depth]), {})[key] = value
    numbers = [census.elements(part) for part in parts.values()]
    return [number for number in dict.fromkeys(numbers) if number >= _PARTS * numbers[0]]


@functools.cache
def _empty(library: str, architecture: str) -> tuple[Any, str]:
    """The network without memory for its weights, if it can be built so."""
    return census.without_memory(lambda: skeletons.skeleton(library, architecture))


def _usual(library: str, architecture: str) -> Transform:
    """The transform that a library gives an architecture."""
    if library == "timm":
        timm = libraries.timm()

        cfg: Any = timm.get_pretrained_cfg(architecture)
        how = cfg.interpolation if cfg.interpolation in FILTERS else "bicubic"
        return Transform(cfg.input_size[-1], tuple(cfg.mean), tuple(cfg.std), how, float(cfg.crop_pct or 1.0))  # type: ignore[arg-type]
    models = libraries.torchvision().models

    wanted = models.get_model_weights(architecture)["DEFAULT"].transforms()
    size = wanted.crop_size[0]
    return Transform(size, tuple(wanted.mean), tuple(wanted.std), wanted.interpolation.value, min(1.0, size / wanted.resize_size[0]))


def _of_hub(state: Tensors, where: Path) -> Told | None:
    """What timm's own config.json beside weights says they are of, as folders of a model hub have it; None if it does not fit them."""
    try:
        noted = json.loads((where.parent / "config.json").read_text(encoding="utf-8"))
        architecture = str(noted["architecture"])
        skeletons.check("timm", architecture)
        state_dicts.fitted(state, *_empty("timm", architecture), where, architecture)
        usual, said = _usual("timm", architecture), noted.get("pretrained_cfg") or noted
        mean, std = (tuple(map(float, said.get(key, getattr(usual, key)))) for key in ("mean", "std"))
        size = int(said["input_size"][-1]) if "input_size" in said else usual.input_size
        how, crop = said.get("interpolation", usual.interpolation), said.get("crop_pct") or usual.crop
        transform = Transform(size, mean, std, how, float(crop))  # type: ignore[arg-type]
    except Exception as error:  # none, one of transformers, one that is damaged or of other weights
        log.debug("%s: config.json is not used: %s", where, error)
        return None
    log.info("%s: read as %s of timm, as its config.json says", where, architecture)
    return Told("timm", architecture, transform)


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
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return usual
