"""Portable maps (PBM, PGM, PPM) that Pillow decodes value by value: as text, and with a white other than 255.

NumPy takes a fiftieth of the time, for the same pixels.
"""

from __future__ import annotations

import re
from typing import IO, Any

import numpy as np
from PIL import Image

WHITE = 65535.0  # of more than 8 bits, whatever the file says its white is: Pillow's scale
_LONGEST = 16  # bytes of text per value, blanks and comments included
_DIGITS = bytes(range(48, 58)) + b" \t\n\v\f\r"


def read(file: IO[bytes], image: Image.Image) -> Image.Image | None:
    """The picture of an open portable map of these kinds; None for everything else.

    Raises EOFError for one that ends early, ValueError for one that is broken.
    """
    if not _is_slow(image):
        return None
    if image.mode == "1":
        file.seek(image.tile[0][2])  # type: ignore[attr-defined]
        values = _bits(file, image.width * image.height)
        return Image.fromarray(np.where(values == 0, np.uint8(255), np.uint8(0)).reshape(image.height, image.width)).convert("1")
    values, most = _values(file, image)
    white, kind = (WHITE, np.int32) if image.mode == "I" else (255, np.uint8)
    return Image.fromarray(np.rint(values / most * white).astype(kind))


def is_deep_colour(image: Image.Image) -> bool:
    """Whether a picture is a portable map of colour with more than 8 bits a channel."""
    return _is_slow(image) and image.mode == "RGB" and _most(image) > 255


def colours(file: IO[bytes], image: Image.Image) -> np.ndarray:
    """The values of deep colour, of which WHITE is white: uint16 (height, width, 3). Raises as `read` does."""
    values, most = _values(file, image)
    return np.rint(values / most * WHITE).astype(np.uint16)


def _is_slow(image: Image.Image) -> bool:
    tiles: Any = getattr(image, "tile", ())
    return image.format == "PPM" and bool(tiles) and tiles[0][0] in ("ppm", "ppm_plain")


def _most(image: Image.Image) -> int:
    """The white that a map declares."""
    tiles: Any = getattr(image, "tile", ())
    return int(tiles[0][3][1])


def _values(file: IO[bytes], image: Image.Image) -> tuple[np.ndarray, int]:
    """The numbers of a map, (height, width) or (height, width, 3), and the white that it declares."""
    codec, _, offset, _ = image.tile[0]  # type: ignore[attr-defined]
    bands, most = len(image.getbands()), _most(image)
    count = image.width * image.height * bands
    file.seek(offset)
    values = _text(file, count) if codec == "ppm_plain" else _binary(file, count, most)
    if values.max() > most:
        raise ValueError("a value above the white of the file")
    return values.reshape((image.height, image.width) if bands == 1 else (image.height, image.width, bands)), most


def _bits(file: IO[bytes], count: int) -> np.ndarray:
    """Noughts and ones of a PBM, which need no blanks between them."""
    digits = _plain(file, count).translate(None, b" \t\n\v\f\r")
    if digits[:count].translate(None, b"01"):
        raise ValueError("neither 0 nor 1")
    return _enough(np.frombuffer(digits, np.uint8)[:count] - 48, count)


def _text(file: IO[bytes], count: int) -> np.ndarray:
    return _enough(np.fromstring(_plain(file, count).decode("ascii"), np.int64, sep=" ")[:count], count)


def _binary(file: IO[bytes], count: int, most: int) -> np.ndarray:
    kind = np.dtype(">u2" if most > 255 else "u1")
    return _enough(np.frombuffer(file.read(count * kind.itemsize)[: count * kind.itemsize], kind), count)


def _plain(file: IO[bytes], count: int) -> bytes:
    """The text of so many values, comments left out. Raises ValueError if anything but numbers is in it."""
    text = re.sub(rb"#[^\r\n]*", b" ", file.read(count * _LONGEST + 2**20))
    if text.translate(None, _DIGITS):
        raise ValueError("no number")
    return text


def _enough(values: np.ndarray, count: int) -> np.ndarray:
    if len(values) < count:
        raise EOFError("truncated")
    return values
