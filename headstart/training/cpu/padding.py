"""Zeros around images, of which PyTorch writes the whole picture first: here only the rim is written.

Networks whose padding is not the same on both sides (TensorFlow's) pad before each convolution of stride two.
"""

from __future__ import annotations

from typing import Any

import torch


def pad(images: torch.Tensor, left: int, right: int, top: int = 0, bottom: int = 0) -> torch.Tensor:
    """torch.nn.functional.pad of images (n, channels, h, w) with zeros, and with its gradient; a negative number cuts off."""
    padded: torch.Tensor = _Pad.apply(images, left, right, top, bottom)
    return padded


def padded(images: torch.Tensor, left: int, right: int, top: int, bottom: int) -> torch.Tensor:
    """The same without a gradient, in the layout of the images."""
    n, channels, height, width = images.shape
    kept = images[:, :, max(0, -top) : height - max(0, -bottom), max(0, -left) : width - max(0, -right)]
    left, right, top, bottom = (max(0, side) for side in (left, right, top, bottom))
    high, wide = kept.shape[2] + top + bottom, kept.shape[3] + left + right
    layout = torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    made = torch.empty((n, channels, high, wide), dtype=images.dtype, memory_format=layout)
    made[:, :, top : high - bottom, left : wide - right] = kept
    for rim in (made[:, :, :top], made[:, :, high - bottom :], made[..., :left], made[..., wide - right :]):
        rim.zero_()
    return made


class _Pad(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, images: torch.Tensor, *sides: int) -> torch.Tensor:
        context.sides = sides
        return padded(images, *sides)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> Any:
        return padded(gradient, *(-side for side in context.sides)), None, None, None, None
