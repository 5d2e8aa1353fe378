"""Files of 16 bits a channel, written by hand, as Pillow writes none."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np

KINDS = {1: 0, 2: 4, 3: 2, 4: 6}  # colour type of a PNG by its number of bands
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))  # of Adam7


def png(values: np.ndarray, *, interlaced: bool = False, **chunks: bytes) -> bytes:
    """A PNG of uint16 (height, width, bands); its rows have the five filters in turn. `chunks` come before the pixels."""
    height, width, bands = values.shape
    parts = [values[y::down, x::right] for y, x, down, right in PASSES] if interlaced else [values]
    rows = b"".join(_filtered(part, bands) for part in parts if part.size)
    content = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, KINDS[bands], 0, 0, int(interlaced)))
    content += b"".join(_chunk(name.encode(), chunk) for name, chunk in chunks.items())
    return b"\x89PNG\r\n\x1a\n" + content + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _filtered(values: np.ndarray, bands: int) -> bytes:
    rows = np.frombuffer(values.astype(">u2").tobytes(), np.uint8).reshape(len(values), -1).astype(np.int64)
    step = 2 * bands
    out = b""
    for number, row in enumerate(rows):
        above = rows[number - 1] if number else np.zeros_like(row)
        left, corner = (np.concatenate([np.zeros(step, np.int64), line[:-step]]) for line in (row, above))
        guesses = (np.zeros_like(row), left, above, (left + above) // 2, _paeth(left, above, corner))
        out += bytes([number % 5]) + ((row - guesses[number % 5]) % 256).astype(np.uint8).tobytes()
    return out


def _paeth(left: np.ndarray, above: np.ndarray, corner: np.ndarray) -> np.ndarray:
    guess = left + above - corner
    a, b, c = (abs(guess - one) for one in (left, above, corner))
    return np.where((a <= b) & (a <= c), left, np.where(b <= c, above, corner))


def ppm(values: np.ndarray, most: int = 65535) -> bytes:
    return b"P6 %d %d %d\n" % (values.shape[1], values.shape[0], most) + values.astype(">u2").tobytes()


def tiff(
    values: np.ndarray,
    *,
    order: str = "<",
    packed: bool = False,
    differences: bool = False,
    planes: bool = False,
    rows: int = 5,
    **tags: int,
) -> bytes:
    """A TIFF of uint16 (height, width, bands) in strips. `tags`: extra (what the last band is), photometric, most (MaxSampleValue)."""
    height, width, bands = values.shape
    parts = [values[..., band : band + 1] for band in range(bands)] if planes else [values]
    pack: Callable[[bytes], bytes] = zlib.compress if packed else bytes
    strips = [pack(_changed(part[top : top + rows], order, differences)) for part in parts for top in range(0, height, rows)]
    offsets = [8 + sum(map(len, strips[:number])) for number in range(len(strips))]
    body = b"".join(strips)
    body += bytes(len(body) % 2)
    found = {256: [width], 257: [height], 258: [16] * bands, 259: [8 if packed else 1], 262: [tags.get("photometric", 2)], 273: offsets}
    found |= {277: [bands], 278: [rows], 279: [len(strip) for strip in strips], 284: [1 + planes], 317: [1 + differences]}
    found |= {number: [tags[name]] for name, number in (("extra", 338), ("most", 281)) if name in tags}
    start = 8 + len(body)
    entries, more = b"", b""
    for tag, numbers in sorted(found.items()):
        kind, letter = (4, "I") if tag in (273, 279) else (3, "H")
        raw = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        if len(raw) > 4:
            more, raw = more + raw, struct.pack(order + "I", start + 6 + 12 * len(found) + len(more))
        entries += struct.pack(order + "HHI", tag, kind, len(numbers)) + raw.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    return head + body + struct.pack(order + "H", len(found)) + entries + bytes(4) + more


def _changed(values: np.ndarray, order: str, differences: bool) -> bytes:
    if differences:
        values = np.concatenate([values[:, :1], values[:, 1:] - values[:, :-1]], axis=1)
    return values.astype(order + "u2").tobytes()
