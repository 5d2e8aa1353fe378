"""Decoded pixels as if they were features.

A frozen part that does nothing, for networks that are trained from the image on.
"""

from __future__ import annotations

from headstart.features import extraction
from headstart.features.engines import Engine

PIXELS = "uint8"


def decoder(size: int) -> extraction.Frozen:
    """A frozen part that does nothing, so that the images themselves are stored.

    They are uint8 (size, size, 3).
    """
    return extraction.Frozen("pixels", size, Engine("pixels", 1, lambda images: images), (size, size, 3))


def pixel_bytes(size: int, images: int) -> int:
    """Bytes of `images` stored images of `size` pixels a side."""
    return images * size * size * 3
