"""Pointwise (1x1) convolutions of a few images on a CPU, by oneDNN as all others are: two to three times as fast, and the same but for rounding.

Where one thread computes fewer than 16 images, PyTorch takes matrix products of its own for them, forward and backward (ConvParams::use_mkldnn in ATen's Convolution.cpp),
unless the kernel is dilated. One pixel spread apart is still one pixel, so they are called dilated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.nn.modules.utils import _pair
from torch.overrides import TorchFunctionMode

ENOUGH = 16  # images, from which PyTorch has oneDNN compute them anyway


class Pointwise(TorchFunctionMode):
    """While entered, in this thread, oneDNN computes pointwise convolutions however few the images are."""

    def __torch_function__(
        self, function: Callable[..., Any], _: Iterable[type], arguments: tuple[Any, ...] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        options = options or {}
        if function is torch.conv2d and (known := _of_few(*arguments, **options)):
            return function(*known)
        return function(*arguments, **options)


def _of_few(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Any, ...]:
    """Arguments of torch.conv2d that give the same by oneDNN; () for a convolution that is not pointwise, or that oneDNN computes anyway."""
    few = input.ndim == 4 and len(input) < ENOUGH and input.dtype == torch.float32 and input.device.type == "cpu"
    pointwise = weight.shape[2:] == (1, 1) and _pair(stride) == _pair(dilation) == (1, 1) and groups == 1
    return (input, weight, bias, stride, padding, 2) if few and pointwise and not isinstance(padding, str) else ()
