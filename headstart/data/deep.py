"""Pictures of more than 8 bits a value, grey or colour: their exact values, and these as 8 bits on a scale.

Of colour of 16 bits a channel Pillow keeps the upper byte. Decoded once more as if its bytes lay in the other order, it gives the lower
ones. Safe in threads.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from PIL import Image

from headstart.base import grey
from headstart.base.grey import Grey, Span
from headstart.data import planes, portable

MARK = ";16"  # ends the mode of colour of 16 bits a channel
WHITE = 65535  # of 16 bits; also where a picture is not transparent at all
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_RAW = re.compile(r"(\w+);16[BLN]")  # raw modes of 16 bits a channel; RGB;16 without a letter has 5, 6 and 5 bits
_EXACT = ("RGB", "RGBA", "RGBX", "RGBa", "LA")
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # by EXIF orientation
    2: lambda values: values[:, ::-1],
    3: lambda values: values[::-1, ::-1],
    4: lambda values: values[::-1],
    5: lambda values: values.swapaxes(0, 1),
    6: lambda values: values.swapaxes(0, 1)[:, ::-1],
    7: lambda values: values[::-1, ::-1].swapaxes(0, 1),
    8: lambda values: values.swapaxes(0, 1)[::-1],
}


@dataclass(frozen=True)
class Deep:
    """A picture's values, upright, and the white that its file declares (0: none).

    Grey is int32 or float32 (height, width), colour uint16 (height, width, 3). A last band more is how opaque it is, 0 to 65535: uint16
    (height, width, 2 or 4).
    """

    values: np.ndarray
    declared: float = 0.0

    @property
    def real(self) -> bool:
        """Whether the values are of floating point."""
        return self.values.dtype.kind == "f"

    def span(self) -> Span:
        """The darkest and the brightest value that can be seen, but for outliers."""
        return grey.span(self._seen(), self.declared, self.real)

    def shown(self, scale: Grey | None) -> Image.Image:
        """The picture in RGB on a data set's scale (without one: its own), transparency over white."""
        black, white = grey.range_of(self._seen(), self.real, scale, self.declared)
        colours, opaque = self._parts()
        bits = grey.eight_bit(colours, black, white)
        if opaque is not None:
            share = opaque.astype(np.float32) / WHITE
            bits = np.rint(bits * share + 255 * (1 - share)).astype(np.uint8)
        return Image.fromarray(bits[..., 0] if bits.shape[2:] == (1,) else bits).convert("RGB")

    def _parts(self) -> tuple[np.ndarray, np.ndarray | None]:
        """What is seen, and how opaque it is: (height, width, 1)."""
        if self.values.ndim == 2 or self.values.shape[2] == 3:
            return self.values, None
        return self.values[..., :-1], self.values[..., -1:]

    def _seen(self) -> np.ndarray:
        """The values that are not fully transparent, 0 if all are."""
        colours, opaque = self._parts()
        if opaque is None:
            return colours
        seen = colours[opaque[..., 0] > 0]
        return seen if seen.size else np.zeros(1, np.uint16)


def is_grey(image: Image.Image) -> bool:
    """Whether a picture is grey of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def is_colour(image: Image.Image) -> bool:
    """Whether a picture is colour (or grey with transparency) of more than 8 bits, and its exact values can be had."""
    return portable.is_deep_colour(image) or planes.is_planes(image) or (_is_16_bits(image) and not is_cut(image))


def is_cut(image: Image.Image) -> bool:
    """Whether of a picture's 16 bits a channel only the upper 8 can be had: of CMYK and of SGI."""
    if planes.is_planes(image) or not _is_16_bits(image):
        return False
    found = [_RAW.fullmatch(_raw(tile)) for tile in _tiles(image)]
    return image.format == "SGI" or not all(one and one[1] in _EXACT for one in found)


def stored(image: Image.Image) -> str:
    """The mode in which a picture is stored: RGB;16 for colour of 16 bits a channel."""
    return f"{image.mode}{MARK}" if is_colour(image) or is_cut(image) else image.mode


def of_image(image: Image.Image, declared: float = 0.0) -> Deep:
    """The values of deep grey."""
    values = np.asarray(image, np.float32 if image.mode == "F" else np.int32)
    return Deep(upright(values, orientation(image)), declared)


