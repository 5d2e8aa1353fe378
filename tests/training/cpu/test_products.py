"""headstart.products: large layers multiply in bfloat16 and nearly as in float32, and nothing else does."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn

from headstart.training.cpu.products import LEAST, Products

LARGE: list[nn.Module] = [nn.Conv2d(128, 128, 1), nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False), nn.Linear(128, 128)]
OTHERS: list[nn.Module] = [
    nn.Conv2d(64, 64, 1),
    nn.Conv2d(512, 512, 3, groups=512),
    nn.Conv2d(512, 512, 3, groups=8),
    nn.Linear(100, 10),
    nn.Conv2d(128, 128, 1).double(),
]


def images(layer: nn.Module) -> torch.Tensor:
    if isinstance(layer, nn.Linear):
        return torch.randn(40, layer.in_features)
    assert isinstance(layer, nn.Conv2d)
    given = torch.randn(8, layer.in_channels, 9, 9, dtype=layer.weight.dtype)
    return given.contiguous(memory_format=torch.channels_last)


def computed(layer: nn.Module, given: torch.Tensor) -> list[torch.Tensor]:
    """What a layer gives, and the gradients of its input and parameters of a weighted sum of that."""
    given = given.clone().requires_grad_()
    out = layer(given)
    weights = torch.arange(out.numel(), dtype=out.dtype).view_as(out).sin()
    return [out.detach(), *torch.autograd.grad((out * weights).sum(), [given, *layer.parameters()])]


@pytest.mark.parametrize("layer", LARGE, ids=str)
def test_large_layers_multiply_in_bfloat16_and_give_float32(layer: nn.Module) -> None:
    torch.manual_seed(0)
    given = images(layer)
    with Products():
        ours = computed(layer, given)
    assert given.ndim == 2 or ours[0].is_contiguous(memory_format=torch.channels_last)
    exactly = computed(layer, given)
    for bias, exact in zip(ours[3:], exactly[3:], strict=True):
        torch.testing.assert_close(bias, exact)
    for mine, exact in zip(ours[:3], exactly[:3], strict=True):
        assert mine.dtype == torch.float32
        off = float((mine - exact).norm() / exact.norm())
        assert 0 < off < 2**-7, off  # bfloat16 has eight bits


@pytest.mark.parametrize("layer", OTHERS, ids=str)
def test_small_layers_groups_and_doubles_are_left_alone(layer: nn.Module) -> None:
    given = images(layer)
    with Products():
        ours = computed(layer, given)
    for mine, exact in zip(ours, computed(layer, given), strict=True):
        assert torch.equal(mine, exact)


def test_arguments_may_be_named() -> None:
    given, weight = torch.randn(2, 256, 5, 5), torch.randn(256, 32, 3, 3)
    whole = torch.randn(64, 256, 1, 1)
    with Products():
        left = torch.conv2d(given, weight, groups=8)
        rounded = torch.conv2d(input=given, weight=whole, groups=1)
    assert weight.numel() >= LEAST
    assert torch.equal(left, torch.conv2d(given, weight, groups=8))
    assert torch.equal(rounded, torch.conv2d(given.bfloat16(), whole.bfloat16()).float())


def test_other_threads_and_what_comes_after_are_not_touched() -> None:
    layer = nn.Linear(128, 128)
    given = torch.randn(4, 128)
    exact, elsewhere = layer(given).detach(), []
    with Products():
        inside = layer(given)
        thread = threading.Thread(target=lambda: elsewhere.append(layer(given).detach()))
        thread.start()
        thread.join()
    assert not torch.equal(inside, exact)
    assert torch.equal(elsewhere[0], exact)
    assert torch.equal(layer(given), exact)


def test_the_same_bytes_again() -> None:
    layer = nn.Conv2d(128, 128, 1)
    given = images(layer)
    with Products():
        first, second = computed(layer, given), computed(layer, given)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
