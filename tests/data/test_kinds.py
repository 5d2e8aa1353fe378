"""headstart.kinds: what is no picture is called by its name, with what to do; nothing is waited for, and work is bounded."""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import struct
import sys
import types
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from headstart.data import hushed, images, kinds
from tests import toy
from tests.data.test_images import reason

BOX = b"\0\0\0\x18ftyp"
JUNK = bytes(range(256)) * 4


def tiff(**tags: object) -> bytes:
    """A TIFF of 8x8 zeros with these tags beside the usual ones: values of Pillow's directory, or lists of them."""
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    known = {"width": 256, "height": 257, "bits": 258, "compression": 259, "photometric": 262, "offsets": 273, "bands": 277, "rows": 278}
    known |= {"counts": 279, "kind": 339, "subfile": 254, "sub": 330, "cfa": 33422, "dng": 50706, "most": 281}
    content = np.zeros(8 * 8 * 64, np.uint8).tobytes()
    plain: dict[str, object] = {"width": 8, "height": 8, "bits": 8, "compression": 1, "photometric": 1, "offsets": 8, "bands": 1, "rows": 8}
    for name, value in {**plain, "counts": len(content), **tags}.items():
        directory[known[name]] = value
    out = io.BytesIO()
    out.write(b"II*\0" + struct.pack("<I", 8 + len(content)) + content)
    directory.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.dcm", b"\0" * 128 + b"DICM" + JUNK, "a DICOM file: export"),
        ("scan", b"\0" * 128 + b"DICM" + JUNK, "a DICOM file: export"),
        ("old.dcm", b"\x08\0\0\0" + JUNK, "a DICOM file: export"),
        ("a.jxl", b"\xff\x0a" + JUNK, "JPEG XL: convert it"),
        ("a.png", b"\0\0\0\x0cJXL \r\n\x87\n" + JUNK, "JPEG XL: convert it"),
        ("a.cr2", b"II*\0\x10\0\0\0CR\2\0" + JUNK, "camera raw"),
        ("a.cr3", BOX + b"crx \0\0\0\1crx isom" + JUNK, "camera raw"),
        ("a.raf", b"FUJIFILMCCD-RAW 0201" + JUNK, "camera raw"),
        ("a.orf", b"IIRO\x08\0\0\0" + JUNK, "camera raw"),
        ("a.rw2", b"IIU\0\x18\0\0\0" + JUNK, "camera raw"),
        ("a.NEF", JUNK, "camera raw"),
        ("a.pdf", b"%PDF-1.7\n" + JUNK, "a PDF: convert it"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript: convert it"),
        ("a.svg", b'\xef\xbb\xbf\n<?xml version="1.0"?>\n<!-- x -->\n<svg xmlns="x"/>', "an SVG drawing: draw it as PNG"),
        ("a.png", b'<svg width="9"/>', "an SVG drawing"),
        ("a.mp4", BOX + b"isom\0\0\2\0isomiso2avc1mp41" + JUNK, "a video: take single pictures"),
        ("a.mov", BOX + b"qt  \0\0\2\0qt  " + JUNK, "a video"),
        ("a.avi", b"RIFF\x40\0\0\0AVI LIST" + JUNK, "a video"),
        ("a.webm", b"\x1aE\xdf\xa3" + JUNK, "a video"),
        ("a.mpg", b"\0\0\1\xba" + JUNK, "a video"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git-lfs pointer, not the file itself: run git lfs pull"),
        ("a.jpg", b"/annex/objects/SHA256E-s9--0.jpg\n", "run git annex get"),
        ("a.jpg", b"<!DOCTYPE html>\n<html><title>404", "a web page"),
        ("a.jpg", b"PK\3\4" + JUNK, "an archive: unpack it"),
        ("a.npy", b"\x93NUMPY\1\0" + JUNK, "an array of numbers"),
        ("a.exr", b"\x76\x2f\x31\1" + JUNK, "a high dynamic range picture"),
        ("a.tif", tiff(bands=5, bits=(8,) * 5, kind=(1,) * 5), "a TIFF of 5 bands: choose one band"),
        ("a.tif", tiff(bands=13, bits=(16,) * 13, kind=(1,) * 13), "a TIFF of 13 bands: choose one band"),
        ("a.tif", tiff(bands=3, bits=(32,) * 3, kind=(3,) * 3, photometric=2), "a TIFF of RGB in floating-point numbers of 32 bits: save it as 8 or 16"),
        ("a.tif", tiff(kind=6, bits=64), "a TIFF of one channel in complex numbers of 64 bits"),
        ("a.dng", tiff(dng=b"\1\4\0\0"), "camera raw"),
        ("a.arw", tiff(subfile=1, sub=8), "camera raw"),
        ("a.tif", tiff(photometric=32803), "camera raw"),
    ],
)  # fmt: skip
def test_a_reason_names_the_kind_and_what_to_do(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert says in reason(tmp_path / name)
    assert says in images.why_not(tmp_path / name)


def test_heic_is_read_where_its_plug_in_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.heic").write_bytes(BOX + b"heic\0\0\0\0mif1heic" + JUNK)
    kinds.heic.cache_clear()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "pip install 'headstart[heic]'" in reason(tmp_path / "a.heic")
    kinds.heic.cache_clear()

    def register() -> None:
        def opened(file: io.BufferedReader, name: str) -> Image.Image:
            image = toy.photo(3)
            image.format = "HEIF"  # type: ignore[misc]
            return image

        Image.register_open("HEIF", opened, lambda prefix: prefix[4:12] == b"ftypheic")  # type: ignore[arg-type]

    Image.init()  # else the stand-in below would be all that Pillow fills
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    monkeypatch.setitem(sys.modules, "pillow_heif", types.SimpleNamespace(register_heif_opener=register))
    try:
        assert images.open_image(tmp_path / "a.heic").tobytes() == toy.photo(3).tobytes()
        assert images.why_not(tmp_path / "a.heic") == ""
    finally:
        kinds.heic.cache_clear()


def test_a_real_heic(tmp_path: Path) -> None:
    plug_in = pytest.importorskip("pillow_heif")
    kinds.heic.cache_clear()
    plug_in.register_heif_opener()
    toy.photo(size=64).save(tmp_path / "a.heic", quality=90)
    assert images.open_image(tmp_path / "a.heic").size == (64, 64)


def test_avif_is_read(tmp_path: Path) -> None:
    toy.photo(size=64).save(tmp_path / "a.avif")
    assert images.open_image(tmp_path / "a.avif").size == (64, 64)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunk(kind: bytes, content: bytes) -> bytes:
    """The PNG of a toy photo with another chunk after its header."""
    out = io.BytesIO()
    toy.photo().save(out, "PNG")
    whole = out.getvalue()
    return whole[:33] + chunk(kind, content) + whole[33:]


@pytest.mark.parametrize(
    "extra",
    [
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"word " * 600_000)),
        (b"tEXt", b"Comment\0" + b"word " * 600_000),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x/>" * 900_000)),
        (b"iCCP", b"profile\0\0" + zlib.compress(os.urandom(100) * 40_000)),
    ],
    ids=["zTXt", "tEXt", "iTXt", "iCCP"],
)
def test_a_png_with_megabytes_of_text_is_sound(tmp_path: Path, extra: tuple[bytes, bytes]) -> None:
    (tmp_path / "a.png").write_bytes(with_chunk(*extra))
    assert images.open_image(tmp_path / "a.png").tobytes() == toy.photo().tobytes()


