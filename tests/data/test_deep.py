"""headstart.data.deep: the exact values of colour of 16 bits a channel, and one scale for a data set of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.base.grey import Grey
from headstart.data import deep, images, manifest
from headstart.data.images import Decoded
from headstart.indexing import indexer, inspection
from tests import toy
from tests.data import deep_files

TWELVE = Grey((0.0, 4095.0))


def drawn(bands: int, most: int = 65536) -> np.ndarray:
    return np.random.default_rng(bands).integers(0, most, (13, 17, bands), dtype=np.uint16)


def decoded(content: bytes, scale: Grey | None = None) -> Decoded:
    return images.decode(io.BytesIO(content), images.MAX_PIXELS, None, scale)


def values(content: bytes) -> np.ndarray:
    found = decoded(content)
    assert found.deep
    assert found.mode.endswith(deep.MARK)
    return found.deep.values


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bands", [2, 3, 4])
def test_the_values_of_a_png_are_exact(bands: int, interlaced: bool) -> None:
    assert np.array_equal(values(deep_files.png(drawn(bands), interlaced=interlaced)), drawn(bands))


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize(("packed", "differences"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("rows", [5, 13])
def test_the_values_of_a_tiff_are_exact(order: str, packed: bool, differences: bool, planes: bool, rows: int) -> None:
    for bands, tags in ((3, {}), (4, {"extra": 2}), (4, {})):
        content = deep_files.tiff(drawn(bands), order=order, packed=packed, differences=differences, planes=planes, rows=rows, **tags)
        assert np.array_equal(values(content), drawn(bands)), (bands, tags)
    unknown = deep_files.tiff(drawn(4), order=order, packed=packed, differences=differences, planes=planes, rows=rows, extra=0)
    assert np.array_equal(values(unknown)[..., :3], drawn(4)[..., :3]), "a fourth band that is no transparency"
    assert values(unknown).shape[2] == 3


@pytest.mark.parametrize("planes", [False, True])
def test_premultiplied_colours_are_divided(planes: bool) -> None:
    straight = np.full((6, 6, 4), [40_000, 20_000, 4_000, 32_768], np.uint16)
    straight[0] = 0
    stored = np.rint(straight * (straight[..., 3:] / 65535)).astype(np.uint16)
    stored[..., 3] = straight[..., 3]
    found = values(deep_files.tiff(stored, planes=planes, extra=1))
    assert abs(found.astype(int) - straight).max() <= 1


@pytest.mark.parametrize("most", [300, 4095, 65535])
def test_a_map_says_its_white(most: int) -> None:
    given = drawn(3, most + 1)
    given[0, 0] = most
    for content in (deep_files.ppm(given, most), b"P3 17 13 %d\n" % most + " ".join(map(str, given.ravel())).encode()):
        assert np.array_equal(values(content), np.rint(given / most * 65535).astype(np.uint16))
        assert decoded(content).image.getpixel((0, 0)) == (255, 255, 255)
        span = decoded(content).deep.span()  # type: ignore[union-attr]
        assert span.declared == 65535


def test_a_map_of_8_bits_is_not_deep() -> None:
    content = b"P6 2 2 200\n" + bytes([0, 100, 200] * 4)
    assert (decoded(content).deep, decoded(content).mode) == (None, "RGB")
    assert decoded(content).image.getpixel((1, 1)) == (0, 128, 255)


def test_transparency_lies_over_white_on_every_scale() -> None:
    given = np.zeros((4, 4, 4), np.uint16)
    given[..., :3] = [4095, 2048, 0]
    given[0, :, 3], given[1, :, 3], given[2:, :, 3] = 0, 32_768, 65_535
    shown = np.asarray(decoded(deep_files.png(given), TWELVE).image)
    assert shown[:3, 0].tolist() == [[255, 255, 255], [255, 191, 127], [255, 128, 0]]
    key = deep_files.png(given[..., :3], tRNS=given[0, 0, :3].astype(">u2").tobytes())
    assert (np.asarray(decoded(key, TWELVE).image) == 255).all()
    near = deep_files.png(given[..., :3], tRNS=(given[0, 0, :3] + np.array([1, 0, 0], np.uint16)).astype(">u2").tobytes())
    assert decoded(near, TWELVE).image.getpixel((0, 0)) == (255, 128, 0), "another value of the same upper byte"


def test_what_cannot_be_seen_decides_no_scale() -> None:
    given = np.full((8, 8, 4), 65535, np.uint16)
    given[:4, :, :3] = 900
    given[4:, :, 3] = 0
    found = decoded(deep_files.png(given)).deep
    assert found
    assert found.span().high == 900
    clear = decoded(deep_files.png(np.zeros((4, 4, 4), np.uint16)))
    assert clear.image.getpixel((0, 0)) == (255, 255, 255)
    assert clear.deep
    assert clear.deep.span().high == 0


def write(folder: Path, levels: dict[str, int], suffix: str) -> None:
    """Images below folder/CLASS that differ in their brightness alone, within 12 of 16 bits."""
    make = {".png": deep_files.png, ".ppm": deep_files.ppm, ".tif": deep_files.tiff}[suffix]
    for label, level in levels.items():
        (folder / label).mkdir(parents=True)
        for number in range(6):
            noise = np.random.default_rng([level, number]).normal(0, 5, (16, 16, 3))
            (folder / label / f"{number}{suffix}").write_bytes(make((level + noise).clip(0, 4095).astype(np.uint16)))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_brightness_as_a_class_survives_in_colour(tmp_path: Path, suffix: str) -> None:
    """Of 12 bits in 16 the upper byte has 16 levels; on the scale of the data set a picture is as bright as its values are."""
    write(tmp_path, {"dim": 250, "bright": 260, "full": 3900}, suffix)
    table = indexer.index(tmp_path, **toy.INDEX)
    assert set(table["mode"]) == {"RGB;16"}
    manifest.write(table, tmp_path / "m.parquet")
    assert manifest.read(tmp_path / "m.parquet").equals(table)
    assert manifest.grey(table) == TWELVE
    means = [np.asarray(images.open_image(tmp_path / f"{label}/0{suffix}", scale=TWELVE)).mean() for label in ("dim", "bright", "full")]
    assert np.allclose(means, np.array([250, 260, 3900]) * 255 / 4095, atol=0.3)
    assert means[1] - means[0] > 0.4
    assert table["pixels_sha256"].is_unique


def test_grey_and_colour_share_one_scale(tmp_path: Path) -> None:
    write(tmp_path, {"colour": 3000}, ".png")
    toy.deep(tmp_path, {"grey": 900})
    table = indexer.index(tmp_path, **toy.INDEX)
    assert manifest.grey(table) == TWELVE
    assert set(table["white"]) == {4095.0}


def test_a_declared_depth_is_the_scale(tmp_path: Path) -> None:
    given = np.full((8, 8, 3), 700, np.uint16)
    for name, content in {"a.png": deep_files.png(given, sBIT=bytes([12, 12, 12])), "a.tif": deep_files.tiff(given, most=4095)}.items():
        (tmp_path / name).write_bytes(content)
        _, span = inspection.look(tmp_path / name)
        assert span
        assert span.declared == 4095, name
        assert images.open_image(tmp_path / name).getpixel((0, 0)) == (44, 44, 44), "what it says of itself, before its own values"
    bright = deep_files.png(given * 16, sBIT=bytes([12, 12, 12]))
    assert decoded(bright).deep.span().declared == 0, "12 bits that were stretched to 16, as the standard has it"  # type: ignore[union-attr]
    assert decoded(bright).image.getpixel((0, 0)) == (174, 174, 174)


def test_an_orientation_turns_colour_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    given = np.zeros((4, 6, 3), np.uint16)
    given[0, 0] = 65535
    found = decoded(deep_files.png(given, eXIf=exif.tobytes()[6:]))
    assert found.image.size == (4, 6)
    assert found.image.getpixel((3, 0)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_values_turn_as_pictures_do(orientation: int) -> None:
    from PIL import ImageOps

    given = np.arange(12, dtype=np.uint8).reshape(3, 4)
    picture = Image.fromarray(given)
    picture.getexif()[0x0112] = orientation
    assert np.array_equal(deep.upright(given, orientation), np.asarray(ImageOps.exif_transpose(picture)))


def test_a_picture_of_pillow_that_is_open_keeps_its_values(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(deep_files.png(np.full((8, 8, 3), 2048, np.uint16)))
    with Image.open(tmp_path / "a.png") as opened:
        assert images.as_rgb(opened, TWELVE).getpixel((0, 0)) == (128, 128, 128)
        assert opened.getpixel((0, 0)) == (8, 8, 8), "and Pillow reads it as it did"


def test_colour_of_which_only_the_upper_bytes_can_be_had_is_told(tmp_path: Path) -> None:
    cmyk = deep_files.tiff(drawn(4), photometric=5)
    sgi = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 100, 50)).save(sgi, "SGI", bpc=2)
    for name, content, mode in (("a.tif", cmyk, "CMYK;16"), ("a.sgi", sgi.getvalue(), "RGB;16")):
        (tmp_path / name).write_bytes(content)
        row, span = inspection.look(tmp_path / name)
        assert (row["readable"], row["mode"], span) == (True, mode, None)
        assert images.cut_to_eight(tmp_path / name)
    (tmp_path / "a.png").write_bytes(deep_files.png(drawn(3)))
    assert not images.cut_to_eight(tmp_path / "a.png")
    assert images.has_own_scale(tmp_path / "a.png", None)
    assert not images.has_own_scale(tmp_path / "a.png", TWELVE)


def test_16_bits_a_pixel_are_not_16_bits_a_channel() -> None:
    """A BMP of 5, 6 and 5 bits."""
    header = b"BM" + (14 + 40 + 12 + 16).to_bytes(4, "little") + bytes(4) + (66).to_bytes(4, "little")
    header += (40).to_bytes(4, "little") + (2).to_bytes(4, "little") * 2 + b"\1\0\x10\0\3\0\0\0" + (16).to_bytes(4, "little") + bytes(16)
    header += b"".join(mask.to_bytes(4, "little") for mask in (0xF800, 0x7E0, 0x1F))
    found = decoded(header + b"\x00\xf8" * 4)
    assert (found.mode, found.deep, found.image.getpixel((0, 0))) == ("RGB", None, (255, 0, 0))


def test_a_file_that_ends_early_is_refused() -> None:
    for content in (deep_files.png(drawn(3)), deep_files.tiff(drawn(3)), deep_files.tiff(drawn(3), planes=True), deep_files.ppm(drawn(3))):
        with pytest.raises(images.Unreadable):
            decoded(content[: len(content) // 2])


@pytest.mark.parametrize("content", [deep_files.tiff(drawn(3), packed=True), deep_files.tiff(drawn(3), packed=True, planes=True)])
def test_no_line_of_a_library_reaches_the_terminal(content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """libtiff writes its complaints to standard error itself."""
    broken = content[:40] + bytes(60) + content[100:]
    with pytest.raises(images.Unreadable, match="broken image data"):
        decoded(broken)
    assert capfd.readouterr() == ("", "")
