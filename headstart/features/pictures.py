"""Pictures decoded once, for a card that cuts its views from them: uint8, each side at most so many pixels.

Every network, view and epoch is served from the same rows, so that an image is decoded once and not once for each of them. They lie in a store
as features do (store.py), in parts that processes write; what does not fit the disk's budget is decoded whenever it is asked for. A CPU
has no use for them: its networks take longer than decoding, and its views are cut from the file itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from headstart.base import cores, processes
from headstart.base.code import fingerprint
from headstart.base.cores import in_order
from headstart.base.grey import Grey
from headstart.data import images, indexed
from headstart.features import parts
from headstart.features.store import Store, prune
from headstart.features.transforms import View

# Pixels of the longest side that is kept: the next one above what a view needs, so that networks of several sizes share their pictures.
SIDES = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)
LONG = 4 / 3  # of a usual photo's shorter side: so wide a picture has all the pixels that a view of its middle asks for
HEADER = 8  # bytes before the pixels of a row: width and height of the picture as it was decoded
TOGETHER = 64  # pictures that one process decodes before it hands them over
GIB = 20.0  # of the disk for pictures, if no cache_gib says otherwise
_DECIDE = ("headstart.base.grey", "headstart.data.deep", "headstart.data.images", "headstart.data.planes", "headstart.data.portable")


@dataclass(frozen=True)
class Wanted:
    """A file that is to be decoded, and the SHA-256 that it was indexed with."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class _Some:
    """What one process decodes: it is data, so that it travels. `place`: folder and name of the store for which it is written, if any."""

    wanted: tuple[Wanted, ...]
    side: int
    scale: Grey | None
    place: tuple[Path, str] | None


def side(view: View, largest: int | None = None) -> int:
    """Pixels of the longest side of the pictures that serve `view`; `largest` is that of the images, where it is known."""
    needed = round(view.size / view.crop * LONG)
    needed = needed if largest is None else min(needed, largest)
    return next((one for one in SIDES if one >= needed), SIDES[-1])


def row_bytes(pixels: int) -> int:
    """Bytes of one picture of at most so many pixels a side."""
    return HEADER + 3 * pixels * pixels


def packed(image: Image.Image, pixels: int) -> np.ndarray:
    """A picture as a row (row_bytes,): its size, and in the corner of a square its pixels; a side that is too long is made shorter by itself."""
    wide, high = min(image.width, pixels), min(image.height, pixels)
    small = image if (wide, high) == image.size else image.resize((wide, high), Image.Resampling.BICUBIC, reducing_gap=3.0)
    row = np.zeros(row_bytes(pixels), np.uint8)
    row[:HEADER] = np.array(image.size, "<u4").view(np.uint8)
    row[HEADER:].reshape(pixels, pixels, 3)[:high, :wide] = np.asarray(small)
    return row


