"""Open ordinary files only: a pipe would be waited for without end, and a device never ends."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path


class NoFile(OSError):
    """Something that can be opened and is no ordinary file: a pipe, a socket, a device."""


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading, without waiting for anybody.

    Raises NoFile for a pipe, a socket or a device, IsADirectoryError for a folder, and the OSError of a file that cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        if not isinstance(error, FileNotFoundError | PermissionError) and path.is_socket():
            raise NoFile(0, "no ordinary file", str(path)) from None
        raise
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISREG(kind):
            return os.fdopen(descriptor, "rb")
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(21, "Is a directory", str(path))
        raise NoFile(0, "no ordinary file", str(path))
    except BaseException:
        os.close(descriptor)
        raise
