"""headstart.images: every kind of photo as RGB, and a clear reason for what is none."""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
from PIL import Image

from headstart.data import images
from headstart.indexing import inspection
from tests import toy


def pixel(path: Path, x: int = 0, y: int = 0) -> tuple[int, ...]:
    image = images.open_image(path)
    assert image.mode == "RGB"
    value = image.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def reason(path: Path, max_pixels: int = images.MAX_PIXELS) -> str:
    """Why a file is unreadable; open_image and inspect must agree."""
    with pytest.raises(images.Unreadable) as caught:
        images.open_image(path, max_pixels)
    row = inspection.inspect(path, max_pixels)
    assert row["reason"] == str(caught.value)
    assert not row["readable"]
    assert (row["width"], row["height"], row["pixels_sha256"], row["phash"]) == (0, 0, "", "")
    return str(caught.value)


@pytest.mark.parametrize(
    ("mode", "name", "colour", "expected"),
    [
        ("RGB", "a.png", (10, 200, 30), (10, 200, 30)),
        ("L", "a.png", 90, (90, 90, 90)),
        ("1", "a.png", 1, (255, 255, 255)),
        ("LA", "a.png", (0, 0), (255, 255, 255)),
        ("LA", "a.png", (100, 255), (100, 100, 100)),
        ("RGBA", "a.png", (0, 0, 0, 0), (255, 255, 255)),
        ("RGBA", "a.png", (200, 0, 0, 128), (227, 127, 127)),
        ("RGBA", "a.webp", (0, 0, 0, 0), (255, 255, 255)),
        ("RGBA", "a.tif", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", "a.tif", (0, 255, 255, 0), (255, 0, 0)),
        ("I;16", "a.png", 65535, (255, 255, 255)),
        ("I;16", "a.png", 32896, (128, 128, 128)),
        ("I;16", "a.tif", 65535, (255, 255, 255)),
        ("I", "a.tif", 65535, (255, 255, 255)),
        ("F", "a.tif", 0.5, (128, 128, 128)),
        ("F", "a.tif", 200.0, (200, 200, 200)),
    ],
)
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, name: str, colour: object, expected: tuple[int, ...]) -> None:
    path = tmp_path / name
    options: dict[str, Any] = {"lossless": True} if name.endswith(".webp") else {}
    Image.new(mode, (9, 7), colour).save(path, **options)  # type: ignore[arg-type]
    assert pixel(path) == expected
    row = inspection.inspect(path)
    assert (row["width"], row["height"], row["readable"], row["reason"]) == (9, 7, True, "")
    assert row["bytes"] == path.stat().st_size
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_stored_mode_and_format_are_reported(tmp_path: Path) -> None:
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    Image.new("P", (20, 20)).save(tmp_path / "b.gif")
    Image.new("I;16", (20, 20)).save(tmp_path / "c.png")
    found = [(row["mode"], row["format"]) for row in (inspection.inspect(tmp_path / name) for name in ("a.jpg", "b.gif", "c.png"))]
    assert found == [("CMYK", "JPEG"), ("P", "GIF"), ("I;16", "PNG")]
    red = pixel(tmp_path / "a.jpg")
    assert red[0] > 240
    assert max(red[1:]) < 15


@pytest.mark.parametrize("transparency", [0, b"\x00\xff"], ids=["one index", "a byte for each index"])
def test_palette_with_transparency_lies_over_white(tmp_path: Path, transparency: int | bytes) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=transparency)
    assert pixel(tmp_path / "a.png") == (255, 255, 255)
    assert pixel(tmp_path / "a.png", 1) == (0, 0, 200)


