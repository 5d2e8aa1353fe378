"""Open photos of any kind as RGB, or say in a few words why a file is none.

Every file is decoded in full (PIL's verify() passes truncated JPEGs). The size, and the work that decoding takes, are checked before
anything is decoded. Safe in threads.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from headstart.base import files
from headstart.base.grey import Grey
from headstart.data import deep, hushed, kinds, portable
from headstart.data.deep import Deep

MAX_PIXELS = 100_000_000
# Formats that hold one picture and need no outside program (EPS starts Ghostscript).
FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "PPM", "JPEG2000", "AVIF", "ICO", "PCX", "SGI", "QOI", "PSD", "DDS"),
    "TGA",
)
SUFFIXES = frozenset(  # what counts as a photo if only the name is looked at
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".mpo", ".tif", ".tiff", ".bmp", ".dib", ".ppm", ".pgm", ".pbm"]
    + [".pnm", ".jp2", ".j2k", ".jpx", ".avif", ".ico", ".pcx", ".sgi", ".qoi", ".psd", ".dds", ".tga", ".heic", ".heif"]
)
SLOW_PIXELS = 4_000_000  # most pixels of a format that Pillow decodes in Python, at about a microsecond each
SCANS = 2_000_000_000  # most pixels x scans of a progressive JPEG: 20 scans of the largest picture, where 10 are usual
TEXT = 2**26  # most bytes of text or of an ICC profile in a PNG, unpacked; they are read and not used


class Unreadable(ValueError):
    """A file that cannot be used as a picture.

    The message is a short reason without paths, the same on every machine.
    """


@dataclass(frozen=True)
class Decoded:
    """A decoded file: the upright RGB picture, the mode it was stored in (RGB;16: 16 bits a channel), its format, and its values if it is deep."""

    image: Image.Image
    mode: str
    format: str
    deep: Deep | None = None


def open_image(source: Path | bytes, max_pixels: int = MAX_PIXELS, *, near: int | None = None, scale: Grey | None = None) -> Image.Image:
    """Decode a photo, given as a file or as its content, in full as RGB.

    The first frame, with the EXIF orientation applied, transparency over white, and what has more than 8 bits made 8-bit on `scale`, that
    of the data set (without one: on the picture's own).

    `near` hints that the caller will resize the shorter side to about that many pixels: JPEGs may then be decoded at a reduced scale,
    never below `near`. Raises Unreadable (truncated, not an image, too many pixels, zero bytes, no such file, no ordinary file, no
    permission).
    """
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else files.open_regular(source) as file:
            return decode(file, max_pixels, near, scale, source.name if isinstance(source, Path) else "").image
    except OSError as error:
        raise Unreadable(system_reason(error)) from None


def why_not(path: Path) -> str:
    """Why a file does not start like an image that can be read, "" if it does; reads its header only, of usual photos 16 bytes."""
    try:
        with files.open_regular(path) as file:
            if file.read(16).startswith(kinds.USUAL):
                return ""
            with _identify(file, path.name) as image:
                return _misread(image)
    except Unreadable as error:
        return str(error)
    except OSError as error:
        return system_reason(error)


def decode(file: IO[bytes], max_pixels: int, near: int | None, scale: Grey | None = None, name: str = "") -> Decoded:
    """Decode an open file. `name` is its name, which may tell what kind of file it is if nothing else does. Raises Unreadable."""
    if max_pixels > (Image.MAX_IMAGE_PIXELS or max_pixels):
        Image.MAX_IMAGE_PIXELS = max_pixels  # PIL must not refuse what the user allows; only ever raised, so threads cannot disagree
    with _identify(file, name) as image:
        mode, kind = deep.stored(image), image.format or ""
        if reason := _misread(image):
            raise Unreadable(reason)
        _check_size(image.size, max_pixels)
        try:
            if deep.is_colour(image):
                return _shown(deep.of_file(file, image), mode, kind, scale)
            plain = portable.read(file, image)
            if plain is None:
                _check_work(file, image)
                if near:
                    image.draft(None, (near, near))
                image.load()
            opened = plain or image
            _check_size((max(opened.width, 2), max(opened.height, 2)), max_pixels)  # an icon may hold more than its header says
            if deep.is_grey(opened):
                white = portable.WHITE if plain else deep.declared_white(file, image)
                return _shown(deep.of_image(opened, white), mode, kind, scale)
            return Decoded(as_rgb(opened), mode, kind)
        except (MemoryError, Unreadable):
            raise
        except Exception as error:
            raise Unreadable(_decoding_reason(error)) from None


def _shown(found: Deep, mode: str, kind: str, scale: Grey | None) -> Decoded:
    return Decoded(found.shown(scale), mode, kind, found)


def as_rgb(image: Image.Image, scale: Grey | None = None) -> Image.Image:
    """A new picture in RGB, upright as its EXIF orientation says.

    Transparency lies over white, and deep grey is made 8-bit on `scale`. So is colour of 16 bits a channel if the picture's file is still
    open; else Pillow has left the upper 8 bits of it.
    """
    if deep.is_grey(image):
        return deep.of_image(image).shown(scale)
    file = getattr(image, "fp", None)
    if file and deep.is_colour(image):
        return deep.of_file(file, image).shown(scale)
    return _upright(_rgb(image), deep.orientation(image))


def cut_to_eight(path: Path) -> bool:
    """Whether of a picture's 16 bits a channel only the upper 8 are used (headstart/data/deep.py). Reads the header; False for no picture."""
    try:
        with files.open_regular(path) as file, _identify(file, path.name) as image:
            return deep.is_cut(image)
    except (Unreadable, OSError):
        return False


def has_own_scale(path: Path, scale: Grey | None) -> bool:
    """Whether a picture is deep and of a kind for which `scale` says nothing, so that it is shown on its own. Reads the header."""
    try:
        with files.open_regular(path) as file, _identify(file, path.name) as image:
            known = scale and (scale.real if image.mode == "F" else scale.integer)
            return known is None and (deep.is_grey(image) or deep.is_colour(image))
    except (Unreadable, OSError):
        return False


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn a picture of our own, in place."""
    image.info = {}  # else a caller could apply the orientation twice
    image.getexif()[ExifTags.Base.Orientation] = orientation
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _identify(file: IO[bytes], name: str) -> Image.Image:
    """Read the header. Raises Unreadable."""
    hushed.pillow(TEXT)
    file.seek(0)
    head = file.read(kinds.HEAD)
    if not head:
        raise Unreadable(kinds.ZERO_BYTES)
    if reason := kinds.by_head(head, name):
        raise Unreadable(reason)
    try:
        return Image.open(file, formats=(*FORMATS, "HEIF") if head[4:8] == b"ftyp" and "HEIF" in Image.OPEN else FORMATS)
    except MemoryError:
        raise
    except UnidentifiedImageError:
        raise Unreadable(kinds.otherwise(file, head, name)) from None
    except Image.DecompressionBombError:
        raise Unreadable("too many pixels") from None
    except Exception as error:
        raise Unreadable(_decoding_reason(error)) from None


def _misread(image: Image.Image) -> str:
    """What is said of a file that Pillow reads wrongly: a camera's raw file, which Pillow takes for a TIFF, or for the small preview in it; "" for pictures."""
    return kinds.of_tags(image.tag_v2) if image.format == "TIFF" else ""  # type: ignore[attr-defined]


def _check_work(file: IO[bytes], image: Image.Image) -> None:
    """Refuse what would take minutes to decode although it has few enough pixels."""
    pixels = image.width * image.height
    tiles = getattr(image, "tile", ())
    if pixels > SLOW_PIXELS and any(tile[0] in Image.DECODERS for tile in tiles):
        raise Unreadable(f"would take too long to decode: {image.width}x{image.height} as {image.format}; convert it to PNG")
    if image.info.get("progressive") and image.format in ("JPEG", "MPO"):
        place = file.tell()
        file.seek(0)
        scans = file.read().count(b"\xff\xda")
        file.seek(place)
        if scans * pixels > SCANS:
            raise Unreadable(f"would take too long to decode: {scans} scans of {image.width}x{image.height}; save it again as JPEG")


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise Unreadable(f"too many pixels: {width}x{height}, the limit is {max_pixels}")
    if min(size) < 2:
        raise Unreadable(f"too small to hold a picture: {width}x{height}")


def _rgb(image: Image.Image) -> Image.Image:
    """A new RGB image, transparency over white."""
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(clear, mask=clear.getchannel("A"))
        return white
    return image.convert("RGB")


def _decoding_reason(error: Exception) -> str:
    text = str(error).lower()
    if "text chunks" in text or "decompressed data too large" in text:
        return f"a PNG with more than {TEXT >> 20} MiB of text: save it without"
    early = isinstance(error, (EOFError, struct.error)) or any(
        sign in text for sign in ("truncated", "not processed", "unexpected end", "eof")
    )
    return "truncated: the file ends early" if early else kinds.BROKEN


def system_reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, files.NoFile):
        return "no ordinary file (a pipe, a socket or a device)"
    return f"cannot be read: {error.strerror or type(error).__name__}"
