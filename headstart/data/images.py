"""Open photos of any kind as RGB, or say in a few words why a file is none.

Every file is decoded in full (PIL's verify() passes truncated JPEGs). The size, and the work that decoding takes, are checked before
anything is decoded. Safe in threads.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from headstart.base import files, grey
from headstart.base.grey import Grey, Span
from headstart.data import kinds, portable

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
DEEP = ";16"  # ends the mode of colour of 16 bits a channel
_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


class Unreadable(ValueError):
    """A file that cannot be used as a picture.

    The message is a short reason without paths, the same on every machine.
    """


@dataclass(frozen=True)
class Decoded:
    """A decoded file: the upright RGB picture, the mode it was stored in (RGB;16: 16 bits a channel) and its format.

    Of deep grey also the span of its values, and the values themselves, upright, as int32 or float32 (height, width).
    """

    image: Image.Image
    mode: str
    format: str
    span: Span | None = None
    values: np.ndarray | None = None


def open_image(source: Path | bytes, max_pixels: int = MAX_PIXELS, *, near: int | None = None, scale: Grey | None = None) -> Image.Image:
    """Decode a photo, given as a file or as its content, in full as RGB.

    The first frame, with the EXIF orientation applied, transparency over white, and deep grey made 8-bit on `scale`, that of the data set
    (without one: on the picture's own).

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
        mode, kind = _stored(image), image.format or ""
        if reason := _misread(image):
            raise Unreadable(reason)
        _check_size(image.size, max_pixels)
        try:
            plain = portable.read(file, image)
            if plain is None:
                _check_work(file, image)
                if near:
                    image.draft(None, (near, near))
                image.load()
            opened = plain or image
            _check_size((max(opened.width, 2), max(opened.height, 2)), max_pixels)  # an icon may hold more than its header says
            if is_deep(opened):
                values = _values(opened, _orientation(image))
                span = grey.span(values, portable.WHITE if plain else _white(file, image), opened.mode == "F")
                return Decoded(_eight_bit(values, scale), mode, kind, span, values)
            upright = as_rgb(opened)
        except (MemoryError, Unreadable):
            raise
        except Exception as error:
            raise Unreadable(_decoding_reason(error)) from None
    return Decoded(upright, mode, kind)


def as_rgb(image: Image.Image, scale: Grey | None = None) -> Image.Image:
    """A new picture in RGB, upright as its EXIF orientation says.

    Transparency lies over white, and deep grey is made 8-bit on `scale`.
    """
    if is_deep(image):
        return _eight_bit(_values(image, _orientation(image)), scale)
    return _upright(_rgb(image), _orientation(image))


def is_deep(image: Image.Image) -> bool:
    """Whether a picture is grey of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def _stored(image: Image.Image) -> str:
    """The mode in which a picture is stored: RGB;16 for colour of 16 bits a channel, of which Pillow keeps the upper 8."""
    return f"{image.mode}{DEEP}" if _is_cut(image) else image.mode


def _is_cut(image: Image.Image) -> bool:
    return not is_deep(image) and any(DEEP in str(tile[3]) for tile in getattr(image, "tile", ()))


def cut_to_eight(path: Path) -> bool:
    """Whether of a picture's 16 bits a channel only the upper 8 are used, as of all colour. Reads the header; False for no picture."""
    try:
        with files.open_regular(path) as file, _identify(file, path.name) as image:
            return _is_cut(image)
    except (Unreadable, OSError):
        return False


def has_own_scale(path: Path, scale: Grey | None) -> bool:
    """Whether a picture is deep grey of a kind for which `scale` says nothing, so that it is shown on its own. Reads the header."""
    try:
        with files.open_regular(path) as file, _identify(file, path.name) as image:
            return is_deep(image) and (scale is None or (scale.real if image.mode == "F" else scale.integer) is None)
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
    _hush()
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


def _hush() -> None:
    """Have Pillow keep to itself what it thinks of a file, and let a PNG hold more text than its 1 MiB; both once."""
    if _QUIET not in warnings.filters:  # catch_warnings would not be safe in threads
        warnings.filterwarnings("ignore", module=r"PIL\.")
    if PngImagePlugin.MAX_TEXT_CHUNK < TEXT:
        logging.getLogger("PIL").setLevel(logging.CRITICAL)
        PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = TEXT, 2 * TEXT


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


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 if there is none or it is broken."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    """A new RGB image, transparency over white."""
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(clear, mask=clear.getchannel("A"))
        return white
    return image.convert("RGB")


def _values(image: Image.Image, orientation: int) -> np.ndarray:
    """The raw values of deep grey, upright: float32 or int32 (height, width)."""
    values = np.asarray(image, np.float32 if image.mode == "F" else np.int32)
    return np.asarray(_upright(Image.fromarray(values), orientation))


def _eight_bit(values: np.ndarray, scale: Grey | None) -> Image.Image:
    return Image.fromarray(grey.eight_bit(values, values.dtype.kind == "f", scale)).convert("RGB")


def _white(file: IO[bytes], image: Image.Image) -> float:
    """The value that the file declares as its white, 0 if none: significant bits of a PNG, MaxSampleValue of a TIFF."""
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        for tag in (281, 341):
            found = tags.get(tag)
            value = float(found[0] if isinstance(found, tuple) and found else found or 0)
            if 255 < value < 65535 or (image.mode == "F" and value > 0):
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
            if head[4:] == b"sBIT" and 8 < content[0] < 16:
                return float(2 ** content[0] - 1)
    return 0.0


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