def unpacked(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures (n, side, side, 3) of rows (n, row_bytes), the sizes (n, 2) in which they were decoded, and what is at hand of them (n, 2)."""
    pixels = round(((rows.shape[1] - HEADER) / 3) ** 0.5)
    sizes = np.ascontiguousarray(rows[:, :HEADER]).view("<u4").astype(np.int64)
    return rows[:, HEADER:].reshape(len(rows), pixels, pixels, 3), sizes, np.minimum(sizes, pixels)


class Pictures:
    """The pictures of some files, at most `pixels` a side, kept in `folder` as far as `budget` bytes allow.

    `scale` is that of images of more than 8 bits. `beside` are stores that are needed at the same time, and `needed` their bytes.
    """

    def __init__(
        self, pixels: int, scale: Grey | None, count: int, folder: Path, budget: int, beside: Sequence[Store] = (), needed: int = 0
    ) -> None:
        self.pixels, self._scale, self._count = pixels, scale, count
        self._new: dict[str, np.ndarray] = {}  # rows of parts that were written since the store was opened
        needed += count * row_bytes(pixels)
        self._store: Store | None = None
        if needed <= budget:
            self._store = _store(pixels, scale, folder)
            prune(folder, [self._store, *beside], needed, budget)

    def missing(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """The files, each once, whose pictures are kept and not at hand yet; none if they are not kept."""
        if self._store is None:
            return []
        lacking = set(self._store.missing(one.sha256 for one in wanted)) - set(self._new)
        return list({one.sha256: one for one in wanted if one.sha256 in lacking}.values())

    def read(self, wanted: Sequence[Wanted], together: int) -> Iterator[np.ndarray]:
        """Rows (n, row_bytes) of the files, in order, `together` at a time; what is missing is decoded meanwhile.

        Raises DataError when a file has changed or gone since it was indexed.
        """
        store = self._store
        missing = {one.sha256 for one in wanted if one.sha256 not in self._new}
        missing = missing if store is None else set(store.missing(missing))
        place = None if store is None else (store.folder, store.stem)
        given: set[str] = set()  # twins are decoded once if they are kept

        def lacking(some: Sequence[Wanted]) -> _Some:
            new = {one.sha256: one for one in some if one.sha256 in missing - given}
            given.update(new)
            return _Some(tuple(some) if store is None else tuple(new.values()), self.pixels, self._scale, place)

        # What is not kept is needed at once, so that all cores share it.
        size = TOGETHER if store is not None else min(TOGETHER, -(-together // cores.workers()))
        pieces = [_split(group, size) for group in _split(wanted, together)]
        many: Callable[..., Iterator[np.ndarray | Path | None]] = in_order
        if missing and processes.pay(len(missing) if store is not None else self._count):
            many = processes.in_order
        done = many(_decoded, [lacking(piece) for group in pieces for piece in group])
        for group in pieces:
            yield np.concatenate([self._rows(piece, next(done)) for piece in group])

    def _rows(self, piece: Sequence[Wanted], done: np.ndarray | Path | None) -> np.ndarray:
        """Rows of some pictures, of which those that were missing are `done`: in memory, or in a part."""
        if self._store is None:
            assert isinstance(done, np.ndarray)
            return done
        if isinstance(done, Path):
            part = parts.one(done, self._store.row_bytes)
            rows = np.memmap(part.path, np.uint8, "r", shape=(len(part.keys), self._store.row_bytes))
            self._new.update(zip(part.keys, rows, strict=True))
        kept = [one.sha256 for one in piece if one.sha256 not in self._new]
        old = iter(self._store.rows(kept)[:]) if kept else iter(())
        return np.stack([self._new[one.sha256] if one.sha256 in self._new else next(old) for one in piece])


def _split(wanted: Sequence[Wanted], size: int) -> list[Sequence[Wanted]]:
    return [wanted[start : start + size] for start in range(0, len(wanted), size)]


def _store(pixels: int, scale: Grey | None, folder: Path) -> Store:
    """The store of pictures of at most so many pixels a side."""
    named = {
        "pictures": pixels,
        "grey": json.dumps(scale.to_json()) if scale else "",
        "code": fingerprint("headstart.features.pictures", *_DECIDE),
        "pillow": version("pillow"),
    }
    return Store(folder, named, (row_bytes(pixels),), "uint8")


def _decoded(some: _Some) -> np.ndarray | Path | None:
    """What a process does: decode pictures, and write them as a part of their store, or give them (n, row_bytes)."""
    if not some.wanted:
        return None
    rows = np.stack([_picture(one, some.side, some.scale) for one in some.wanted])
    if some.place is None:
        return rows
    keys = [one.sha256 for one in some.wanted]
    with parts.writing(*some.place, keys) as file:
        file.write(rows.tobytes())
    return parts.path(*some.place, keys)


def _picture(wanted: Wanted, pixels: int, scale: Grey | None) -> np.ndarray:
    with indexed.content(wanted.path, wanted.sha256) as found, images.open_image(found, near=pixels, scale=scale) as image:
        return packed(image, pixels)
