"""headstart.twins: look-alikes are near-duplicates only if their pixels say so."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance

from headstart.indexing import indexer, inspection, twins
from tests import toy


def photo(number: int = 0) -> Image.Image:
    return toy.photo(1, number, size=256)


def again(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


SAME = {
    "saved again": lambda image: again(image, 20),
    "smaller": lambda image: image.resize((128, 128)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "grey": lambda image: image.convert("L"),
}


def cell(number: int) -> Image.Image:
    """A bare cell: the same coarse light for all, and grain of its own."""
    signs = np.random.default_rng(0).permutation(np.repeat([-1.0, 1.0], [32, 31]))  # half of the bits of the hash, the mean's with them
    waves = 100 * np.append(0, signs).reshape(8, 8)
    light = np.asarray(Image.fromarray(inspection._COSINES.T @ waves @ inspection._COSINES).resize((256, 256), Image.Resampling.BICUBIC))
    grain = np.random.default_rng(number).normal(0, 40, light.shape)
    return Image.fromarray((128 + light + grain).clip(0, 255).astype(np.uint8))


def table(folder: Path, images: dict[str, Image.Image], labels: str) -> pd.DataFrame:
    """Images below `folder` with the labels of these letters, as the manifest has them."""
    for name, image in images.items():
        image.save(folder / f"{name}.png")
    rows = [{"path": f"{name}.png", "label": label, "split": "train"} for name, label in zip(images, labels, strict=True)]
    return pd.DataFrame([{**row, **inspection.inspect(folder / row["path"])} for row in rows])


@pytest.mark.parametrize("how", SAME)
def test_the_same_picture_is_confirmed(tmp_path: Path, how: str) -> None:
    frame = table(tmp_path, {"one": photo(), "two": SAME[how](photo())}, "ab")
    assert twins.confirmed(tmp_path, frame, np.array([5, 5])).tolist() == [0, 0]


def test_bare_cells_only_look_alike(tmp_path: Path) -> None:
    frame = table(tmp_path, {str(number): cell(number) for number in range(4)}, "aabb")
    hashes = [int(value, 16) for value in frame["phash"]]
    assert max((hashes[0] ^ other).bit_count() for other in hashes) <= 4, "the hash cannot tell them"
    assert twins.confirmed(tmp_path, frame, np.zeros(4, np.int64)).tolist() == [0, 1, 2, 3]


def test_only_sets_of_several_labels_or_splits_are_compared(tmp_path: Path) -> None:
    frame = table(tmp_path, {"one": cell(1), "two": cell(2)}, "aa")
    assert twins.confirmed(tmp_path, frame, np.array([0, 0])).tolist() == [0, 0]
    frame["split"] = ["train", "test"]
    assert twins.confirmed(tmp_path, frame, np.array([0, 0])).tolist() == [0, 1]
    (tmp_path / "one.png").unlink()
    assert twins.confirmed(tmp_path, frame, np.array([0, 0])).tolist() == [0, 1]


def test_plain_pictures_are_no_twins_unless_their_pixels_are_the_same(tmp_path: Path) -> None:
    plain = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue", "red")]
    frame = table(tmp_path, dict(zip("xyz", plain, strict=True)), "aba")
    assert twins.confirmed(tmp_path, frame, np.zeros(3, np.int64)).tolist() == [0, 1, 0]


def test_the_manifest_tells_look_alikes_from_twins(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(3):
            cell(number + 10 * (label == "b")).save(tmp_path / label / f"{number}.png")
    photo().save(tmp_path / "a/photo.png")
    again(photo(), 30).save(tmp_path / "b/photo.jpg")
    found = indexer.index(tmp_path, **toy.INDEX).set_index("path")
    assert found.loc["a/photo.png", "twin"] == found.loc["b/photo.jpg", "twin"]
    cells = found.drop(index=["a/photo.png", "b/photo.jpg"])
    assert cells["lookalike"].nunique() == 1
    assert cells["twin"].nunique() == 6
