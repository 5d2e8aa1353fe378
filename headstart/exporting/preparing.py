"""Pillow's resizing as part of a network, so that an exported model takes pictures of any size.

What `transforms.plain` does with Pillow (centred square, box reduction, antialiased resize) is done here with tensors, in the same fixed-point arithmetic
(Pillow's Resample.c and Reduce.c), so that the squares agree byte for byte. ONNX's own Resize with antialias=1 rounds once, at the end, and Pillow after each
direction.
"""

from __future__ import annotations

import torch
from torch import nn

from headstart.networks.cards import Transform

GAP = 3.0  # `reducing_gap` of transforms.py: what is larger than that many times the square is averaged over boxes first
BITS = 22  # of Pillow's fixed-point weights
REACH = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}  # of the filters, in pixels of the result


class Prepare(nn.Module):
    """uint8 (height, width, 3) of any size -> uint8 (1, size, size, 3), as a network reads it."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.size, self.crop, self.interpolation = transform.input_size, transform.crop, transform.interpolation

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        shape = torch._shape_as_tensor(picture).double()  # a plain number would be a constant of the exported graph
        high, wide = (
            shape[:1],
            shape[1:2],
        )  # numbers are tensors (1,): of the exporter's arithmetic, a number without a dimension has single precision
        side = torch.minimum(high, wide) * self.crop
        rows, columns = _Span(high, side, self), _Span(wide, side, self)
        reduced, down, across = _reduced(picture.permute(2, 0, 1), rows, columns), rows.weights(), columns.weights().T
        # Which direction Pillow resizes first makes a difference, as pixels are rounded in between. Found by trying Pillow 13.0.
        tall = (rows.full > self.size) & (rows.full - self.size > 2 * (columns.full - self.size))
        square = torch.where(tall, _rounded(_rounded(down @ reduced) @ across), _rounded(down @ _rounded(reduced @ across)))
        return square.permute(1, 2, 0)[None].to(torch.uint8)


class _Span:
    """What is looked at along one direction of a picture: numbers as tensors (1,) of float64."""

    def __init__(self, length: torch.Tensor, side: torch.Tensor, how: Prepare) -> None:
        self.how = how
        start = (length - side) / 2
        begin, end = start.clamp(min=0), torch.minimum(start + side, length)
        extent, reach = end - begin, REACH[how.interpolation]
        self.factor = (extent / how.size / GAP).floor().clamp(min=1)  # pixels that become one by averaging
        averaged = self.factor > 1
        around = (reach - 0.5) * (extent / how.size)
        low = torch.where(averaged, (begin - around).clamp(min=0).floor(), 0.0)
        high = torch.where(averaged, torch.minimum((end + around).ceil(), length), length)
        self.full = ((high - low) / self.factor).ceil()  # the length of what Pillow resizes
        first, last = ((begin - low) / self.factor).float(), ((end - low) / self.factor).float()  # as Pillow hands the box over
        self.scale = (last - first).double() / how.size
        # Without averaging, what no result takes anything of is left out.
        unused = torch.where(averaged, 0.0, (begin - reach * self.scale.clamp(min=1) - 1).clamp(min=0).floor())
        self.low, self.begin = low + unused, first.double() - unused
        self.high = torch.where(averaged, high, torch.minimum((end + reach * self.scale.clamp(min=1) + 1).ceil(), length))
        self.count = ((self.high - self.low) / self.factor).ceil()  # what is left after averaging

    def places(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Which pixels (count x factor,) are averaged, and which of these there are: the last box may be smaller."""
        at = self.low + torch.arange((self.count * self.factor)[0], dtype=torch.float64)  # type: ignore[call-overload]
        return torch.minimum(at, self.high - 1).long(), (at < self.high).double()

    def weights(self) -> torch.Tensor:
        """How much of each of `count` pixels each of `size` results takes: (size, count), in 2^-BITS."""
        wide = self.scale.clamp(min=1)
        reach = REACH[self.how.interpolation] * wide
        centre = (self.begin + (torch.arange(self.how.size, dtype=torch.float64) + 0.5) * self.scale)[:, None]
        at = torch.arange(self.count[0], dtype=torch.float64)[None]  # type: ignore[call-overload]
        first, last = (centre - reach + 0.5).clamp(min=0).floor(), torch.minimum((centre + reach + 0.5).floor(), self.count)
        taken = torch.where((at >= first) & (at < last), _filter(self.how.interpolation, (at - centre + 0.5) * (1 / wide)), 0.0)
        share = taken / taken.sum(1, keepdim=True) * 2**BITS
        return torch.where(share < 0, (share - 0.5).ceil(), (share + 0.5).floor())


def _filter(name: str, x: torch.Tensor) -> torch.Tensor:
    """The filters of Pillow's Resample.c at distances x."""
    far = x.abs()
    if name == "bilinear":
        return (1 - far).clamp(min=0)
    if name == "bicubic":  # a = -0.5
        near, tail = (1.5 * far - 2.5) * far * far + 1, -0.5 * (((far - 5) * far + 8) * far - 4)
        return torch.where(far < 1, near, torch.where(far < 2, tail, 0.0))
    return torch.where(far < 3, _sinc(x) * _sinc(x / 3), 0.0)


def _sinc(x: torch.Tensor) -> torch.Tensor:
    turned = x * torch.pi
    return torch.where(x == 0, 1.0, turned.sin() / torch.where(x == 0, 1.0, turned))


def _reduced(picture: torch.Tensor, rows: _Span, columns: _Span) -> torch.Tensor:
    """The picture (3, height, width) averaged over boxes, as Pillow's reduce does it: float64."""
    (down, here), (right, there) = rows.places(), columns.places()
    cut = picture.index_select(1, down).index_select(2, right).float() * here.float()[:, None] * there.float()
    sizes = [one.long()[0] for one in (rows.count, rows.factor, columns.count, columns.factor)]
    total = cut.reshape(3, *sizes).sum((2, 4)).double()  # type: ignore[call-overload]
    pixels = here.reshape(*sizes[:2]).sum(1)[:, None] * there.reshape(*sizes[2:]).sum(1)  # type: ignore[call-overload]
    return ((total + (pixels / 2).floor()) * (2**24 / pixels).floor() / 2**24).floor()


def _rounded(products: torch.Tensor) -> torch.Tensor:
    """Sums of pixels times weights as pixels again."""
    return ((products + 2 ** (BITS - 1)) / 2**BITS).floor().clamp(0, 255)
