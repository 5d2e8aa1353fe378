"""Pointwise (1x1) convolutions of a few images on a CPU, by oneDNN as all others are.

That is two to three times as fast, and the same but for rounding. If one thread computes fewer than 16 images, PyTorch takes matrix
products of its own for them, forward and backward (ConvParams::use_mkldnn in ATen's Convolution.cpp), unless the kernel is dilated. One
pixel spread apart is still one pixel, so they are called dilated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.nn.modules.utils import _pair
from torch.overrides import TorchFunctionMode

from headstart.training.cpu.gradients import Conv2d

ENOUGH = 16  # images, from which PyTorch has oneDNN compute them anyway


class Pointwise(TorchFunctionMode):
    """While entered, in this thread, oneDNN computes pointwise convolutions however few the images are."""

    def __torch_function__(
        self, function: Callable[..., Any], _: Iterable[type], arguments: tuple[Any, ...] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        options = options or {}
        if function is torch.conv2d and _of_few(call := Conv2d(*arguments, **options)):
            return function(*call._replace(dilation=2))
        return function(*arguments, **options)


def _of_few(call: Conv2d) -> bool:
    """Whether this is a pointwise convolution that oneDNN would not compute."""
    few = call.input.ndim == 4 and len(call.input) < ENOUGH and call.input.dtype == torch.float32 and call.input.device.type == "cpu"
    pointwise = call.weight.shape[2:] == (1, 1) and _pair(call.stride) == _pair(call.dilation) == (1, 1) and call.groups == 1
    return few and pointwise and not isinstance(call.padding, str)
