"""A network for one job: normalisation, the stages of a pretrained trunk, and a linear head. Saved as weights and a card.

The weights keep the names that timm or torchvision give them, the head under the name of their classifier.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from headstart import outputs, sources, stages
from headstart.engines import Normalise
from headstart.errors import HeadstartError
from headstart.heads import Head
from headstart.transforms import View

WEIGHTS, CARD = "model.safetensors", "card.json"
FIELDS = ("library", "architecture", "weights_sha256", "classes", "transform")  # what a card must say for a model to predict


class Network(nn.Module):
    """uint8 images (n, size, size, 3) -> logits (n, classes). Always in eval mode: BatchNorm keeps the source's statistics."""

    def __init__(self, trunk: nn.Module, classifier: str, head: Head, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.normalise = Normalise(tuple(mean), tuple(std))
        self._names = frozenset(trunk.state_dict())  # tracing adds constants (swin's masks) that are no weights of the library's network
        self.stages = stages.chain(trunk)
        self.classifier = classifier
        self.head = nn.Linear(head.weight.shape[1], head.weight.shape[0])
        self.head.weight.data = torch.from_numpy(np.array(head.weight))
        self.head.bias.data = torch.from_numpy(np.array(head.bias))
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages(self.normalise(images)))

    def stage_names(self) -> list[str]:
        """Names of the trunk's stages, from the image to the head."""
        return [stages.name(key) for key, _ in self.stages.named_children()]

    def below(self, trained: set[str]) -> tuple[nn.Sequential, int]:
        """The frozen part, normalisation included, below the lowest of the `trained` stages, and how many stages it has."""
        names = self.stage_names()
        count = next((i for i, name in enumerate(names) if name in trained), len(names))
        return nn.Sequential(self.normalise, *list(self.stages.children())[:count]), count

    def tail(self, count: int) -> nn.Sequential:
        """The stages above the first `count`, then the head, under their names."""
        tail = nn.Sequential()
        for key, module in list(self.stages.named_children())[count:]:
            tail.add_module(key, module)
        tail.add_module("head", self.head)
        return tail

    def weights(self) -> dict[str, torch.Tensor]:
        """All weights under the library's names."""
        named = {key: value for stage in self.stages.children() for key, value in stage.state_dict().items() if key in self._names}
        named[f"{self.classifier}.weight"], named[f"{self.classifier}.bias"] = self.head.weight.data, self.head.bias.data
        return {key: value.detach().contiguous() for key, value in named.items()}


def of(source: sources.Source, head: Head) -> Network:
    """A source with a head on top."""
    return Network(source.trunk, source.classifier, head, source.mean, source.std)


def save(path: Path, network: Network) -> None:
    """Write the weights to `path`; the same weights give the same bytes."""
    from safetensors.torch import save_file

    save_file(network.weights(), path)


def load(folder: Path) -> tuple[Network, dict[str, Any]]:
    """Read a model folder (model.safetensors, card.json).

    Raises HeadstartError when it is missing, when its card lacks a field, or when the two do not fit together.
    """
    try:
        card = outputs.read_json(folder / CARD)
        weights = sources.read_weights(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise HeadstartError(
            f"{error.filename} is missing: no model has been made yet; run `headstart run` first, or name a model folder"
        ) from None
    except Exception as error:  # json, safetensors and I/O errors
        raise HeadstartError(f"{folder} holds no readable model: {error}") from None
    if missing := _missing(card):
        raise HeadstartError(
            f"{folder / CARD} lacks {', '.join(missing)}; make the model again with `headstart run`, or copy its folder again, whole"
        )
    return rebuild(card, weights), card


def _missing(card: Any) -> list[str]:
    """The fields that a card lacks."""
    card = card if isinstance(card, dict) else {}
    transform = card.get("transform", dict.fromkeys(sources.TRANSFORM))
    transform = transform if isinstance(transform, dict) else {}
    return [*(key for key in FIELDS if key not in card), *(f"transform.{key}" for key in sources.TRANSFORM if key not in transform)]


def rebuild(card: dict[str, Any], weights: dict[str, torch.Tensor]) -> Network:
    """A network from a card (library, architecture, transform) and weights under the library's names.

    Raises HeadstartError when they do not fit together.
    """
    try:
        trunk, classifier = sources.skeleton(card["library"], card["architecture"])
        weights = dict(weights)
        head = Head(weights.pop(f"{classifier}.weight").numpy(), weights.pop(f"{classifier}.bias").numpy())
        trunk.load_state_dict(weights)
        return Network(trunk, classifier, head, card["transform"]["mean"], card["transform"]["std"])
    except (KeyError, RuntimeError) as error:  # a field or a tensor is missing, or of another shape
        raise HeadstartError(f"the weights do not fit the card ({card.get('architecture')}): {str(error)[:300]}") from None


def plain_view(card: dict[str, Any]) -> View:
    """The evaluation view that a source card or a model card's transform asks for."""
    return View(card["input_size"], card["interpolation"], card["crop"])