def test_a_png_that_is_a_bomb_of_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hushed.pillow(images.TEXT)
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", images.TEXT)
    (tmp_path / "a.png").write_bytes(with_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(images.TEXT + 1), 1)))
    assert reason(tmp_path / "a.png") == "a PNG with more than 64 MiB of text: save it without"


def test_no_library_speaks_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither Pillow's log nor what its C libraries write of a file."""
    (tmp_path / "bands.tif").write_bytes(tiff(bands=5, bits=(8,) * 5, kind=(1,) * 5))
    toy.photo(size=64).save(tmp_path / "zip.tif", compression="tiff_adobe_deflate")
    whole = bytearray((tmp_path / "zip.tif").read_bytes())
    whole[200:260] = bytes(60)
    (tmp_path / "zip.tif").write_bytes(whole)
    (tmp_path / "half.png").write_bytes(with_chunk(b"tEXt", b"x")[:300])
    toy.photo(size=64).save(tmp_path / "odd.jpg")
    (tmp_path / "odd.jpg").write_bytes((tmp_path / "odd.jpg").read_bytes().replace(b"\xff\xda", b"\xff\xd0\xff\xda"))
    for path in sorted(tmp_path.iterdir()):
        with contextlib.suppress(images.Unreadable):
            images.open_image(path)
    assert tuple(capfd.readouterr()) == ("", "")


