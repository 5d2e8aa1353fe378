"""A network for one job: normalisation, the stages of a pretrained trunk, and a linear head.

Saved as weights and a card.

The weights keep the names that timm or torchvision give them, the head under the name of their classifier.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from headstart.machinery.errors import HeadstartError
from headstart.networks import cards, common, cut, skeletons
from headstart.networks.cards import Card, ModelCard
from headstart.networks.heads import Head


class Normalise(nn.Module):
    """Normalise images with the source's mean and standard deviation.

    uint8 images (n, size, size, 3) -> float32 (n, 3, size, size).
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("scale", 1 / (255 * torch.tensor(std).view(1, 3, 1, 1)), persistent=False)
        self.register_buffer("shift", -torch.tensor(mean).view(1, 3, 1, 1) / torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 3, 1, 2).float() * self.scale + self.shift


class Network(nn.Module):
    """uint8 images (n, size, size, 3) -> logits (n, classes).

    Always in eval mode: BatchNorm keeps the source's statistics.
    """

    def __init__(self, trunk: nn.Module, classifier: str, head: Head, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.normalise = Normalise(tuple(mean), tuple(std))
        self._names = frozenset(trunk.state_dict())  # tracing adds constants (swin's masks) that are no weights of the library's network
        self.stages = cut.chain(trunk)
        self.classifier = classifier
        self.head = nn.Linear(head.weight.shape[1], head.weight.shape[0])
        self.head.weight.data = torch.from_numpy(np.array(head.weight))
        self.head.bias.data = torch.from_numpy(np.array(head.bias))
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages(self.normalise(images)))

    def stage_names(self) -> list[str]:
        """Names of the trunk's stages, from the image to the head."""
        return [cut.name(key) for key, _ in self.stages.named_children()]

    def below(self, trained: set[str]) -> tuple[nn.Sequential, int]:
        """The frozen part below the lowest of the `trained` stages, and how many stages it has.

        Normalisation is included in the frozen part.
        """
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

    def divide_logits(self, temperature: float) -> None:
        """Divide the logits by a temperature, so that the probabilities mean what they say.

        It changes no prediction.
        """
        self.head.weight.data /= temperature
        self.head.bias.data /= temperature

    def weights(self) -> dict[str, torch.Tensor]:
        """All weights under the library's names."""
        named = {key: value for stage in self.stages.children() for key, value in stage.state_dict().items() if key in self._names}
        named[f"{self.classifier}.weight"], named[f"{self.classifier}.bias"] = self.head.weight.data, self.head.bias.data
        return {key: value.detach().contiguous() for key, value in named.items()}


class Depths(nn.Module):
    """The end of every stage of a source, averaged over positions.

    uint8 (n, size, size, 3) -> float32 (n, sum of widths), the features last.
    """

    def __init__(self, source: common.Source) -> None:
        super().__init__()
        self.normalise = Normalise(source.transform.mean, source.transform.std)
        self.stages = cut.chain(source.trunk)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat(self.each(images), dim=1)

    def each(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The averages (n, width) of each stage."""
        x, out = self.normalise(images), []
        for stage in self.stages.children():
            x = stage(x)
            out.append(_average(x))
        return out

    def widths(self, size: int) -> dict[str, int]:
        """The width of each stage, by name, from the image to the features, at `size` pixels."""
        with torch.inference_mode():
            parts = self.each(torch.zeros(1, size, size, 3, dtype=torch.uint8))
        return {cut.name(key): part.shape[1] for (key, _), part in zip(self.stages.named_children(), parts, strict=True)}


def _average(x: torch.Tensor) -> torch.Tensor:
    """Activations averaged over positions.

    Activations are pictures with channels first or last (told by their equal sides), tokens, or vectors, which stay as they are.
    """
    if x.ndim == 4:
        return x.mean((2, 3)) if x.shape[2] == x.shape[3] else x.mean((1, 2))
    return x.mean(1) if x.ndim == 3 else x


def trunk(source: common.Source) -> nn.Sequential:
    """A source without a head: uint8 images (n, size, size, 3) -> features (n, features)."""
    return nn.Sequential(Normalise(source.transform.mean, source.transform.std), cut.chain(source.trunk))


def of(source: common.Source, head: Head) -> Network:
    """A source with a head on top."""
    return Network(source.trunk, source.classifier, head, source.transform.mean, source.transform.std)


def save(path: Path, network: Network) -> None:
    """Write the weights to `path`; the same weights give the same bytes."""
    from safetensors.torch import save_file

    save_file(network.weights(), path)


def load(folder: Path) -> tuple[Network, ModelCard]:
    """Read a model folder (model.safetensors, card.json).

    Raises HeadstartError when it is missing or does not fit together.
    """
    arrays, card = cards.read_model(folder)
    return rebuild(card, {key: torch.from_numpy(value) for key, value in arrays.items()}), card


def rebuild(card: Card, tensors: dict[str, torch.Tensor]) -> Network:
    """A network from its card and weights under the library's names.

    Raises HeadstartError when they do not fit together.
    """
    try:
        bare, classifier = skeletons.skeleton(card.library, card.architecture)
        tensors = dict(tensors)
        head = Head(tensors.pop(f"{classifier}.weight").numpy(), tensors.pop(f"{classifier}.bias").numpy())
        if isinstance(card, ModelCard) and len(head.bias) != len(card.classes):
            raise HeadstartError(
                f"the card names {len(card.classes)} classes, and the weights are of {len(head.bias)}; copy the model's folder again, whole"
            )
        skeletons.fit_size(bare, {key: value.shape for key, value in tensors.items()}, card.transform.input_size)
        bare.load_state_dict(tensors)
        return Network(bare, classifier, head, card.transform.mean, card.transform.std)
    except (KeyError, RuntimeError) as error:  # a tensor is missing, or of another shape
        raise HeadstartError(f"the weights do not fit the card ({card.architecture}): {common.said(error)}") from None
