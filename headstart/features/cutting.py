"""From files to what a card cuts its views from: kept pictures (pictures.py), and the views as numbers (looking.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from headstart.base.cores import ahead
from headstart.features import pictures
from headstart.features.pictures import Pictures, Wanted
from headstart.features.store import Store
from headstart.features.transforms import View
from headstart.machinery.progress import Progress

if TYPE_CHECKING:
    from headstart.features.looking import Looks


@dataclass(frozen=True)
class Cache:
    """Where pictures are kept: `budget` bytes of `folder`, beside stores that are `needed` bytes long."""

    folder: Path
    budget: int = 0
    largest: int | None = None  # side of an image of the table, where it is known
    beside: Sequence[Store] = ()
    needed: int = 0

    @classmethod
    def of(cls, table: pd.DataFrame, folder: Path, gib: float, beside: Sequence[Store] = ()) -> Cache:
        """For the images of a table."""
        known = {"width", "height"} <= set(table.columns) and len(table) > 0
        largest = int(table[["width", "height"]].to_numpy().max()) if known else None
        return cls(folder, int(gib * 2**30), largest, beside, sum(len(table) * kept.row_bytes for kept in beside))


@dataclass(frozen=True)
class Batch:
    """Pictures (n, side, side, 3), and the views of them; `counts` says how many are of each picture."""

    counts: list[int]
    pixels: np.ndarray
    looks: Looks


class Cutting:
    """What is at hand of `count` files for views like `view`; pictures that were read stay known from one call to the next."""

    def __init__(self, view: View, count: int, cache: Cache) -> None:
        side = pictures.side(view, cache.largest)
        self._pictures = Pictures(side, view.grey, count, cache.folder, cache.budget, cache.beside, cache.needed)

    def decode(self, wanted: Sequence[Wanted], what: str) -> None:
        """Have the pictures that can be kept at hand. Raises as `batches` does."""
        if missing := self._pictures.missing(wanted):
            with Progress(len(missing), what) as progress:
                for rows in self._pictures.read(missing, pictures.TOGETHER):
                    progress.step(len(rows))

    def batches(self, wanted: Sequence[Wanted], views: Sequence[Sequence[View]], most: int) -> Iterator[Batch]:
        """The views of each file, in order, about `most` of them at a time; the next ones are made ready meanwhile.

        Raises DataError when a file has changed or gone since it was indexed.
        """
        together = max(1, most // max(map(len, views), default=1))

        def ready() -> Iterator[Batch]:
            from headstart.features import looking

            for number, rows in enumerate(self._pictures.read(wanted, together)):
                some = slice(number * together, (number + 1) * together)
                pixels, sizes, extents = pictures.unpacked(rows)
                identities = [one.sha256 for one in wanted[some]]
                looks = looking.plan(views[some], identities, sizes.tolist(), extents.tolist())
                yield Batch(list(map(len, views[some])), pixels, looks)

        return ahead(ready(), 2) if len(wanted) > together else ready()
