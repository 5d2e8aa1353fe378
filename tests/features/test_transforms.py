"""headstart.transforms: plain views are steady, random views are fixed by what names them and keep within their bounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from headstart.data import images
from headstart.features import transforms
from headstart.features.transforms import Augmentation, View
from headstart.networks.cards import Transform
from tests import toy

STILL = Augmentation(min_crop_share=1, rotation=0, colour=0, horizontal_flip=False, vertical_flip=False)
LIVELY = Augmentation(min_crop_share=0.5, rotation=15, colour=0.3, horizontal_flip=True, vertical_flip=True)
PLAIN = View(32, "bilinear")


def random(
    image: Image.Image, augmentation: Augmentation, number: int = 1, seed: int = 0, identity: str = "a", size: int = 32
) -> np.ndarray:
    view = View(size, "bilinear", number=number, seed=seed, augmentation=augmentation)
    return np.asarray(transforms.random_view(image, view, augmentation, identity))


def corner(width: int = 64, height: int = 64) -> Image.Image:
    """Black, with a white corner on the upper left: no mirror image of itself."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = 255
    return Image.fromarray(pixels)


def ramp(width: int, height: int) -> Image.Image:
    """Red tells the column, green the row (of 200), so that a view tells where it was cut."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([x * 200 / width, y * 200 / height, 0 * x], -1).astype(np.uint8))


@pytest.mark.parametrize("interpolation", transforms.FILTERS)
@pytest.mark.parametrize("size", [(40, 40), (90, 50), (7, 300), (2, 3)])
def test_a_plain_view_is_a_steady_square(size: tuple[int, int], interpolation: str, tmp_path: Path) -> None:
    toy.photo(size=size).save(tmp_path / "a.png")
    view = View(32, interpolation, crop=0.875)
    drawn = transforms.read(tmp_path / "a.png", [view], "a")[0]
    assert drawn.shape == (32, 32, 3)
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn, transforms.read(tmp_path / "a.png", [view], "b")[0])


def test_a_plain_view_of_the_right_size_is_the_image() -> None:
    image = toy.photo(size=32)
    assert np.array_equal(np.asarray(transforms.plain(image, PLAIN)), np.asarray(image))


@pytest.mark.parametrize(("size", "crop"), [((200, 200), 0.5), ((200, 100), 1.0), ((100, 200), 0.8)])
def test_a_plain_view_keeps_the_share_of_the_shorter_side_in_the_centre(size: tuple[int, int], crop: float) -> None:
    drawn = np.asarray(transforms.plain(ramp(*size), View(100, "bilinear", crop=crop))).astype(float)
    side = min(size) * crop
    for channel, length in enumerate(size):
        values = drawn[50, :, 0] if channel == 0 else drawn[:, 50, 1]
        assert values[-1] - values[0] == pytest.approx(200 * side / length, abs=4)
        assert values.mean() == pytest.approx(100, abs=2)


def test_a_random_view_is_fixed_by_seed_number_and_identity() -> None:
    image = toy.photo(size=48)
    first = random(image, LIVELY)
    assert first.shape == (32, 32, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, random(image, LIVELY))
    for other in (random(image, LIVELY, number=2), random(image, LIVELY, seed=1), random(image, LIVELY, identity="b")):
        assert not np.array_equal(first, other)


def test_read_draws_the_view_that_is_asked_for(tmp_path: Path) -> None:
    image = toy.photo(size=48)
    image.save(tmp_path / "a.png")
    view = View(32, "bilinear", number=3, seed=5, augmentation=LIVELY)
    drawn = transforms.read(tmp_path / "a.png", [view], "id")[0]
    assert np.array_equal(drawn, random(image, LIVELY, number=3, seed=5, identity="id"))
    assert not np.array_equal(drawn, transforms.read(tmp_path / "a.png", [replace(view, augmentation=None)], "id")[0])


def test_several_views_are_those_of_each_alone(tmp_path: Path) -> None:
    toy.photo(size=(90, 60)).save(tmp_path / "a.jpg")
    views = [PLAIN, *(View(32, "bilinear", number=n, seed=5, augmentation=LIVELY) for n in (1, 2))]
    together = transforms.read(tmp_path / "a.jpg", views, "id")
    assert len({drawn.tobytes() for drawn in together}) == 3
    for drawn, view in zip(together, views, strict=True):
        assert np.array_equal(drawn, transforms.read(tmp_path / "a.jpg", [view], "id")[0])


def test_the_plain_view_of_a_card() -> None:
    assert View.of(Transform(64, (0, 0, 0), (1, 1, 1), "bicubic", 0.9)) == View(64, "bicubic", 0.9)


def test_an_unreadable_file_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(images.Unreadable):
        transforms.read(tmp_path / "a.png", [PLAIN], "a")[0]


def test_flips_off_never_mirror() -> None:
    lively = LIVELY.model_copy(update={"horizontal_flip": False, "vertical_flip": False, "min_crop_share": 0.8})
    for number in range(200):
        drawn = random(corner(), lively, number).mean(axis=2)
        quarters = [drawn[:10, :10], drawn[:10, -10:], drawn[-10:, :10], drawn[-10:, -10:]]
        assert np.argmax([q.mean() for q in quarters]) == 0, number


@pytest.mark.parametrize("direction", ["horizontal", "vertical"])
def test_flips_on_mirror_about_half_in_their_direction_only(direction: str) -> None:
    still = STILL.model_copy(update={f"{direction}_flip": True})
    places = [
        int(np.argmax([d[:9, :9].mean(), d[:9, -9:].mean(), d[-9:, :9].mean()])) for d in (random(corner(), still, n) for n in range(200))
    ]
    mirrored = 1 if direction == "horizontal" else 2
    assert set(places) == {0, mirrored}
    assert 70 < places.count(mirrored) < 130


def test_quarter_turns_are_drawn_alike() -> None:
    still = STILL.model_copy(update={"quarter_turns": True})
    drawn = (random(corner(), still, number) for number in range(400))
    places = [int(np.argmax([d[:9, :9].mean(), d[:9, -9:].mean(), d[-9:, :9].mean(), d[-9:, -9:].mean()])) for d in drawn]
    assert min(places.count(place) for place in range(4)) > 70


def test_a_change_is_made_to_the_plain_view() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    plain = np.asarray(transforms.plain(picture, PLAIN))
    made = {name: np.asarray(transforms.plain(picture, replace(PLAIN, change=name))) for name in transforms.CHANGES}
    assert np.array_equal(made["horizontal_flip"], plain[:, ::-1])
    assert np.array_equal(made["vertical_flip"], plain[::-1])
    assert np.array_equal(made["quarter_turns"], np.rot90(plain))


@pytest.mark.parametrize("size", [(100, 100), (160, 100), (100, 250)])
@pytest.mark.parametrize("share", [0.08, 0.6, 1.0])
def test_crops_keep_their_share_and_stay_inside(size: tuple[int, int], share: float) -> None:
    generator = np.random.default_rng(0)
    square = min(size) ** 2
    areas = []
    for _ in range(500):
        left, top, right, bottom = transforms._crop(size, share, generator)
        assert 0 <= left <= right <= size[0] + 1e-9
        assert 0 <= top <= bottom <= size[1] + 1e-9
        areas.append((right - left) * (bottom - top) / square)
        assert 3 / 4 - 1e-9 <= (right - left) / (bottom - top) <= 4 / 3 + 1e-9
    assert min(areas) >= share - 1e-9
    assert max(areas) <= 1 + 1e-9
    assert np.mean(areas) == pytest.approx((1 + share) / 2, abs=0.03)


def test_a_still_view_of_a_square_is_the_plain_view() -> None:
    image = toy.photo(size=32)
    assert np.array_equal(random(image, STILL), np.asarray(transforms.plain(image, PLAIN)))


def test_colour_stays_within_its_bounds() -> None:
    grey = Image.new("RGB", (32, 32), (100, 100, 100))
    values = [random(grey, STILL.model_copy(update={"colour": 0.2}), n).mean() for n in range(200)]
    assert 79 <= min(values) < 85
    assert 115 < max(values) <= 121


def mid_grey(number: int = 0) -> Image.Image:
    """A photo whose values keep away from black and white, so that no step of a chain of changes clips."""
    pixels = np.asarray(toy.photo(number % 3, number, size=48)).astype(float)
    return Image.fromarray((128 + (pixels - pixels.mean()) * 0.3).clip(90, 170).astype(np.uint8))


def mean_colour(image: Image.Image) -> tuple[int, ...]:
    return tuple(np.asarray(image).mean((0, 1)).round().astype(int).tolist())


@pytest.mark.parametrize(
    "factors", [(1.2, 1, 1), (0.8, 1, 1), (1, 1.2, 1), (1, 0.8, 1), (1, 1, 1.2), (1, 1, 0.8), (1.2, 0.8, 1.15), (0.8, 1.2, 0)]
)
def test_one_matrix_changes_colours_as_pillow_does_step_by_step(factors: tuple[float, float, float]) -> None:
    for number in range(3):
        image = mid_grey(number)
        changed = image.convert("RGB", transforms._recolouring(mean_colour(image), *factors))
        chain = image
        for change, factor in zip((ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), factors, strict=True):
            chain = change(chain).enhance(factor)
        difference = np.abs(np.asarray(changed).astype(int) - np.asarray(chain))
        assert difference.max() <= 3
        assert difference.mean() < 1.6  # Pillow cuts off half a grey level in each of three steps
        if factors[2]:
            assert np.abs(np.asarray(changed).astype(int) - np.asarray(image)).mean() > 1.5  # something changed at all


def test_no_change_of_colour_is_none() -> None:
    image = mid_grey()
    same = image.convert("RGB", transforms._recolouring(mean_colour(image), 1, 1, 1))
    assert np.array_equal(np.asarray(same), np.asarray(image))


def test_rotation_stays_within_its_bounds_and_fills_with_the_mean() -> None:
    pixels = np.full((101, 101, 3), 100, np.uint8)
    pixels[:, 49:52] = 250  # an upright line, whose foot tells the angle
    angles = []
    for number in range(100):
        drawn = random(Image.fromarray(pixels), STILL.model_copy(update={"rotation": 20}), number, size=101)
        assert drawn.min() >= 98
        head, foot = np.argmax(drawn[10, :, 0]), np.argmax(drawn[90, :, 0])
        angles.append(np.degrees(np.arctan2(float(foot) - float(head), 80)))
    assert max(np.abs(angles)) <= 21
    assert max(angles) > 15
    assert min(angles) < -15


def test_the_key_of_a_view_tells_it_from_others() -> None:
    views = [PLAIN, replace(PLAIN, size=33), replace(PLAIN, crop=0.9), replace(PLAIN, number=1), replace(PLAIN, seed=1)]
    views += [replace(PLAIN, augmentation=STILL), replace(PLAIN, augmentation=LIVELY), replace(PLAIN, interpolation="bicubic")]
    views += [replace(PLAIN, change=name) for name in transforms.CHANGES]
    assert len({str(view.key()) for view in views}) == len(views)
