"""From a decoded picture to the square array a network reads, plainly or as a random training view.

Both give uint8 arrays of shape (size, size, 3); mean and standard deviation are applied inside the network, so they are exported with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from headstart.base.grey import Grey
from headstart.data import images
from headstart.networks.cards import Card, ModelCard, Transform
from headstart.params import Augmentation

TURNS = {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}
# The changes of a picture whose effect on a head is measured, each in its most telling form.
CHANGES = {
    "horizontal_flip": Image.Transpose.FLIP_LEFT_RIGHT,
    "vertical_flip": Image.Transpose.FLIP_TOP_BOTTOM,
    "quarter_turns": Image.Transpose.ROTATE_90,
}
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


@dataclass(frozen=True)
class View:
    """One way of looking at an image: plain (view 0) or the random view `number` of a seed."""

    size: int
    interpolation: str
    crop: float = 1.0  # share of the shorter side that the plain view keeps
    number: int = 0
    seed: int = 0
    augmentation: Augmentation | None = None
    change: str | None = None  # of the plain view: one of CHANGES
    grey: Grey | None = None  # how more than 8 bits a channel are made 8; None: on the scale of the data set, or else of each picture

    @classmethod
    def of(cls, transform: Transform) -> View:
        """The plain view that a transform asks for."""
        return cls(transform.input_size, transform.interpolation, transform.crop)

    @classmethod
    def of_card(cls, card: Card) -> View:
        """The plain view that a card asks for; a whole model keeps the scale of grey that it was trained on."""
        return replace(cls.of(card.transform), grey=card.grey if isinstance(card, ModelCard) else None)

    def key(self) -> dict[str, object]:
        """What tells this view from another one, as plain values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        plain = {"augmentation": self.augmentation.model_dump() if self.augmentation else None}
        return {**values, **plain, "grey": self.grey.to_json() if self.grey else None}


def read(source: Path | bytes, views: Sequence[View], identity: str) -> list[np.ndarray]:
    """Decode `source`, a file or its content, once and draw each of `views`.

    The views are of one size: uint8 (size, size, 3) each.
    `identity` is the SHA-256 of the file; with the seed and the view's number it fixes what is drawn.
    Raises images.Unreadable.
    """
    wanted = {(round(view.size / view.crop), view.grey) for view in views}
    assert len(wanted) == 1, "views of several sizes would be decoded at the scale of the largest"
    near, scale = wanted.pop()
    with images.open_image(source, near=near, scale=scale) as image:
        resized = cache(lambda view: _resize(image, view, centre(image.size, view.crop)))  # once for all changes of the plain view
        return [
            np.asarray(
                _changed(resized(replace(view, change=None)), view)
                if view.augmentation is None
                else random_view(image, view, view.augmentation, identity)
            )
            for view in views
        ]


def plain(image: Image.Image, view: View) -> Image.Image:
    """The centred square of the image, resized, and changed if the view says so."""
    return _changed(_resize(image, view, centre(image.size, view.crop)), view)


def _changed(drawn: Image.Image, view: View) -> Image.Image:
    return drawn.transpose(CHANGES[view.change]) if view.change else drawn


def centre(size: tuple[int, int], crop: float) -> tuple[float, float, float, float]:
    """The centred square of a picture of `size` (width, height) that keeps the share `crop` of the shorter side."""
    side = min(size) * crop
    left, top = (size[0] - side) / 2, (size[1] - side) / 2
    return left, top, left + side, top + side


@dataclass(frozen=True)
class Chance:
    """What was drawn for a random view, in the order in which it is done to a picture.

    The box (left, top, right, bottom) is in pixels; then come degrees against the clock, factors on brightness, contrast and saturation,
    mirroring left to right and top to bottom, and quarter turns against the clock.
    """

    box: tuple[float, float, float, float]
    angle: float
    factors: tuple[float, float, float]
    mirror: bool
    flip: bool
    turns: int


def draw(size: tuple[int, int], view: View, augmentation: Augmentation, identity: str) -> Chance:
    """Draw a random view of the picture `identity` of `size` (width, height) within the bounds of `augmentation`."""
    digest = hashlib.sha256(f"{view.seed}:{view.number}:{identity}".encode()).digest()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
    box = _crop(size, augmentation.min_crop_share, random)
    angle = random.uniform(-augmentation.rotation, augmentation.rotation)
    mirror, flip = random.random(2) < 0.5
    brightness, contrast, saturation = random.uniform(1 - augmentation.colour, 1 + augmentation.colour, 3)
    turns = int(random.integers(4))
    return Chance(
        box,
        angle,
        (brightness, contrast, saturation),
        bool(augmentation.horizontal_flip and mirror),
        bool(augmentation.vertical_flip and flip),
        turns if augmentation.quarter_turns else 0,
    )


def random_view(image: Image.Image, view: View, augmentation: Augmentation, identity: str) -> Image.Image:
    """A random crop of random shape, turned, recoloured and mirrored within the bounds of `augmentation`."""
    chance = draw(image.size, view, augmentation, identity)
    drawn = _resize(image, view, chance.box)
    mean: Any = drawn.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    if augmentation.rotation:
        # What turns in from outside is filled with the picture's mean colour, which tells the network least.
        drawn = drawn.rotate(chance.angle, Image.Resampling.BILINEAR, fillcolor=mean)
    if augmentation.colour:
        drawn = drawn.convert("RGB", _recolouring(mean, *chance.factors))
    if chance.mirror:
        drawn = drawn.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if chance.flip:
        drawn = drawn.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return drawn.transpose(TURNS[chance.turns]) if chance.turns else drawn


def _recolouring(mean: tuple[int, ...], brightness: float, contrast: float, saturation: float) -> tuple[float, ...]:
    """The 3x4 matrix that changes brightness, contrast and saturation in one step.

    Contrast changes about the mean grey, saturation about each pixel's grey.
    """
    grey = np.array([0.299, 0.587, 0.114])
    turn = contrast * brightness * (saturation * np.eye(3) + (1 - saturation) * grey)
    shift = (1 - contrast) * brightness * float(grey @ mean)
    return tuple(np.column_stack([turn, np.full(3, shift)]).ravel().tolist())


def _crop(size: tuple[int, int], min_share: float, random: np.random.Generator) -> tuple[float, float, float, float]:
    """A box of random size and shape, anywhere in the image.

    It has `min_share` to all of the area of the largest centred square, and a shape of 3:4 to 4:3.
    """
    side = min(size)
    area = side * side * random.uniform(min_share, 1)
    ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
    width = min(np.sqrt(area * ratio), size[0])
    height = min(area / width, size[1])
    width = min(area / height, size[0])  # what does not fit in one direction goes to the other, so that the share holds
    left, top = random.uniform(0, size[0] - width), random.uniform(0, size[1] - height)
    return left, top, left + width, top + height


def _resize(image: Image.Image, view: View, box: tuple[float, float, float, float]) -> Image.Image:
    box = (max(box[0], 0), max(box[1], 0), min(box[2], image.width), min(box[3], image.height))
    return image.resize((view.size, view.size), FILTERS[view.interpolation], box=box, reducing_gap=3.0)


def views(plain: View, seed: int, augmentation: Augmentation, count: int) -> list[View]:
    """The random training views 1 to `count` that go with a plain view."""
    return [replace(plain, number=number, seed=seed, augmentation=augmentation) for number in range(1, count + 1)]
