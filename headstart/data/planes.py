"""TIFF of 16 bits a channel that holds one plane per colour, as tifffile writes (3, height, width): Pillow reads such planes wrongly.

Each plane is read as the grey TIFF that it is, under a directory of its own.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from PIL import Image

_BITS, _PHOTOMETRIC, _OFFSETS, _BANDS, _COUNTS, _PLANAR = 258, 262, 273, 277, 279, 284
_TILE_OFFSETS, _TILE_COUNTS = 324, 325
_KEPT = (256, 257, 259, 266, 278, 317, 322, 323)  # width, height, compression, order of bits, rows, predictor, tiles


def is_planes(image: Image.Image) -> bool:
    """Whether a picture is RGB (with transparency or without) of 16 bits in planes."""
    if image.format != "TIFF" or getattr(image, "_planar_configuration", 1) != 2:
        return False
    tags = image.tag_v2  # type: ignore[attr-defined]
    return tags.get(_PHOTOMETRIC) == 2 and set(tags.get(_BITS, ())) == {16} and set(tags.get(339, (1,))) == {1}


def values(file: IO[bytes], image: Image.Image) -> np.ndarray:
    """The exact values, uint16 (height, width, 3 or 4)."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    file.seek(0)
    content = file.read()
    bands = tags[_BANDS]
    parts = [_plane(content, tags, number, bands) for number in range(len(image.getbands()))]
    return np.dstack(parts)


def _plane(content: bytes, tags: Mapping[int, Any], number: int, bands: int) -> np.ndarray:
    order = "<" if content[:2] == b"II" else ">"
    names = (_TILE_OFFSETS, _TILE_COUNTS) if _TILE_OFFSETS in tags else (_OFFSETS, _COUNTS)
    found: dict[int, list[int]] = {tag: [int(tags[tag])] for tag in _KEPT if isinstance(tags.get(tag), int)}
    for tag in names:
        every = tuple(tags[tag])
        each = len(every) // bands
        found[tag] = [int(value) for value in every[number * each : (number + 1) * each]]
    found |= {_BITS: [16], _PHOTOMETRIC: [1], _BANDS: [1], _PLANAR: [1]}
    start = len(content) + len(content) % 2
    head = content[:2] + struct.pack(order + "HI", 42, start)
    with Image.open(io.BytesIO(head + content[8:].ljust(start - 8, b"\0") + _directory(found, order, start)), formats=("TIFF",)) as plane:
        return np.asarray(plane).astype(np.uint16)


def _directory(found: dict[int, list[int]], order: str, start: int) -> bytes:
    """A directory of a TIFF at `start`, all its values in 32 bits."""
    entries, more = b"", b""
    for tag, numbers in sorted(found.items()):
        raw = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            more, raw = more + raw, struct.pack(order + "I", start + 6 + 12 * len(found) + len(more))
        entries += struct.pack(order + "HHI", tag, 4, len(numbers)) + raw
    return struct.pack(order + "H", len(found)) + entries + bytes(4) + more
