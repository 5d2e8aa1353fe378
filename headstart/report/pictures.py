"""Images of the data set as thumbnails within the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from headstart.base.grey import Grey
from headstart.data import images

THUMBNAIL, SMALL = 160, 56  # pixels, longer side
TINY = 64  # images smaller than this (pixels, longer side) are shown enlarged with their pixels visible
ANY_SIZE = 2**31  # pixels: what was too large for this data set was set aside when it was indexed


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a data URL and its size on the page (pixels), or why there is none."""

    url: str
    size: tuple[int, int] = (0, 0)
    tiny: bool = False
    why: str = ""


def picture(
    path: Path, grey: Grey | None = None, side: int = THUMBNAIL, change: Callable[[Image.Image], Image.Image] | None = None
) -> Picture:
    """A thumbnail of `side` pixels, as `change` leaves it; `grey` is the scale of the data set's images of more than 8 bits a channel.

    Tiny images keep their pixels: they are stored without loss, and enlarged by the browser.
    """
    try:
        image = images.open_image(path, ANY_SIZE, near=side, scale=grey)
    except images.Unreadable as error:
        return Picture("", why=str(error))
    tiny = max(image.size) < TINY
    buffer = io.BytesIO()
    if tiny:
        image = change(image) if change else image
        image.save(buffer, "PNG", optimize=True)
    else:
        image.thumbnail((side, side))
        image = change(image) if change else image
        image.save(buffer, "JPEG", quality=82, optimize=True)
    scale = side / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    kind = "png" if tiny else "jpeg"
    return Picture(f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}", (width, height), tiny)
