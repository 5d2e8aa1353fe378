"""headstart.evaluation.occlusion: what counts is where the network looks, and the rest is darkened."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from headstart.evaluation import occlusion
from headstart.features.engines import Engine, Run
from headstart.report import darkened


def patch(pixels: np.ndarray) -> np.ndarray:
    """Logits of a network that sees class 1 by how bright one corner is, and class 2 by how dark it is; two features beside them."""
    bright = pixels[:, :16, 48:].mean((1, 2, 3), dtype=np.float64) / 255
    return np.stack([0 * bright, 8 * bright, -8 * bright, bright, bright], axis=1).astype(np.float32)


def engine(run: Run, batch: int = 1) -> Engine:
    return Engine("test", batch, run)


@pytest.fixture
def square() -> np.ndarray:
    made = np.full((64, 64, 3), 20, np.uint8)
    made[:16, 48:] = 230
    return made


def test_the_part_that_counts_is_found(square: np.ndarray) -> None:
    found = occlusion.heat(engine(patch), square, 1, 3)
    assert found.shape == (occlusion.CELLS, occlusion.CELLS)
    assert np.unravel_index(found.argmax(), found.shape) == (0, occlusion.CELLS - 1)
    assert found[0, -1] > 3
    assert np.abs(found[4:, :4]).max() < 1e-6, "what the network does not look at counts for nothing"
    assert occlusion.heat(engine(patch), square, 2, 3)[0, -1] < -3, "and against the other class"
    np.testing.assert_array_equal(found, occlusion.heat(engine(patch), square, 1, 3))
    np.testing.assert_allclose(found, occlusion.heat(engine(patch, batch=256), square, 1, 3), atol=1e-5)


def test_an_uneven_side_is_covered_whole() -> None:
    def mean(pixels: np.ndarray) -> np.ndarray:
        return np.stack([pixels.mean((1, 2, 3)), 0 * pixels.mean((1, 2, 3))], axis=1).astype(np.float32)

    made = np.zeros((37, 37, 3), np.uint8)
    made[-1, -1] = 255
    found = occlusion.heat(engine(mean), made, 0, 2)
    assert np.isfinite(found).all()
    assert found[-1, -1] == found.max() > 0


def test_the_rest_of_the_picture_is_darkened() -> None:
    found = np.zeros((occlusion.CELLS, occlusion.CELLS), np.float32)
    found[0, 0] = 2.0
    image = Image.new("RGB", (160, 100), (200, 200, 200))
    seen = np.asarray(darkened.darkened(image, 0.8, found))
    assert seen.shape == (100, 160, 3)
    assert seen[14, 44, 0] > 190, "the upper left corner of what the network sees"
    dark = round(200 * (1 - darkened.DIM))
    assert abs(int(seen[80, 110, 0]) - dark) <= 2
    assert abs(int(seen[50, 5, 0]) - dark) <= 2, "outside of it"
    nothing = np.asarray(darkened.darkened(image, 1.0, -found))
    assert np.abs(nothing.astype(int) - dark).max() <= 2
