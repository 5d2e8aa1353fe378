"""Open photos of any kind as RGB, and look at a file once for the manifest.

The manifest takes the hashes, the size, and whether the file is readable or why not.
Every file is decoded in full (PIL's verify() passes truncated JPEGs). The size is checked before anything is decoded. Safe in threads.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 100_000_000
# Formats that hold one picture and need no outside program (EPS starts Ghostscript).
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "TIFF",
    "BMP",
    "DIB",
    "PPM",
    "JPEG2000",
    "AVIF",
    "ICO",
    "PCX",
    "SGI",
    "QOI",
    "PSD",
    "DDS",
    "TGA",
)
SUFFIXES = frozenset(  # what counts as a photo if only the name is looked at
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".mpo", ".tif", ".tiff", ".bmp", ".dib", ".ppm", ".pgm", ".pbm"]
    + [".pnm", ".jp2", ".j2k", ".jpx", ".avif", ".ico", ".pcx", ".sgi", ".qoi", ".psd", ".dds", ".tga", ".heic", ".heif"]
)
_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


class Unreadable(ValueError):
    """A file that cannot be used as a picture.

    The message is a short reason without paths, the same on every machine.
    """


def open_image(source: Path | bytes, max_pixels: int = MAX_PIXELS, *, near: int | None = None) -> Image.Image:
    """Decode a photo, given as a file or as its content, in full as RGB.

    The first frame, with the EXIF orientation applied, transparency over white, and 16-bit scaled to 8.

    `near` hints that the caller will resize the shorter side to about that many pixels: JPEGs may then be decoded at a reduced scale,
    never below `near`. Raises Unreadable (truncated, not an image, too many pixels, zero bytes, no such file, no permission).
    """
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            return decode(file, max_pixels, near)[0]
    except OSError as error:
        raise Unreadable(system_reason(error)) from None


def looks_readable(path: Path) -> bool:
    """Whether the file starts like an image; reads its header only."""
    try:
        with path.open("rb") as file, _identify(file):
            return True
    except (Unreadable, OSError):
        return False


def decode(file: IO[bytes], max_pixels: int, near: int | None) -> tuple[Image.Image, str, str]:
    """The upright RGB image, the mode it was stored in and its format."""
    if max_pixels > (Image.MAX_IMAGE_PIXELS or max_pixels):
        Image.MAX_IMAGE_PIXELS = max_pixels  # PIL must not refuse what the user allows; only ever raised, so threads cannot disagree
    with _identify(file) as image:
        mode, kind = image.mode, image.format or ""
        _check_size(image.size, max_pixels)
        try:
            if near:
                image.draft(None, (near, near))
            image.load()
            _check_size((max(image.width, 2), max(image.height, 2)), max_pixels)  # an icon may hold more than its header says
            upright = as_rgb(image)
        except (MemoryError, Unreadable):
            raise
        except Exception as error:
            raise Unreadable(_decoding_reason(error)) from None
    return upright, mode, kind


def as_rgb(image: Image.Image) -> Image.Image:
    """A new picture in RGB, upright as its EXIF orientation says.

    Transparency lies over white, and grey of more than 8 bits is scaled to 8.
    """
    upright, orientation = _rgb(image), _orientation(image)
    upright.info = {}  # else a caller could apply the orientation twice
    upright.getexif()[ExifTags.Base.Orientation] = orientation
    ImageOps.exif_transpose(upright, in_place=True)
    return upright


def _identify(file: IO[bytes]) -> Image.Image:
    """Read the header. Raises Unreadable."""
    if _QUIET not in warnings.filters:  # catch_warnings would not be safe in threads
        warnings.filterwarnings("ignore", module=r"PIL\.")
    file.seek(0)
    head = file.read(16)
    if not head:
        raise Unreadable("zero bytes")
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypheif", b"ftypmif1", b"ftyphevc") and b"avif" not in head:
        raise Unreadable("HEIC is not supported: convert it to JPEG")
    try:
        return Image.open(file, formats=FORMATS)
    except MemoryError:
        raise
    except UnidentifiedImageError:
        raise Unreadable("not an image") from None
    except Image.DecompressionBombError:
        raise Unreadable("too many pixels") from None
    except Exception as error:
        raise Unreadable(_decoding_reason(error)) from None


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise Unreadable(f"too many pixels: {width}x{height}, the limit is {max_pixels}")
    if min(size) < 2:
        raise Unreadable(f"too small to hold a picture: {width}x{height}")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 if there is none or it is broken."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    """A new RGB image, transparency over white."""
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bit(image).convert("RGB")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(clear, mask=clear.getchannel("A"))
        return white
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits as 8 bits.

    What fits a common depth (8, 10, 12, 14, 16 bits; 0 to 1 for floats) keeps that scale, so that
    pictures of one camera stay comparable; anything else is stretched from its lowest to its highest value."""
    values = np.nan_to_num(np.asarray(image, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 65535:
        low, high = 0.0, float(next(top for top in (255, 1023, 4095, 16383, 65535) if high <= top))
    values -= low
    values *= 255 / max(high - low, 1e-30)
    return Image.fromarray(np.rint(values).astype(np.uint8))


def _decoding_reason(error: Exception) -> str:
    text = str(error).lower()
    early = isinstance(error, (EOFError, struct.error)) or any(
        sign in text for sign in ("truncated", "not processed", "unexpected end", "eof")
    )
    return "truncated: the file ends early" if early else "broken image data"


def system_reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return f"cannot be read: {error.strerror or type(error).__name__}"
