"""Two networks of one architecture side by side, whose features a single linear head sees.

Two models average their logits so: a network as any other, in one file, at twice the cost. Its architecture is called `pair:NAME`.
"""

from __future__ import annotations

import torch
from torch import nn


class Pair(nn.Module):
    """Images (n, 3, size, size) -> features (n, 2 d): those of the first network, then those of the second."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.first(images), self.second(images)], dim=1)
