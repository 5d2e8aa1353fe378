"""headstart.grey: one scale for a data set, whatever its depth."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from headstart.base import grey
from headstart.base.grey import Grey, Span
from headstart.data import images, manifest
from headstart.indexing import indexer, inspection
from tests import toy
from tests.data.test_kinds import with_chunk


def whole(low: float, high: float, declared: float = 0.0) -> Span:
    return Span(low, high, declared, False)


@pytest.mark.parametrize(
    ("spans", "scale"),
    [
        ([], None),
        ([whole(200, 240), whole(880, 920)], Grey((0.0, 1023.0))),
        ([whole(0, 60_000), whole(100, 200)], Grey((0.0, 65535.0))),
        ([whole(29_000, 30_000), whole(30_500, 31_000)], Grey((29_000.0, 31_000.0))),
        ([whole(-1000, 50), whole(0, 3000)], Grey((-1000.0, 3000.0))),
        ([whole(0, 100_000)], Grey((0.0, 100_000.0))),
        ([whole(7, 7), whole(7, 7)], Grey((0.0, 255.0))),
        ([whole(0, 700, 4095.0), whole(0, 900, 4095.0)], Grey((0.0, 4095.0))),
        ([whole(0, 700, 4095.0), whole(0, 900, 1023.0)], Grey((0.0, 4095.0))),
        ([whole(0, 700, 4095.0), whole(0, 900)], Grey((0.0, 1023.0))),
        ([Span(0.1, 0.9, 0.0, True)], Grey(None, (0.0, 1.0))),
        ([Span(0.4, 0.5, 0.0, True)], Grey(None, (0.4, 0.5))),
        ([Span(-3.0, 3.0, 0.0, True), whole(0, 4000)], Grey((0.0, 4095.0), (-3.0, 3.0))),
        ([Span(-3.0, -3.0, 0.0, True)], Grey(None, (-3.0, -2.0))),
    ],
)
def test_one_scale_for_all(spans: list[Span], scale: Grey | None) -> None:
    assert grey.choose(spans) == scale


def test_hot_pixels_do_not_decide() -> None:
    values = np.full((100, 100), 800, np.int32)
    values[0, :5] = 65535
    values[1, :5] = 0
    assert grey.span(values, 0.0, False) == whole(800, 800)
    assert grey.eight_bit(values, 0.0, 1023.0).max() == 255


def test_values_beyond_the_scale_are_black_or_white() -> None:
    values = np.array([[-50, 0, 500, 1000, 99_999]], np.int32)
    assert grey.eight_bit(values, 0.0, 1000.0).tolist() == [[0, 0, 128, 255, 255]]
    odd = np.array([[np.nan, np.inf, -np.inf, 1.0]], np.float32)
    assert grey.eight_bit(odd, 0.0, 1.0).tolist() == [[0, 0, 0, 255]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_brightness_as_a_class_survives(tmp_path: Path, suffix: str) -> None:
    """The manifest holds one scale, and a picture on it is as bright as its values are."""
    paths = toy.deep(tmp_path, {"dim": 219, "bright": 900}, suffix=suffix)
    table = indexer.index(tmp_path, **toy.INDEX)
    manifest.write(table, tmp_path / "m.parquet")
    assert manifest.read(tmp_path / "m.parquet").equals(table)
    assert set(table["black"]) == {0.0}
    assert set(table["white"]) == {1023.0}
    scale = manifest.grey(table)
    assert scale == Grey((0.0, 1023.0))
    for path in paths:
        level = 219 if path.parent.name == "dim" else 900
        assert abs(np.asarray(images.open_image(path, scale=scale)).mean() - level * 255 / 1023) < 1


def test_ordinary_images_have_no_scale(tmp_path: Path) -> None:
    toy.images(tmp_path, per_class=3)
    toy.deep(tmp_path, {"ant": 3000}, per_class=1, suffix=".tif")
    table = indexer.index(tmp_path, **toy.INDEX).set_index("path")
    assert table.loc["ant/0000.tif", "black"] > 2900
    rest = table.drop("ant/0000.tif")
    assert (rest[["black", "white"]] == 0).all(axis=None)
    assert manifest.grey(rest) is None


def test_the_hash_of_deep_grey_is_of_its_values(tmp_path: Path) -> None:
    """Two pictures that look alike, each stretched for itself, are not the same picture; one in two files is."""
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 100
    for name, values in {"a.png": ramp, "b.tif": ramp, "c.png": ramp * 3}.items():
        Image.fromarray(values).save(tmp_path / name)
    a, b, c = (inspection.inspect(tmp_path / name)["pixels_sha256"] for name in ("a.png", "b.tif", "c.png"))
    assert a == b != c


def declared(path: Path) -> float:
    _, span = inspection.look(path)
    assert span
    return span.declared


def test_a_declared_depth_is_respected(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "plain.png")
    assert declared(tmp_path / "plain.png") == 0
    content = (tmp_path / "plain.png").read_bytes()
    for bits, white in ((12, 4095.0), (10, 1023.0), (16, 0.0)):
        chunk = with_chunk(b"sBIT", bytes([bits]))[33 : 33 + 13]
        (tmp_path / "a.png").write_bytes(content[:33] + chunk + content[33:])
        assert declared(tmp_path / "a.png") == white
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[281] = 4095
    tags.tagtype[281] = 3
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo=tags)
    assert declared(tmp_path / "a.tif") == 4095
    (tmp_path / "a.pgm").write_bytes(b"P5 2 2 4095 " + struct.pack(">4H", 0, 1, 2, 4095))
    _, span = inspection.look(tmp_path / "a.pgm")
    assert span
    assert (span.declared, span.high) == (65535.0, pytest.approx(65535, rel=0.01))


def test_an_orientation_turns_deep_grey_too() -> None:
    values = np.zeros((4, 6), np.uint16)
    values[0, 0] = 65535
    exif = Image.Exif()
    exif[0x0112] = 3
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG", exif=exif)
    assert images.open_image(out.getvalue()).getpixel((5, 3)) == (255, 255, 255)
