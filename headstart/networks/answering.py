"""A network that gives, in one pass, its logits and the features that they come from."""

from __future__ import annotations

import torch
from torch import nn

from headstart.networks.model import Network


class Answering(nn.Module):
    """uint8 images (n, size, size, 3) -> float32 (n, classes + width): the logits, then the features that the head sees."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.normalise, self.stages, self.head = network.normalise, network.stages, network.head
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.stages(self.normalise(images))
        return torch.cat([self.head(features), features], dim=1)