def test_sixteen_bits_keep_their_gradation(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.png")
    grey = np.asarray(images.open_image(tmp_path / "a.png"))[..., 0].reshape(-1)
    assert np.array_equal(grey, np.arange(256))


def test_twelve_bits_in_sixteen_are_not_black(tmp_path: Path) -> None:
    values = np.full((8, 8), 4095, np.uint16)
    values[0] = 0
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert pixel(tmp_path / "a.tif", 0, 1) == (255, 255, 255)
    assert pixel(tmp_path / "a.tif", 0, 0) == (0, 0, 0)


def test_values_of_no_common_depth_are_stretched(tmp_path: Path) -> None:
    values = np.array([[-1000, 0], [0, 1000]], np.int32).repeat(4, 0).repeat(4, 1)
    Image.fromarray(values).save(tmp_path / "a.tif")
    odd = np.array([[np.nan, -2.0], [np.inf, 2.0]], np.float32).repeat(4, 0).repeat(4, 1)
    Image.fromarray(odd).save(tmp_path / "b.tif")
    assert (pixel(tmp_path / "a.tif"), pixel(tmp_path / "a.tif", 7, 7)) == ((0, 0, 0), (255, 255, 255))
    assert pixel(tmp_path / "a.tif", 7, 0) == (128, 128, 128)
    assert (pixel(tmp_path / "b.tif", 7, 0), pixel(tmp_path / "b.tif", 0, 0)) == ((0, 0, 0), (128, 128, 128))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_exif_orientation_is_applied_once(tmp_path: Path, orientation: int, suffix: str) -> None:
    from PIL import ImageOps

    upright = Image.new("RGB", (48, 32), (255, 255, 255))
    upright.paste((220, 20, 20), (0, 0, 16, 16))  # a red corner, top left
    turn = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}.get(orientation)  # the orientation that undoes it
    stored = upright
    if turn:
        exif = Image.Exif()
        exif[0x0112] = turn
        stored.info["exif"] = exif.tobytes()
        stored = ImageOps.exif_transpose(upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    stored.save(path, exif=exif, **options)
    opened = images.open_image(path)
    assert opened.size == (48, 32)
    assert np.abs(np.asarray(opened, int)[4:12, 4:12] - (220, 20, 20)).max() < 12
    assert np.asarray(opened)[4:12, 24:].min() > 240
    again = ImageOps.exif_transpose(opened)
    assert np.array_equal(np.asarray(again), np.asarray(opened))
    assert (inspection.inspect(path)["width"], inspection.inspect(path)["height"]) == (48, 32)


def test_broken_exif_does_not_matter(tmp_path: Path) -> None:
    toy.photo().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01" + b"\xff" * 9)
    assert images.open_image(tmp_path / "a.jpg").size == (32, 32)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_the_first_frame_of_an_animation(tmp_path: Path, suffix: str) -> None:
    first, second = Image.new("RGB", (16, 16), (255, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 255))
    options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=[second], **options)
    assert pixel(tmp_path / f"a{suffix}") == (255, 0, 0)


