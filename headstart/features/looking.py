"""Views of a whole batch of pictures at once, on any device: what transforms.py draws picture by picture, as tensors.

A view is cut from its picture by the filter that Pillow resizes with, as two products of matrices, one for each direction. Rotation, mirroring
and quarter turns are one affine sampling, brightness, contrast and saturation one 3x4 matrix. The random numbers are those of transforms.draw,
so that a view is the same as the CPU's but for rounding: TOLERANCE says how nearly, for pictures that are not made smaller first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from headstart.features import transforms
from headstart.features.transforms import View

TOLERANCE = 1.0  # grey levels (of 255) that a pixel differs from the CPU's on average, at most
GREY = (0.299, 0.587, 0.114)
_CHANGES = {"horizontal_flip": (True, False, 0), "vertical_flip": (False, True, 0), "quarter_turns": (False, False, 1)}


@dataclass(frozen=True)
class Looks:
    """Views of the pictures of a batch, as numbers: all of one size and filter."""

    which: np.ndarray  # (m,) the picture that a view is of
    boxes: np.ndarray  # (m, 4) what is cut from it: left, top, right, bottom, in its pixels
    extents: np.ndarray  # (m, 2) width and height of the picture, of which the rest of its row is padding
    turns: np.ndarray  # (m, 2, 2) from a place in the view to that in the cut, both from -1 to 1
    factors: np.ndarray  # (m, 3) on brightness, contrast and saturation
    size: int
    interpolation: str

    def __len__(self) -> int:
        return len(self.which)

    def part(self, part: slice) -> Looks:
        """Some of the views."""
        chosen = {name: getattr(self, name)[part] for name in ("which", "boxes", "extents", "turns", "factors")}
        return replace(self, **chosen)


def plan(
    views: Sequence[Sequence[View]], identities: Sequence[str], sizes: Sequence[tuple[int, int]], extents: Sequence[tuple[int, int]]
) -> Looks:
    """The views of each picture, one picture after the other.

    `identities` are the SHA-256 of the files, which fix what is drawn, `sizes` the widths and heights in which it is drawn, and `extents` those
    that are at hand. All views are of one size and filter.
    """
    drawn = [(number, view) for number, each in enumerate(views) for view in each]
    first = drawn[0][1]
    assert all((view.size, view.interpolation) == (first.size, first.interpolation) for _, view in drawn)
    boxes, turns, factors = [], [], []
    for number, view in drawn:
        box, turn, colours = _numbers(view, identities[number], sizes[number])
        (width, height), (wide, high) = sizes[number], extents[number]
        boxes.append([box[0] * wide / width, box[1] * high / height, box[2] * wide / width, box[3] * high / height])
        turns.append(turn)
        factors.append(colours)
    which = np.array([number for number, _ in drawn])
    return Looks(
        which,
        np.array(boxes, np.float32),
        np.array(extents, np.float32)[which],
        np.array(turns, np.float32),
        np.array(factors, np.float32),
        first.size,
        first.interpolation,
    )


def _numbers(view: View, identity: str, size: tuple[int, int]) -> tuple[tuple[float, ...], np.ndarray, tuple[float, float, float]]:
    """The box, the turn (2, 2) and the factors on the colours of one view of a picture of `size`."""
    if view.augmentation is None:
        mirror, flip, turns = _CHANGES[view.change] if view.change else (False, False, 0)
        return transforms.centre(size, view.crop), _turn(0.0, mirror, flip, turns), (1.0, 1.0, 1.0)
    chance = transforms.draw(size, view, view.augmentation, identity)
    inside = (max(chance.box[0], 0), max(chance.box[1], 0), min(chance.box[2], size[0]), min(chance.box[3], size[1]))
    return inside, _turn(chance.angle, chance.mirror, chance.flip, chance.turns), chance.factors


def _turn(angle: float, mirror: bool, flip: bool, turns: int) -> np.ndarray:
    """Where a place (right, down) of the view comes from, (2, 2)."""
    mirrored = np.diag([-1.0 if mirror else 1.0, -1.0 if flip else 1.0])
    return _against_the_clock(math.radians(angle)) @ mirrored @ _against_the_clock(math.radians(90 * turns))


def _against_the_clock(radians: float) -> np.ndarray:
    return np.array([[math.cos(radians), -math.sin(radians)], [math.sin(radians), math.cos(radians)]])


def look(pictures: torch.Tensor, looks: Looks) -> torch.Tensor:
    """The views, uint8 (m, size, size, 3), of pictures, uint8 (n, height, width, 3), on the device of the pictures."""

    def there(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(pictures.device, non_blocking=True)

    drawn = _cut(pictures, there(looks.which), there(looks.boxes), there(looks.extents), looks)
    if not np.allclose(looks.factors, 1) or not np.allclose(looks.turns, np.eye(2), atol=1e-6):
        mean = drawn.mean((2, 3)).round()  # (m, 3), of the cut before it is turned, as the CPU takes it
        drawn = _recoloured(_turned(drawn, mean, there(looks.turns)), mean, there(looks.factors))
    return drawn.permute(0, 2, 3, 1).to(torch.uint8).contiguous()


def _cut(pictures: torch.Tensor, which: torch.Tensor, boxes: torch.Tensor, extents: torch.Tensor, looks: Looks) -> torch.Tensor:
    """The boxes, resized: whole numbers in float32 (m, 3, size, size)."""
    chosen = pictures[which].float()
    m, height, width, _ = chosen.shape
    rows = _filter(boxes[:, 1], boxes[:, 3], extents[:, 1], height, looks)
    columns = _filter(boxes[:, 0], boxes[:, 2], extents[:, 0], width, looks)
    low = torch.bmm(rows, chosen.reshape(m, height, width * 3)).view(m, looks.size, width, 3)
    found = torch.matmul(low.permute(0, 3, 1, 2), columns.transpose(1, 2)[:, None])
    return found.clamp_(0, 255).round_()


def _filter(start: torch.Tensor, stop: torch.Tensor, extent: torch.Tensor, length: int, looks: Looks) -> torch.Tensor:
    """What each of `length` pixels of a picture counts in each of the view (m, size, length), from `start` to `stop` (m,).

    Pixels beyond the `extent` (m,) of the picture count nothing. A filter is widened if the view has fewer pixels, as Pillow widens it.
    """
    scale = ((stop - start) / looks.size)[:, None, None]
    wide = scale.clamp(min=1.0)
    places = torch.arange(length, device=start.device)[None, None, :] + 0.5
    centres = start[:, None, None] + (torch.arange(looks.size, device=start.device)[None, :, None] + 0.5) * scale
    weights = _KERNELS[looks.interpolation]((places - centres) / wide) * (places < extent[:, None, None])
    return weights / weights.sum(2, keepdim=True)


def _bilinear(x: torch.Tensor) -> torch.Tensor:
    return (1 - x.abs()).clamp(min=0)


def _bicubic(x: torch.Tensor) -> torch.Tensor:
    """Keys' cubic with a = -0.5, as Pillow has it."""
    x = x.abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _lanczos(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))


_KERNELS = {"bilinear": _bilinear, "bicubic": _bicubic, "lanczos": _lanczos}


def _turned(drawn: torch.Tensor, mean: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Rotated, mirrored and turned (m, 3, size, size); what turns in from outside has the mean colour (m, 3)."""
    grid = functional.affine_grid(functional.pad(turns, (0, 1)), list(drawn.shape), align_corners=False)
    inside = (grid.abs().amax(3) <= 1)[:, None]
    sampled = functional.grid_sample(drawn, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return torch.where(inside, sampled, mean[:, :, None, None]).round()


def _recoloured(drawn: torch.Tensor, mean: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Brightness, contrast and saturation changed as transforms.py changes them: one 3x4 matrix a view."""
    brightness, contrast, saturation = (factors[:, i, None, None] for i in range(3))
    grey = torch.tensor(GREY, device=drawn.device)
    turn = contrast * brightness * (saturation * torch.eye(3, device=drawn.device) + (1 - saturation) * grey)
    shift = (1 - contrast) * brightness * (mean @ grey)[:, None, None]
    flat = torch.baddbmm(shift, turn, drawn.flatten(2))
    return flat.view_as(drawn).clamp(0, 255).round()
