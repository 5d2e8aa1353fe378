"""Small networks, sources and tables that tests of the library share: everything as in real use, only small."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from headstart.base import weights
from headstart.indexing import indexer
from headstart.networks import cards, common, heads, model, skeletons, sources
from tests import toy

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def conv(seed: int = 0, width: int = 4) -> nn.Sequential:
    """Untrained layers: uint8 (n, size, size, 3) -> float32 (n, width, size / 2, size / 2)."""
    torch.manual_seed(seed)
    return nn.Sequential(model.Normalise(MEAN, STD), nn.Conv2d(3, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()).eval()


def trunk(seed: int = 0, width: int = 16) -> nn.Sequential:
    """An untrained trunk: normalised (n, 3, size, size) -> features (n, width)."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, width, 5, stride=2, padding=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


class Blocks(nn.Module):
    """A network of these stages, averaged over positions in the end."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x).mean((2, 3))


def layer(kernel: torch.Tensor) -> nn.Conv2d:
    """A convolution with this kernel (out, in, side, side) that keeps the size of a picture."""
    made = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], padding=kernel.shape[2] // 2, padding_mode="replicate")
    made.weight.data, made.bias.data = kernel, torch.zeros(len(kernel))  # type: ignore[union-attr]
    return made


def same() -> nn.Module:
    """A stage that hands its picture on as it is."""
    return layer(torch.eye(3)[:, :, None, None].clone())


def nothing() -> nn.Module:
    """A stage that leaves nothing of its picture."""
    return layer(torch.zeros(3, 3, 1, 1))


def source(name: str, network: nn.Module, features: int = 16, input_size: int = 32, **other: Any) -> common.Source:
    """A source of a made-up kind."""
    values: dict[str, Any] = {
        "kind": "toy",
        "library": "toy",
        "architecture": name,
        "classifier": "fc",
        "transform": cards.Transform(input_size, MEAN, STD, "bilinear", 1.0),
        "fixed_size": False,
        "licence": None,
        "weights_sha256": weights.digest(network.state_dict()),
    }
    return common.Source(name=f"toy:{name}", trunk=network, features=features, **{**values, **other})


def use(monkeypatch: pytest.MonkeyPatch, known: dict[str, Callable[[], common.Source]]) -> None:
    """Make `toy:NAME` a candidate for each of `known`."""
    monkeypatch.setitem(sources.KINDS, "toy", lambda name: known[name]())


def table(folder: Path, per_class: int = 8, size: int = 32) -> pd.DataFrame:
    """Toy photos in `folder` and their manifest."""
    toy.images(folder, per_class=per_class, size=size)
    return indexer.index(folder, **toy.INDEX)


def array(size: int = 32, seed: int = 0) -> np.ndarray:
    """A photo as the array that a network reads."""
    return np.asarray(toy.photo(number=seed, size=size))


def checkpoint(folder: Path, architecture: str = "test_resnet", size: int = 64, seed: int = 0) -> str:
    """An untrained network of timm as a model folder; the name of it as a candidate."""
    torch.manual_seed(seed)
    library = "timm"
    network, classifier = skeletons.skeleton(library, architecture)
    for module in network.modules():  # statistics that differ from layer to layer, or a wrong order or a lost buffer would not show
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    width: Any = network.num_features
    folder.mkdir(parents=True)
    model.save(folder / cards.WEIGHTS, model.Network(network, classifier, head(width), MEAN, STD))
    transform = {"input_size": size, "mean": MEAN, "std": STD, "interpolation": "bilinear", "crop": 1.0}
    (folder / cards.CARD).write_text(json.dumps({"library": library, "architecture": architecture, "transform": transform}))
    return f"checkpoint:{folder}"


def finished(folder: Path) -> Path:
    """A model folder for three classes, whose source is gone."""
    source = sources.load(checkpoint(folder / "source"))
    model.save(folder / cards.WEIGHTS, model.of(source, head(source.features)))
    known = {"library": "timm", "architecture": source.architecture, "weights_sha256": source.weights_sha256}
    card = {**known, "classes": ["ant", "bee", "cat"], "transform": source.transform.to_json()}
    (folder / cards.CARD).write_text(json.dumps(card))
    shutil.rmtree(folder / "source")
    return folder


def head(width: int, classes: int = 3, seed: int = 0) -> heads.Head:
    """A random head."""
    random = np.random.default_rng(seed)
    return heads.Head(random.normal(size=(classes, width)).astype(np.float32), random.normal(size=classes).astype(np.float32))
