"""Which files are meant to be photos: the question that import, indexing, prediction and every other walk ask of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from headstart.data import clutter, images, kinds


def is_sidecar(path: Path) -> bool:
    """Whether a file is no photo and not meant to be one: by its name (clutter.SIDECARS), or as nothing in it is a picture.

    A name that ends as pictures, raw files, scans or videos do is meant to be one, whatever the file holds. Of other files the first bytes
    are read: an mp3, a project of some program, a file of a sync tool is none, and a picture without an ending is one.
    """
    if clutter.is_sidecar(path.name):
        return True
    if path.suffix.lower() in images.SUFFIXES or kinds.by_suffix(path.name):
        return False
    return images.why_not(path) in kinds.NOTHING


def walk(folder: Path) -> Iterator[Path]:
    """The files below a folder that are meant to be photos, as clutter.walk gives them."""
    return (path for path in clutter.walk(folder) if not is_sidecar(path))


def holds_any(folder: Path) -> bool:
    """Whether any file below a folder is meant to be a photo; also if that cannot be looked up."""
    try:
        return any(True for _ in walk(folder))
    except OSError:
        return True
