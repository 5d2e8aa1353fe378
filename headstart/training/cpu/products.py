"""Matrix products in bfloat16, for training on CPUs that have instructions for them.

In networks of wide layers that is two to four times as fast as float32. Layers with many weights (linear ones, and convolutions that see
all channels) round what they multiply to bfloat16 and give float32, forward and backward; sums inside a product, weights, and everything
between the layers stay float32 (mixed precision training, Micikevicius et al., ICLR 2018; bfloat16 needs no scaling of the loss, Kalamkar
et al., arXiv 1905.12322). Nothing but training does so: what a network is measured with, and frozen layers, are float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

LEAST = 2**14  # weights of a layer that gains: with fewer, rounding costs what it saves


class Products(TorchFunctionMode):
    """While entered, in this thread, large layers multiply in bfloat16."""

    def __torch_function__(
        self, function: Callable[..., Any], _: Iterable[type], arguments: tuple[Any, ...] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        options = options or {}
        if function in (torch.conv2d, functional.linear) and _gains(*arguments, **options):
            return _product(function, *arguments, **options)
        return function(*arguments, **options)


def _gains(input: torch.Tensor, weight: torch.Tensor, *others: Any, groups: int = 1, **_: Any) -> bool:
    """Whether a layer with these arguments of conv2d or linear is large and not of groups."""
    alone = (others[4] if len(others) > 4 else groups) == 1
    return input.dtype == weight.dtype == torch.float32 and weight.numel() >= LEAST and alone


def _product(
    function: Callable[..., torch.Tensor],
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *others: Any,
    **options: Any,
) -> torch.Tensor:
    product = function(input.bfloat16(), weight.bfloat16(), None, *others, **options).float()
    if bias is None:
        return product
    return product + (bias if function is functional.linear else bias[:, None, None])
