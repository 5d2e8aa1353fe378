"""headstart.pointwise: pointwise convolutions of a few images are the same as PyTorch's and oneDNN's own, and nothing else is touched."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from headstart.training.cpu.pointwise import ENOUGH, Pointwise


def computed(layer: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """What a layer gives, and the gradients of the images and its parameters of a weighted sum of that."""
    images = images.clone(memory_format=torch.preserve_format).requires_grad_()
    out = layer(images)
    weights = torch.arange(out.numel(), dtype=out.dtype).view_as(out).sin()
    return [out.detach(), *torch.autograd.grad((out * weights).sum(), [images, *layer.parameters()])]


def pictures(n: int, channels: int = 24, side: int = 12) -> torch.Tensor:
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=torch.channels_last)


def operations(layer: nn.Module, images: torch.Tensor) -> set[str]:
    """The names of all that PyTorch does for a layer, forward and backward, in one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            computed(layer, images)
    finally:
        torch.set_num_threads(threads)
    return {event.key for event in seen.key_averages()}


@pytest.mark.parametrize("n", [2, 7, ENOUGH - 1, ENOUGH])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("bias", [True, False])
def test_the_result_is_that_of_pytorch(n: int, padding: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer, images = nn.Conv2d(24, 40, 1, padding=padding, bias=bias), pictures(n)
    with Pointwise():
        ours = computed(layer, images)
    assert ours[0].is_contiguous(memory_format=torch.channels_last)
    for mine, theirs in zip(ours, computed(layer, images), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_onednn_computes_them() -> None:
    layer, images = nn.Conv2d(24, 40, 1), pictures(ENOUGH - 1)
    plain = operations(layer, images)
    if not any("slow" in name for name in plain):
        pytest.skip("this PyTorch has oneDNN compute them anyway")
    with Pointwise():
        ours = operations(layer, images)
    assert any("mkldnn" in name for name in ours)
    assert not any("slow" in name for name in ours)


@pytest.mark.parametrize(
    "layer",
    [nn.Conv2d(24, 24, 3), nn.Conv2d(24, 24, 1, groups=24), nn.Conv2d(24, 8, 1, stride=2), nn.Conv2d(24, 8, 1).double()],
    ids=str,
)
def test_other_convolutions_are_left_alone(layer: nn.Conv2d) -> None:
    images = pictures(4).to(layer.weight.dtype)
    given: list[Any] = []
    plain = nn.functional.conv2d

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function: Any, _: Any, arguments: Any = (), options: Any = None) -> Any:
            if function is plain:
                given.append(arguments[5])
            return function(*arguments, **(options or {}))

    with Watch(), Pointwise():
        ours = layer(images)
    assert given == [(1, 1)]
    assert torch.equal(ours, layer(images))


def test_it_is_entered_in_its_own_thread_only() -> None:
    layer, images = nn.Conv2d(24, 40, 1), pictures(3)
    names: list[set[str]] = []
    with Pointwise():
        thread = threading.Thread(target=lambda: names.append(operations(layer, images)))
        thread.start()
        thread.join()
    assert names[0] == operations(layer, images)
