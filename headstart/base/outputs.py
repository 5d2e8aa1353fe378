"""Write outputs so that no half-made one is ever seen.

An output is written under a temporary name and renamed when it is complete.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, for a file or a folder.

    It becomes `path` if the block ends well, and is removed if not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """As `whole`, for a folder, which is there to be filled."""
    with whole(path) as temporary:
        temporary.mkdir()
        yield temporary


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; the same content gives the same bytes."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file that an earlier stage wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_bytes(path: Path) -> bytes | None:
    """What a file holds, None if there is none."""
    return path.read_bytes() if path.exists() else None


def put_back(files: Mapping[Path, bytes | None]) -> None:
    """Have files hold what they held; None: not there. What holds it already is left alone."""
    for path, wanted in files.items():
        if wanted is None:
            path.unlink(missing_ok=True)
        elif read_bytes(path) != wanted:
            with whole(path) as temporary:
                temporary.write_bytes(wanted)


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; {} if there is none.

    It is also {} if the file holds something else. For callers that can do without the object.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
