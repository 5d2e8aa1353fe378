"""Rows of features that are read in blocks, so that memory does not grow with the number of images."""

from __future__ import annotations

from typing import Protocol

import numpy as np

BLOCK = 4096  # rows read at a time


class Features(Protocol):
    """Rows (n, d) that are read by slice or by integer array: a NumPy array, or store.Rows."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice | np.ndarray, /) -> np.ndarray: ...


class Selected:
    """Some rows of features, read only when asked for."""

    def __init__(self, features: Features, rows: np.ndarray) -> None:
        self._features, self._rows = features, rows
        self.shape = (len(rows), features.shape[1])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        return self._features[self._rows[index]]


def blocks(n: int, size: int | None = None) -> list[slice]:
    """Slices of at most `size` rows (BLOCK if none is given) that cover n rows."""
    size = BLOCK if size is None else size
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
