"""What goes to a terminal is text: names of files and classes may hold what clears a screen, and never do so here."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

# Control characters but for line ends and tabs, marks that turn the direction of text, line ends of Unicode, and bytes that are no UTF-8.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_IN_NAMES = re.compile(f"{_CONTROL.pattern}|[\t\n]")


def plain(text: str) -> str:
    """Text with its control characters written out (\\x1b); its lines and tabs stay."""
    return _CONTROL.sub(_written_out, text)


def name(text: str) -> str:
    """A name with all its control characters written out, line ends too: one name, one line."""
    return _IN_NAMES.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte that is not UTF-8
        code -= 0xDC00
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


class _Plain:
    """A stream that writes plain text. A carriage return may begin what is written: progress rewrites its line with it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        first = "\r" if text.startswith("\r") and text != "\r\n" else ""
        self._stream.write(first + plain(text[len(first) :].replace("\r\n", "\n")))
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _open_closed() -> None:
    """Open the standard streams that whoever started this process has closed: the next file that is opened would get their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, Path(os.devnull).open("w" if number else "r", encoding="utf-8"))  # noqa: SIM115 (to the end of the process)


@contextlib.contextmanager
def plain_streams() -> Iterator[None]:
    """Have standard output and standard error write plain text meanwhile; one that was closed writes nowhere.

    What the encoding of a stream lacks, as ASCII does nearly all, is written out.
    """
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
    with contextlib.redirect_stdout(cast(TextIO, _Plain(sys.stdout))), contextlib.redirect_stderr(cast(TextIO, _Plain(sys.stderr))):
        yield
