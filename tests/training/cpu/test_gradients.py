"""headstart.gradients: the same as PyTorch's, for all that a wide depthwise convolution or an average can be, and nothing else is touched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from headstart.training.cpu.gradients import Gradients


def gradients(layer: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """What a layer gives, and the gradients of the images and its parameters of a weighted sum of that."""
    images = images.clone().requires_grad_()
    given = layer(images)
    weights = torch.arange(given.numel(), dtype=given.dtype).view_as(given).sin()
    return [given.detach(), *torch.autograd.grad((given * weights).sum(), [images, *layer.parameters()])]


@pytest.mark.parametrize("kernel", [4, 5, 7, (3, 5), (5, 4)])
@pytest.mark.parametrize("stride", [1, 2, (1, 3)])
@pytest.mark.parametrize("padding", [0, 2, (1, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_gradients_are_those_of_pytorch(kernel: Any, stride: Any, padding: Any, bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 6, kernel, stride, padding, groups=6, bias=bias).double()
    images = torch.randn(3, 6, 10, 11, dtype=torch.float64)
    with Gradients():
        ours = gradients(layer, images)
    for mine, theirs in zip(ours, gradients(layer, images), strict=True):
        assert mine.shape == theirs.shape
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [(2, 7), (3, 3), (4, 2), (6, 6)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [3, (4, 2)])
def test_images_lower_than_the_kernel(size: tuple[int, int], stride: int, padding: Any) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 4, (7, 5), stride, padding, groups=4).double()
    images = torch.randn(2, 4, *size, dtype=torch.float64)
    with Gradients():
        ours = gradients(layer, images)
    for mine, theirs in zip(ours, gradients(layer, images), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


def test_padding_beyond_the_kernel() -> None:
    layer = nn.Conv2d(2, 2, (1, 4), padding=(3, 5), groups=2).double()
    images = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    with Gradients():
        ours = gradients(layer, images)
    for mine, theirs in zip(ours, gradients(layer, images), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_channels_last_and_float32_as_in_training() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 32, 5, padding=2, groups=32)
    images = torch.randn(16, 32, 9, 9).contiguous(memory_format=torch.channels_last)
    with Gradients():
        given = layer(images)
        ours = gradients(layer, images)
    assert given.is_contiguous(memory_format=torch.channels_last)
    for mine, theirs in zip(ours, gradients(layer, images), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(4, 8, 5, groups=4),
        nn.Conv2d(4, 4, 5),
        nn.Conv2d(4, 4, 5, groups=2),
        nn.Conv2d(4, 4, 5, groups=4, dilation=2),
        nn.Conv2d(4, 4, 5, groups=4, padding="same"),
    ],
)
def test_other_convolutions_are_pytorchs_own(layer: nn.Conv2d) -> None:
    images = torch.randn(2, 4, 12, 12)
    with Gradients():
        given = layer(images)
    assert given.grad_fn is not None
    assert "Convolution" in type(given.grad_fn).__name__
    assert "_Convolution" not in type(given.grad_fn).__name__
    assert torch.equal(given, layer(images))


def test_it_holds_in_its_thread_and_while_it_is_entered() -> None:
    layer, images, seen = nn.Conv2d(4, 4, 5, groups=4), torch.randn(1, 4, 8, 8), list[str]()

    def name() -> str:
        return type(functional.conv2d(images, layer.weight, groups=4).grad_fn).__name__

    with Gradients():
        assert name() == "_ConvolutionBackward"
        thread = threading.Thread(target=lambda: seen.append(name()))
        thread.start()
        thread.join()
    assert seen == ["ConvolutionBackward0"]
    assert name() == "ConvolutionBackward0"


@pytest.mark.parametrize(
    "average",
    [
        lambda images: functional.adaptive_avg_pool2d(images, 1),
        lambda images: functional.adaptive_avg_pool2d(images, 2),
        lambda images: images.mean((2, 3)),
        lambda images: torch.mean(images, dim=(2, 3), keepdim=True),
    ],
)
def test_the_gradient_of_an_average_has_its_channels_last(average: Callable[[torch.Tensor], torch.Tensor]) -> None:
    torch.manual_seed(0)
    images = torch.randn(3, 8, 6, 6).contiguous(memory_format=torch.channels_last).requires_grad_()

    def gradient() -> torch.Tensor:
        below = images * 1
        return torch.autograd.grad((average(below) ** 2).sum(), below)[0]

    with Gradients():
        ours = gradient()
    assert ours.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours, gradient())


def test_averages_of_other_things_are_left_alone() -> None:
    rows = torch.ones(4, 3, requires_grad=True)
    with Gradients(), torch.no_grad():
        assert torch.ones(1, 2, 3, 3).mean((2, 3)).shape == (1, 2)
    with Gradients():
        torch.testing.assert_close(torch.autograd.grad(rows.mean(), rows)[0], torch.full((4, 3), 1 / 12))


@pytest.mark.parametrize("layer", [nn.ReLU6(inplace=True), nn.Hardtanh(-1, 2, inplace=True), nn.ReLU6(), nn.ReLU(inplace=True)])
def test_clamping_is_pytorchs_and_keeps_no_copy(layer: nn.Module) -> None:
    images = (torch.arange(-8.0, 16.0).view(2, 3, 2, 2) / 2).requires_grad_()  # the bounds themselves too

    def clamped() -> list[torch.Tensor]:
        below = images * 1
        given = layer(below)
        if getattr(layer, "inplace", False):
            assert torch.equal(below, given)
        return [given.detach(), *torch.autograd.grad((given * given).sum(), images)]

    with Gradients():
        ours = clamped()
    for mine, theirs in zip(ours, clamped(), strict=True):
        assert torch.equal(mine, theirs)


def test_clamping_in_place_keeps_what_it_gives_alone() -> None:
    images, kept = torch.ones(1, 1, 2, 2, requires_grad=True), list[torch.Tensor]()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with Gradients(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        given = functional.hardtanh(images + 1, 0.0, 6.0, True)
    assert [tensor.data_ptr() for tensor in kept] == [given.data_ptr()]


def test_what_needs_no_gradient_or_is_part_of_something_is_clamped_by_pytorch() -> None:
    rows = torch.randn(4, 6, requires_grad=True)
    with Gradients():
        assert torch.equal(functional.relu6(torch.tensor([-1.0, 7.0]), inplace=True), torch.tensor([0.0, 6.0]))
        whole = rows * 1
        functional.hardtanh(whole[:, :3], 0.0, 0.5, inplace=True)
    plain = rows * 1
    functional.hardtanh(plain[:, :3], 0.0, 0.5, inplace=True)
    assert torch.equal(whole, plain)
    assert torch.equal(*(torch.autograd.grad(made.sum(), rows, retain_graph=True)[0] for made in (whole, plain)))


@pytest.mark.parametrize("sides", [(0, 1), (2, 0, 1, 3), (-1, 2, 0, -2), (0, 0, 0, 0), (-2, -1)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_zeros_around_images_are_pytorchs(sides: tuple[int, ...], layout: torch.memory_format) -> None:
    images = torch.randn(2, 3, 5, 6).contiguous(memory_format=layout).requires_grad_()

    def found() -> list[torch.Tensor]:
        given = functional.pad(images, sides)
        return [given.detach(), *torch.autograd.grad((given * given).sum(), images)]

    with Gradients():
        ours = found()
    for mine, theirs in zip(ours, found(), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.is_contiguous(memory_format=layout)


def test_other_padding_is_pytorchs_own() -> None:
    images = torch.randn(1, 2, 4, 4)
    for options in ({"mode": "reflect"}, {"value": -torch.inf}):
        with Gradients():
            given = functional.pad(images, (1, 1, 1, 1), **options)  # type: ignore[arg-type]
        assert torch.equal(given, functional.pad(images, (1, 1, 1, 1), **options))  # type: ignore[arg-type]
    with Gradients():
        assert functional.pad(torch.ones(3), (1, 2)).shape == (6,)
        assert functional.pad(images, (1, 1, 1, 1, 1, 1)).shape == (1, 4, 6, 6)
