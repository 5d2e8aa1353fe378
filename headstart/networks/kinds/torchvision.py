"""Sources with torchvision's weights: torchvision:resnet50, torchvision:resnet50/IMAGENET1K_V2."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from headstart.base import weights
from headstart.machinery import nearest
from headstart.machinery.errors import ParamsError
from headstart.networks import common, libraries, skeletons
from headstart.networks.cards import Transform
from headstart.networks.common import Entry, Source


def load(name: str) -> Source:
    """A classifier of torchvision with the weights named, or its default ones.

    Raises Unavailable if they cannot be had.
    """
    torchvision = libraries.torchvision()

    architecture, chosen = weights_of(name)
    with common.obtaining(f"torchvision:{name}"):
        model = torchvision.models.get_model(architecture, weights=chosen, progress=False)
    return from_torchvision(f"torchvision:{name}", "torchvision", model, architecture, chosen)


def from_torchvision(name: str, kind: str, model: nn.Module, architecture: str, chosen: Any) -> Source:
    """A network of torchvision, whole, which loses its classifier here; `chosen` is the member of its WeightsEnum that was loaded."""
    trunk, classifier, linear = skeletons.without_last_linear(model, architecture)
    wanted = chosen.transforms()
    size = wanted.crop_size[0]
    features = common.width(trunk, size)
    return Source(
        name=name,
        kind=kind,
        library="torchvision",
        architecture=architecture,
        trunk=trunk,
        features=features,
        classifier=classifier,
        transform=Transform(
            input_size=size,
            mean=tuple(wanted.mean),
            std=tuple(wanted.std),
            interpolation=wanted.interpolation.value,
            crop=min(1.0, size / wanted.resize_size[0]),
        ),
        fixed_size=common.fixed_size("torchvision", architecture, trunk),
        licence=licence(chosen),
        weights_sha256=weights.digest(trunk.state_dict()),
        head=common.linear_head(linear, trunk, classifier, features),
    )


def weights_of(name: str) -> tuple[str, Any]:
    """The architecture and the member of its WeightsEnum that a name means."""
    torchvision = libraries.torchvision()

    architecture, _, weights_name = name.partition("/")
    classifiers = torchvision.models.list_models(module=torchvision.models)
    if architecture not in classifiers:
        raise ParamsError(
            f"select_source.candidates: torchvision has no classifier {architecture!r}; {nearest.hint(architecture, classifiers)}"
        )
    enum = {chosen.name: chosen for chosen in torchvision.models.get_model_weights(architecture) if _complete(chosen)}
    try:
        return architecture, enum[weights_name or torchvision.models.get_model_weights(architecture)["DEFAULT"].name]
    except KeyError:
        known = ", ".join(enum)
        raise ParamsError(f"select_source.candidates: {architecture} has no weights {weights_name!r}; known: {known}") from None


def _complete(chosen: Any) -> bool:
    """Whether all weights are there.

    vgg16/IMAGENET1K_FEATURES has NaN in its upper layers, and so NaN as its accuracy.
    """
    return not math.isnan(chosen.meta["_metrics"]["ImageNet-1K"]["acc@1"])


def licence(chosen: Any) -> str:
    """The licence of these weights.

    Of all of torchvision's weights only those from SWAG say that they have a licence of their own: CC BY-NC 4.0.
    """
    return "cc-by-nc-4.0" if "license" in chosen.meta else "bsd-3-clause"


def names(pattern: str) -> list[str]:
    models = libraries.torchvision().models

    # SqueezeNet ends in no linear layer, so it cannot be given a new head.
    classifiers = [name for name in models.list_models(module=models) if not name.startswith("squeezenet")]
    return common.matching(
        [f"{name}/{chosen.name}" for name in classifiers for chosen in models.get_model_weights(name) if _complete(chosen)], pattern
    )


def entry(name: str) -> Entry:
    architecture, chosen = weights_of(name)
    meta = chosen.meta
    return Entry(
        name=f"torchvision:{name}",
        kind="torchvision",
        library="torchvision",
        architecture=architecture,
        input_size=chosen.transforms().crop_size[0],
        parameters=meta["num_params"],
        gflops=meta["_ops"],
        imagenet_accuracy=meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100,
        licence=licence(chosen),
        download_bytes=round(meta["_file_size"] * 2**20),
        here=common.torch_cache(chosen.url).is_file(),
    )