def opened(image: Image.Image, text: bytes) -> tuple[bytes, bytes]:
    """The pixels of a portable map by Pillow's decoder and by ours."""
    theirs = Image.open(io.BytesIO(text))
    return theirs.convert("RGB").tobytes() if theirs.mode != "I" else theirs.tobytes(), images.open_image(text).tobytes()


@pytest.mark.parametrize(
    "text",
    [
        b"P3\n# by hand\n3 2\n255\n255 0 0  0 255 0\n0 0 255 # row\n1 2 3 4 5 6 7 8 9",
        b"P3 3 2 31 31 0 0  0 31 0 0 0 31 1 2 3 4 5 6 7 8 9\n",
        b"P2 3 2 15 0 1 2 3 4 15",
        b"P1\n3 2\n101\n0 1 0",
        b"P1 3 2 1 0 1 0 1 0 # end",
        b"P6 3 2 31 " + bytes(range(18)),
        b"P5 3 2 100 " + bytes([0, 1, 50, 99, 100, 7]),
    ],
)
def test_portable_maps_have_the_pixels_that_pillow_gives(text: bytes) -> None:
    theirs, ours = opened(toy.photo(), text)
    assert ours == theirs


@pytest.mark.parametrize(
    "text", [b"P3 3 2 31 32" + b" 0" * 17, b"P3 3 2 255 1 2", b"P2 2 2 255 1 2 x 4", b"P1 2 2 1 0 2 0", b"P6 2 2 31 abc"]
)
def test_broken_portable_maps_have_a_reason(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.ppm").write_bytes(text)
    assert reason(tmp_path / "a.ppm") in ("broken image data", "truncated: the file ends early")


def test_a_large_map_of_text_takes_no_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's decoder in Python is never asked; NumPy reads a megapixel in a moment."""
    monkeypatch.setitem(Image.DECODERS, "ppm_plain", None)
    assert images.open_image(b"P3 1000 1000 255\n" + b"255 7 13\n" * 1_000_000).getpixel((999, 999)) == (255, 7, 13)


def test_what_is_decoded_in_python_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.photo(size=40).save(tmp_path / "a.qoi")
    assert images.open_image(tmp_path / "a.qoi").size == (40, 40)
    monkeypatch.setattr(images, "SLOW_PIXELS", 1599)
    assert reason(tmp_path / "a.qoi") == "would take too long to decode: 40x40 as QOI; convert it to PNG"


def test_the_scans_of_a_jpeg_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.photo(size=64).save(tmp_path / "a.jpg", progressive=True)
    assert images.open_image(tmp_path / "a.jpg").size == (64, 64)
    monkeypatch.setattr(images, "SCANS", 64 * 64 * 5)
    assert re.fullmatch(r"would take too long to decode: \d+ scans of 64x64; save it again as JPEG", reason(tmp_path / "a.jpg"))


def test_only_ordinary_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.bind(os.path.relpath(tmp_path / "socket.jpg"))
        for path in (tmp_path / "pipe.jpg", tmp_path / "socket.jpg", Path("/dev/zero")):
            assert reason(path) == images.why_not(path) == "no ordinary file (a pipe, a socket or a device)"
