"""Files of images as they were indexed: what has changed or gone since is refused."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from headstart.base import files
from headstart.data import images
from headstart.machinery.errors import DataError


@contextlib.contextmanager
def content(path: Path, sha256: str) -> Iterator[bytes]:
    """The content of a file of this SHA-256, to be decoded in the block.

    Raises DataError if it is another one, or cannot be read or decoded any more.
    """
    try:
        with files.open_regular(path) as file:
            found = file.read()
        if hashlib.sha256(found).hexdigest() == sha256:
            yield found
            return
    except (images.Unreadable, OSError) as error:
        raise DataError(
            f"{path} was readable when the images were indexed and is not now ({error}); the data changed during the run: run again"
        ) from None
    raise DataError(f"{path} is not the file that was indexed; the data changed during the run: run again")