def of_file(file: IO[bytes], image: Image.Image) -> Deep:
    """The values of colour of which `is_colour` holds, from the open file that `image` was identified in."""
    if image.format == "PPM":
        return Deep(portable.colours(file, image), portable.WHITE)
    if planes.is_planes(image):
        values, turn = planes.values(file, image), orientation(image)
    else:
        values, turn = _joined(file, image)
    clear = image.info.get("transparency")
    if image.format == "TIFF" and image.tag_v2.get(338) in (1, (1,)):  # type: ignore[attr-defined]
        values = _divided(values)
    elif isinstance(clear, tuple) and values.shape[2] == len(clear):  # one colour that stands for transparent
        values = np.dstack([values, np.where((values == np.array(clear)).all(2), 0, WHITE).astype(np.uint16)])
    return Deep(upright(values, turn), declared_white(file, image))


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 if there is none or it is broken. Of a PNG it may lie behind the pixels, which are then decoded."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:
        return 1


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """Turn the rows and columns of a picture as its EXIF orientation says."""
    turn = _TURNS.get(orientation)
    return np.ascontiguousarray(turn(values)) if turn else values


def declared_white(file: IO[bytes], image: Image.Image) -> float:
    """The value that a file declares as its white, 0 if none: significant bits of a PNG, MaxSampleValue of a TIFF."""
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        for tag in (281, 341):
            found = tags.get(tag)
            value = float(found[0] if isinstance(found, tuple) and found else found or 0)
            if 255 < value < WHITE or (image.mode == "F" and value > 0):
                return value
        bits = tags.get(258, (16,))
        return float(2 ** bits[0] - 1) if 8 < bits[0] < 16 and image.mode != "I;16" else 0.0
    if image.format == "PNG":
        file.seek(8)
        for _ in range(64):
            head = file.read(8)
            if len(head) < 8 or head[4:] == b"IDAT":
                break
            content = file.read(int.from_bytes(head[:4]) + 4)
            if head[4:] == b"sBIT":
                bits = max(content[:3] if len(content) - 4 >= 3 else content[:1], default=0)
                return float(2**bits - 1) if 8 < bits < 16 else 0.0
    return 0.0


def _is_16_bits(image: Image.Image) -> bool:
    if image.format == "SGI":
        return any(tile[0] == "SGI16" or (tile[0] == "sgi_rle" and tile[3][2] == 2) for tile in _tiles(image))
    return not is_grey(image) and any(_RAW.fullmatch(_raw(tile)) for tile in _tiles(image))


def _tiles(image: Image.Image) -> list[Any]:
    return list(getattr(image, "tile", ()))


def _raw(tile: Any) -> str:
    """The raw mode of a tile."""
    return tile[3] if isinstance(tile[3], str) else str(tile[3][0]) if tile[3] else ""


def _joined(file: IO[bytes], image: Image.Image) -> tuple[np.ndarray, int]:
    """The exact values of colour, uint16 (height, width, 2 to 4), and the orientation. What is premultiplied by its opacity stays so."""
    kind = str(image.format)
    if _raw(_tiles(image)[0]).startswith("LA"):  # whose four bytes a pixel are read as those of RGBA
        found, turn = _decoded(file, kind, lambda mode: "RGBA")
        return np.ascontiguousarray(found).view(">u2").astype(np.uint16), turn
    lower, turn = _decoded(file, kind, lambda mode: mode.replace("RGBa", "RGBA")[:-1] + _SWAPPED[mode[-1]])
    values = _decoded(file, kind, lambda mode: mode.replace("RGBa", "RGBA"))[0].astype(np.uint16)
    values <<= 8
    values |= lower
    return values, turn


def _decoded(file: IO[bytes], kind: str, change: Callable[[str], str]) -> tuple[np.ndarray, int]:
    """The bytes that Pillow makes of a file if its raw mode is changed, uint8 (height, width, bands), and the orientation."""
    file.seek(0)
    with Image.open(file, formats=(kind,)) as image:
        opened: Any = image
        for place, tile in enumerate(opened.tile):
            mode = change(_raw(tile))
            opened.tile[place] = tile._replace(args=mode if isinstance(tile[3], str) else (mode, *tile[3][1:]))
        opened.load()
        return np.asarray(opened), orientation(opened)


def _divided(values: np.ndarray) -> np.ndarray:
    """Colours that were multiplied by their opacity, as they were before."""
    opaque = values[..., 3:].astype(np.float32)
    colours = np.rint(np.clip(values[..., :3] * (WHITE / np.maximum(opaque, 1)), 0, WHITE))
    return np.concatenate([colours.astype(np.uint16), values[..., 3:]], axis=2)
