"""Activations that are computed whenever they are asked for: of what the disk may not hold, and of views that are drawn anew in each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from headstart.features import extraction, pictures
from headstart.features.cutting import Batch, Cache, Cutting
from headstart.features.extraction import Frozen, Job
from headstart.features.pictures import Wanted
from headstart.features.transforms import View

if TYPE_CHECKING:
    import torch


class Streamed:
    """Activations of a table's images in one view. Indexed like store.Rows: an integer array or a slice gives an array of those rows."""

    def __init__(self, frozen: Frozen, table: pd.DataFrame, root: Path, view: View, cache_gib: float = pictures.GIB) -> None:
        self.frozen, self._view = frozen, extraction.scaled(view, table)
        self._cache = Cache.of(table, extraction.FOLDER, cache_gib)
        self._paths, self._keys = [root / path for path in table["path"]], list(table["sha256"])
        self.shape = (len(self._keys), *frozen.shape)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        chosen = np.arange(len(self._keys))[index]
        if not len(chosen):
            return np.empty((0, *self.shape[1:]), np.float32)
        if self.frozen.engine.look is not None:
            look, batches = self.frozen.engine.look, self._cut(chosen, [(self._view,)] * len(chosen))
            return np.concatenate([look(batch.pixels, batch.looks) for batch in batches])
        # With an engine of one image a call, it is the callers that run side by side.
        jobs = [Job(self._paths[i], self._keys[i], (self._view,)) for i in chosen]
        return np.stack([rows[0] for rows in map(extraction.single(self.frozen), jobs)])

    def decode(self, what: str) -> None:
        """Have the pictures of all images at hand before the first of them is asked for, if a card runs this; `what` is for the progress line."""
        if self.frozen.engine.look is not None:
            self._cutting.decode([Wanted(path, key) for path, key in zip(self._paths, self._keys, strict=True)], what)

    @cached_property
    def _cutting(self) -> Cutting:
        return Cutting(self._view, len(self._keys), self._cache)

    def _cut(self, chosen: np.ndarray, views: Sequence[Sequence[View]]) -> Iterator[Batch]:
        wanted = [Wanted(self._paths[i], self._keys[i]) for i in chosen]
        return self._cutting.batches(wanted, views, self.frozen.engine.batch)


def there(views: Sequence[Streamed], images: np.ndarray, which: np.ndarray, place: torch.device) -> torch.Tensor:
    """Activations of `images` (m,) of the views of one table, each in the view that `which` (m,) names: float32 (m, ...) that never leave `place`.

    Only for engines that cut their views themselves.
    """
    import torch

    first = views[0]
    assert first.frozen.engine.there is not None
    parts = [
        part
        for batch in first._cut(images, [(views[number]._view,) for number in which.tolist()] if len(images) else [])
        for part in first.frozen.engine.there(batch.pixels, batch.looks, place)
    ]
    return torch.cat(parts) if parts else torch.empty((0, *first.shape[1:]), device=place)
