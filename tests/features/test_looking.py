"""headstart.looking: the views of a batch are those that are drawn picture by picture, but for rounding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.features import looking, transforms
from headstart.features.transforms import View
from headstart.params import Augmentation
from tests import toy

LIVELY = Augmentation(min_crop_share=0.5, rotation=15, colour=0.3, horizontal_flip=True, vertical_flip=True, quarter_turns=True)
STILL = Augmentation(min_crop_share=1, rotation=0, colour=0, horizontal_flip=False, vertical_flip=False)
SIZES = [(60, 60), (90, 60), (40, 77), (31, 23)]


def pictures() -> list[Image.Image]:
    return [toy.photo(size=size) for size in SIZES]


def batch(images: list[Image.Image]) -> torch.Tensor:
    """The pictures in the corners of rows of one size; what is beside them is of no picture's colour."""
    out = np.full((len(images), 96, 96, 3), 255, np.uint8)
    for row, image in zip(out, images, strict=True):
        row[: image.height, : image.width] = np.asarray(image)
    return torch.from_numpy(out)


def both(views: list[View]) -> tuple[np.ndarray, np.ndarray]:
    """The views of all pictures, together and one by one, as int16."""
    images = pictures()
    looks = looking.plan([views] * len(images), [str(n) for n in range(len(images))], SIZES, SIZES)
    alone = [
        transforms.plain(image, view) if view.augmentation is None else transforms.random_view(image, view, view.augmentation, str(n))
        for n, image in enumerate(images)
        for view in views
    ]
    together = looking.look(batch(images), looks)
    assert together.dtype == torch.uint8
    return together.numpy().astype(np.int16), np.stack([np.asarray(each) for each in alone]).astype(np.int16)


@pytest.mark.parametrize("interpolation", transforms.FILTERS)
@pytest.mark.parametrize("size", [16, 32, 48])
@pytest.mark.parametrize("lively", [{}, {"rotation": 0.0}, {"colour": 0.0}, {"rotation": 0.0, "colour": 0.0, "quarter_turns": False}])
def test_random_views_of_a_batch_are_those_of_each_picture(interpolation: str, size: int, lively: dict[str, float]) -> None:
    augmentation = LIVELY.model_copy(update=lively)
    together, alone = both(transforms.views(View(size, interpolation), 5, augmentation, 6))
    apart = np.abs(together - alone)
    assert apart.mean() <= looking.TOLERANCE
    assert apart.mean((1, 2, 3)).max() <= 2 * looking.TOLERANCE  # each of the views
    assert (apart > 8).mean() < 0.02  # at the rim of what turns in from outside, a pixel is of the picture or not
    moved = np.abs(np.roll(together, 1, axis=0) - alone)
    assert moved.mean() > 5 * apart.mean()  # another view is not as near


@pytest.mark.parametrize("interpolation", transforms.FILTERS)
@pytest.mark.parametrize("crop", [1.0, 0.8])
def test_plain_views_and_their_changes(interpolation: str, crop: float) -> None:
    plain = View(32, interpolation, crop)
    views = [plain, *(replace(plain, change=change) for change in transforms.CHANGES)]
    together, alone = both(views)
    assert np.abs(together - alone).max() <= 3


def test_a_view_of_the_right_size_is_the_picture() -> None:
    image = toy.photo(size=32)
    looks = looking.plan([transforms.views(View(32, "bilinear"), 0, STILL, 1)], ["a"], [(32, 32)], [(32, 32)])
    assert np.array_equal(looking.look(batch([image]), looks)[0].numpy(), np.asarray(image))


def test_a_part_of_the_views_gives_the_same() -> None:
    images = pictures()
    looks = looking.plan([transforms.views(View(24, "bilinear"), 5, LIVELY, 3)] * 4, list("abcd"), SIZES, SIZES)
    whole = looking.look(batch(images), looks)
    parts = [looking.look(batch(images), looks.part(part)) for part in (slice(0, 5), slice(5, 12))]
    assert len(looks) == 12
    assert torch.equal(torch.cat(parts), whole)


def test_a_picture_that_was_made_narrower_is_seen_in_its_own_shape() -> None:
    image = toy.photo(size=(90, 60))
    views = transforms.views(View(32, "bilinear"), 5, LIVELY, 8)
    narrow = image.resize((64, 60), Image.Resampling.BICUBIC)
    seen = looking.look(batch([narrow]), looking.plan([views], ["0"], [(90, 60)], [(64, 60)])).numpy().astype(np.int16)
    alone = np.stack([np.asarray(transforms.random_view(image, view, LIVELY, "0")) for view in views]).astype(np.int16)
    assert np.abs(seen - alone).mean() < 4
