"""Look at a file once for the manifest: hashes, size, readable or why not.

Every file is decoded in full (PIL's verify() passes truncated JPEGs). Safe in threads.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from headstart.base import files
from headstart.base.grey import Span
from headstart.data import images
from headstart.data.images import Unreadable


def inspect(path: Path, max_pixels: int = images.MAX_PIXELS) -> dict[str, Any]:
    """What the manifest holds about one file, from one read of it.

    width, height (pixels, upright), mode and format (as stored), bytes, sha256 of the file, pixels_sha256 of the upright RGB pixels (of
    what has more than 8 bits: of its values) with their size, phash (16 hex digits), readable, and the reason if not.

    Raises FileNotFoundError if the file is gone.
    """
    return look(path, max_pixels)[0]


def look(path: Path, max_pixels: int = images.MAX_PIXELS) -> tuple[dict[str, Any], Span | None]:
    """What `inspect` says of a file, and the span of its values if it has more than 8 bits."""
    row: dict[str, Any] = {"width": 0, "height": 0, "mode": "", "format": "", "bytes": 0, "sha256": "", "pixels_sha256": "", "phash": ""}
    try:
        with files.open_regular(path) as file:
            row["bytes"] = os.fstat(file.fileno()).st_size
            row["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
            found = images.decode(file, max_pixels, None, name=path.name)
    except FileNotFoundError:
        raise
    except (Unreadable, OSError) as error:
        reason = str(error) if isinstance(error, Unreadable) else images.system_reason(error)
        return row | {"readable": False, "reason": reason}, None
    image = found.image
    row |= {"width": image.width, "height": image.height, "mode": found.mode, "format": found.format}
    pixels = hash_values(found.deep.values) if found.deep else hash_pixels(image)
    span = found.deep.span() if found.deep else None
    return row | {"pixels_sha256": pixels, "phash": perceptual_hash(image), "readable": True, "reason": ""}, span


def hash_file(path: Path) -> str:
    """SHA-256 (hex) of a file. Raises FileNotFoundError if it is gone; "" if it cannot be read."""
    try:
        with files.open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise
    except OSError:
        return ""


def hash_values(values: np.ndarray) -> str:
    """SHA-256 (hex) of the size and the values of a deep picture, whatever the scale on which they are shown."""
    return hashlib.sha256(f"{values.dtype.kind} {values.shape[1]}x{values.shape[0]}\n".encode() + values.tobytes()).hexdigest()


def hash_pixels(image: Image.Image) -> str:
    """SHA-256 (hex) of an image's size and pixels.

    The pixels are taken in strips, so that a large image is not copied whole.
    """
    digest = hashlib.sha256(f"{image.mode} {image.width}x{image.height}\n".encode())
    rows = max(1, 4_000_000 // image.width)
    for top in range(0, image.height, rows):
        whole = rows >= image.height
        strip = image if whole else image.crop((0, top, image.width, min(top + rows, image.height)))
        digest.update(strip.tobytes())
    return digest.hexdigest()


def perceptual_hash(image: Image.Image) -> str:
    """The 64-bit DCT perceptual hash as 16 hex digits.

    The image is made 32x32 grey; each of the 8x8 lowest frequencies is compared with their median. Coefficients are rounded to steps of 2
    grey levels first: what is flat gets few bits set, rather than random ones from rounding errors, and the last bits of floating point
    never decide.
    """
    grey = image.convert("L").resize((32, 32), Image.Resampling.LANCZOS, reducing_gap=2.0)
    low = np.rint(_COSINES @ np.asarray(grey, np.float64) @ _COSINES.T / 2)
    return np.packbits(low > np.median(low)).tobytes().hex()


def _cosines() -> np.ndarray:
    """The first 8 rows of the orthonormal 32-point DCT-II matrix."""
    frequency, place = np.arange(8)[:, None], np.arange(32)[None, :]
    rows = np.cos(np.pi * (2 * place + 1) * frequency / 64) * np.sqrt(2 / 32)
    rows[0] /= np.sqrt(2)
    return rows


_COSINES = _cosines()
