"""Gradients that take less time on a CPU than PyTorch's own, and are the same but for rounding.

Depthwise convolutions with wide kernels (5x5, 7x7): oneDNN, which computes PyTorch's convolutions, has a fast weight gradient only for
kernels of at most three columns, on images no lower than the kernel. A 5x5 one of 1,152 channels on 16 maps of 7x7 takes 10 ms, a 5x3 one
0.3 ms. So the weight gradient is taken in strips of three columns, each on the images shifted by as much, and low images get the rows
that pad them; and the gradient of the images, if the stride is one, is taken as what it is: a convolution with the kernel turned by
half a turn.

Averages over positions: their gradient comes in no layout of its own, and what lies below them (a BatchNorm with its activation) takes
four times as long on it as on one that has its channels last, as the images have.

ReLU6 in place and zeros around images: clamping.py and padding.py say why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from torch.nn.modules.utils import _pair
from torch.overrides import TorchFunctionMode

from headstart.training.cpu.clamping import clamp_
from headstart.training.cpu.padding import pad, padded

STRIP = 3  # columns of a kernel that oneDNN is fast on
AVERAGES = (functional.adaptive_avg_pool2d, torch.Tensor.mean, torch.mean)


class Conv2d(NamedTuple):
    """The arguments of torch.conv2d."""

    input: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1


class Hardtanh(NamedTuple):
    """The arguments of torch.nn.functional.hardtanh, of which ReLU6 is one."""

    input: torch.Tensor
    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = False


class Pad(NamedTuple):
    """The arguments of torch.nn.functional.pad."""

    input: torch.Tensor
    pad: Sequence[int]
    mode: str = "constant"
    value: float | None = None


class Gradients(TorchFunctionMode):
    """While entered, in this thread, layers get the gradients of this module.

    Layers for which it has none get PyTorch's.
    """

    def __torch_function__(
        self, function: Callable[..., Any], _: Iterable[type], arguments: tuple[Any, ...] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        options = options or {}
        if function is torch.conv2d and _wide_depthwise(call := Conv2d(*arguments, **options)):
            return _Convolution.apply(call.input, call.weight, call.bias, _pair(call.stride), _pair(call.padding))
        if function is functional.hardtanh and _in_place(bounds := Hardtanh(*arguments, **options)):
            return clamp_(bounds.input, bounds.min_val, bounds.max_val)
        if function is functional.pad and _zeros(rim := Pad(*arguments, **options)):
            return pad(rim.input, *rim.pad)
        if function in AVERAGES and arguments and _has_channels_last(arguments[0]) and arguments[0].requires_grad:
            arguments[0].register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
        return function(*arguments, **options)


def _has_channels_last(images: torch.Tensor) -> bool:
    return images.ndim == 4 and images.is_contiguous(memory_format=torch.channels_last)


def _in_place(call: Hardtanh) -> bool:
    """Whether this changes the output of a layer, for which a gradient is wanted."""
    return call.inplace and call.input.requires_grad and not call.input.is_leaf and not call.input._is_view()


def _zeros(call: Pad) -> bool:
    """Whether this puts zeros around images."""
    sides = call.input.ndim == 4 and 2 <= len(call.pad) <= 4 and len(call.pad) % 2 == 0
    return sides and call.mode == "constant" and not call.value and call.input.device.type == "cpu"


def _wide_depthwise(call: Conv2d) -> bool:
    """Whether this is a convolution for _Convolution."""
    depthwise = call.input.ndim == 4 and call.input.shape[1] == call.weight.shape[0] == call.groups
    return depthwise and call.weight.shape[3] > STRIP and _pair(call.dilation) == (1, 1) and not isinstance(call.padding, str)


class _Convolution(torch.autograd.Function):
    """A depthwise convolution of images (n, channels, h, w).

    weight (channels, 1, kh, kw), bias (channels,) or None.
    """

    @staticmethod
    def forward(
        context: Any,
        images: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> torch.Tensor:
        context.save_for_backward(images, weight)
        context.stride, context.padding = stride, padding
        return functional.conv2d(images, weight, bias, stride, padding, 1, len(weight))

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> Any:
        images, weight = context.saved_tensors
        of_images, of_weight, of_bias, *_ = context.needs_input_grad
        return (
            _of_images(images, weight, context.stride, context.padding, gradient) if of_images else None,
            _of_weight(images, weight, context.stride, context.padding, gradient) if of_weight else None,
            gradient.sum((0, 2, 3)) if of_bias else None,
            None,
            None,
        )


def _of_images(
    images: torch.Tensor, weight: torch.Tensor, stride: tuple[int, int], padding: tuple[int, int], gradient: torch.Tensor
) -> torch.Tensor:
    around = [size - 1 - pad for size, pad in zip(weight.shape[2:], padding, strict=True)]
    if stride == (1, 1) and min(around) >= 0:
        return functional.conv2d(gradient, weight.flip(2, 3), None, 1, around, 1, len(weight))
    return _backward(gradient, images, weight, stride, padding, (True, False))


def _of_weight(
    images: torch.Tensor, weight: torch.Tensor, stride: tuple[int, int], padding: tuple[int, int], gradient: torch.Tensor
) -> torch.Tensor:
    """In strips: the columns from `first` on see the images from that column on."""
    reach, width = (gradient.shape[3] - 1) * stride[1], images.shape[3]
    rows = padding[0]
    if images.shape[2] < weight.shape[2]:
        images, rows = padded(images, 0, 0, rows, rows), 0
    strips = []
    for first in range(0, weight.shape[3], STRIP):
        strip = weight[..., first : first + STRIP]
        left = padding[1] - first
        right = reach + strip.shape[3] - width - left  # so that the strip gives as many columns as the whole kernel
        shifted = padded(images, left, right, 0, 0)
        strips.append(_backward(gradient, shifted, strip, stride, (rows, 0), (False, True)))
    return torch.cat(strips, dim=3)


def _backward(
    gradient: torch.Tensor,
    images: torch.Tensor,
    weight: torch.Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    wanted: tuple[bool, bool],
) -> torch.Tensor:
    """PyTorch's own gradient of the images or of the weight, whichever of the two is wanted."""
    found = torch.ops.aten.convolution_backward(
        gradient, images, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight), [*wanted, False]
    )
    return found[wanted.index(True)]