def test_the_first_picture_of_a_phones_pair(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (16, 16), (255, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 255))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert inspection.inspect(tmp_path / "a.jpg")["format"] == "MPO"
    assert pixel(tmp_path / "a.jpg")[0] > 240


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".bmp", ".tif"])
def test_truncated_files_are_unreadable(tmp_path: Path, suffix: str) -> None:
    toy.photo(size=128).save(tmp_path / f"whole{suffix}")
    whole = (tmp_path / f"whole{suffix}").read_bytes()
    (tmp_path / f"half{suffix}").write_bytes(whole[: len(whole) // 2])
    assert reason(tmp_path / f"half{suffix}") in ("truncated: the file ends early", "broken image data")
    if suffix in (".jpg", ".png", ".bmp"):
        assert reason(tmp_path / f"half{suffix}").startswith("truncated")


def test_every_cut_and_any_noise_gives_a_reason_or_a_picture(tmp_path: Path) -> None:
    """No exception but Unreadable, no warning, whatever the bytes."""
    random = np.random.default_rng(0)
    path = tmp_path / "a"
    for suffix in ("jpeg", "png", "gif", "webp", "bmp", "tiff", "ppm", "tga", "pcx", "ico", "jpeg2000"):
        toy.photo(size=48).save(path, format=suffix)
        whole = path.read_bytes()
        for _ in range(25):
            broken = bytearray(whole[: random.integers(1, len(whole) + 1)])
            for place in random.integers(0, len(broken), 4):
                broken[place] = random.integers(256)
            path.write_bytes(broken)
            row = inspection.inspect(path, 1_000_000)
            assert row["readable"] or row["reason"]
            assert str(tmp_path) not in row["reason"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.jpg", b"", "zero bytes"),
        ("text.jpg", b"hello, this is no picture at all", "not an image"),
        ("notes.txt", b"label,path\n", "not an image"),
        ("noise.png", bytes(range(256)) * 9, "not an image"),
    ],
)
def test_what_is_no_image(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert reason(tmp_path / name) == expected
    row = inspection.inspect(tmp_path / name)
    assert (row["bytes"], row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_pil_knows_every_format() -> None:
    Image.init()
    assert set(images.FORMATS) <= set(Image.OPEN)  # PIL fails on the ones it does not know


def test_one_pixel_is_too_small(tmp_path: Path) -> None:
    for size in ((1, 1), (1, 300), (300, 1)):
        Image.new("RGB", size).save(tmp_path / "a.png")
        assert reason(tmp_path / "a.png") == f"too small to hold a picture: {size[0]}x{size[1]}"
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    assert images.open_image(tmp_path / "a.png").size == (2, 2)


def png_that_claims(width: int, height: int) -> bytes:
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    toy.photo(size=(40, 30)).save(tmp_path / "a.jpg")
    assert images.open_image(tmp_path / "a.jpg", 1200).size == (40, 30)
    assert reason(tmp_path / "a.jpg", 1199) == "too many pixels: 40x30, the limit is 1199"
    (tmp_path / "bomb.png").write_bytes(png_that_claims(60_000, 60_000))
    assert reason(tmp_path / "bomb.png").startswith("too many pixels")


def test_pils_own_limit_does_not_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.photo(size=64).save(tmp_path / "a.png")
    for limit in (10, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert images.open_image(tmp_path / "a.png").size == (64, 64)
        assert reason(tmp_path / "a.png", 4095) == "too many pixels: 64x64, the limit is 4095"


def test_system_errors_are_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(images.Unreadable, match="no such file"):
        images.open_image(tmp_path / "gone.jpg")
    with pytest.raises(FileNotFoundError):
        inspection.inspect(tmp_path / "gone.jpg")
    with pytest.raises(images.Unreadable, match="cannot be read: Is a directory"):
        images.open_image(tmp_path)
    toy.photo().save(tmp_path / "a.png")

    def forbidden(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", forbidden)
    assert reason(tmp_path / "a.png") == "no permission to read it"


def test_near_decodes_jpegs_smaller_but_never_below(tmp_path: Path) -> None:
    toy.photo(size=(800, 600)).save(tmp_path / "a.jpg")
    assert images.open_image(tmp_path / "a.jpg").size == (800, 600)
    assert images.open_image(tmp_path / "a.jpg", near=150).size == (200, 150)
    assert images.open_image(tmp_path / "a.jpg", near=151).size == (400, 300)
    assert images.open_image(tmp_path / "a.jpg", near=700).size == (800, 600)
    with pytest.raises(images.Unreadable, match="too many pixels"):
        images.open_image(tmp_path / "a.jpg", 100_000, near=100)
    toy.photo(size=(80, 60)).save(tmp_path / "a.png")
    assert images.open_image(tmp_path / "a.png", near=10).size == (80, 60)


def test_names_of_any_kind_open(tmp_path: Path) -> None:
    for name in ("a b.png", 'it\'s "quoted".png', "größe-写真-🐜.png", "-rf.png", "new\nline.png"):
        toy.photo().save(tmp_path / name)
        assert inspection.inspect(tmp_path / name)["readable"]
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    toy.photo().save(tmp_path / "plain.png")
    os.rename(tmp_path / "plain.png", raw)  # noqa: PTH104 - pathlib takes no bytes
    assert inspection.inspect(Path(os.fsdecode(raw)))["readable"]


def test_pixel_hash_ignores_the_container_but_not_the_size(tmp_path: Path) -> None:
    photo = toy.photo(size=(40, 30))
    photo.save(tmp_path / "a.png")
    photo.save(tmp_path / "b.bmp")
    photo.convert("RGBA").save(tmp_path / "c.png")
    rows = [inspection.inspect(tmp_path / name) for name in ("a.png", "b.bmp", "c.png")]
    assert len({row["pixels_sha256"] for row in rows}) == 1
    assert len({row["sha256"] for row in rows}) == 3
    one, other = Image.new("RGB", (20, 30)), Image.new("RGB", (30, 20))
    assert one.tobytes() == other.tobytes()
    assert inspection.hash_pixels(one) != inspection.hash_pixels(other)


def test_pixel_hash_in_strips_is_the_hash_of_all_pixels() -> None:
    tall = Image.fromarray(np.random.default_rng(0).integers(0, 256, (2100, 2000, 3), np.uint8))
    assert 4_000_000 // tall.width < tall.height
    assert inspection.hash_pixels(tall) == hashlib.sha256(b"RGB 2000x2100\n" + tall.tobytes()).hexdigest()


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_perceptual_hash_is_the_dct_against_its_median() -> None:
    for number in range(5):
        photo = toy.photo(number, size=32)
        low = scipy.fft.dctn(np.asarray(photo.convert("L"), float), norm="ortho")[:8, :8]
        low = np.rint(low / 2)
        expected = "".join("1" if bit else "0" for bit in (low > np.median(low)).reshape(-1))
        assert inspection.perceptual_hash(photo) == f"{int(expected, 2):016x}"


def test_perceptual_hash_survives_resizing_and_compression(tmp_path: Path) -> None:
    for number in range(6):
        photo = toy.photo(number, size=(320, 240))
        photo.resize((160, 120), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg", quality=60)
        copy = inspection.inspect(tmp_path / "a.jpg")["phash"]
        assert distance(inspection.perceptual_hash(photo), copy) <= 4
        assert distance(inspection.perceptual_hash(toy.photo(number, 1, size=(320, 240))), copy) > 10


def test_perceptual_hash_of_a_plain_picture_has_few_bits() -> None:
    random = np.random.default_rng(0)
    for level in (0, 1, 100, 255):
        assert int(inspection.perceptual_hash(Image.new("RGB", (50, 40), (level,) * 3)), 16).bit_count() <= 1
        noisy = (level + random.normal(0, 0.7, (300, 400, 3))).clip(0, 255).astype(np.uint8)
        assert int(inspection.perceptual_hash(Image.fromarray(noisy)), 16).bit_count() < 8


def test_why_not_reads_the_header(tmp_path: Path) -> None:
    toy.photo(size=128).save(tmp_path / "a.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:900])
    (tmp_path / "b.jpg").write_text("no")
    assert [images.why_not(tmp_path / name) for name in ("a.jpg", "half.jpg", "b.jpg", "gone")] == ["", "", "not an image", "no such file"]


def test_threads_see_no_warnings(tmp_path: Path) -> None:
    """PIL warns of broken EXIF and large images; as errors in one thread they must not make a file unreadable in another."""
    toy.photo(size=64).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01" + b"\xff" * 9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ThreadPoolExecutor(8) as pool:
            rows = list(pool.map(inspection.inspect, [tmp_path / "a.jpg"] * 200))
    assert all(row == rows[0] for row in rows)
    assert rows[0]["readable"]
