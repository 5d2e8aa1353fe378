"""What libraries say of a picture on their own is kept off the terminal: the reason why it cannot be read is ours to give."""

from __future__ import annotations

import ctypes
import functools
import logging
import re
import warnings
from pathlib import Path

import PIL
from PIL import PngImagePlugin

_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


def pillow(text: int) -> None:
    """Have Pillow keep to itself what it thinks of a file, and let a PNG hold `text` bytes of text instead of 1 MiB; safe in threads."""
    if _QUIET not in warnings.filters:  # catch_warnings would not be safe in threads
        warnings.filterwarnings("ignore", module=r"PIL\.")
    if text > PngImagePlugin.MAX_TEXT_CHUNK:
        logging.getLogger("PIL").setLevel(logging.CRITICAL)
        PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = text, 2 * text
    _tiff()


@functools.cache
def _tiff() -> None:
    """Have libtiff, which writes its complaints to standard error itself, keep them; if it is not found, it goes on writing."""
    for path in _loaded():
        try:
            library = ctypes.CDLL(path)
            for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler", "TIFFSetErrorHandlerExt", "TIFFSetWarningHandlerExt"):
                handler = getattr(library, name)
                handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
                handler(None)
        except (OSError, AttributeError):
            continue


def _loaded() -> list[str]:
    """The files of libtiff in this process: as the kernel lists them, else those that Pillow brought."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        return sorted({line.split(maxsplit=5)[5] for line in lines if "libtiff" in line})
    except OSError:
        home = Path(PIL.__file__).parent
        return [str(path) for folder in (home / ".dylibs", home.parent / "pillow.libs") for path in folder.glob("libtiff*")]
