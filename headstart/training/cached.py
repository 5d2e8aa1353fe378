"""What a training sees of its images: activations below what is trained.

They are kept on disk as far as the budget allows, else computed anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headstart.data import encoding
from headstart.features import extraction
from headstart.features.extraction import Frozen
from headstart.features.store import prune
from headstart.features.streamed import Streamed
from headstart.features.transforms import View
from headstart.training import checkpoints
from headstart.training.examples import Activations, Examples


@dataclass(frozen=True)
class Photos:
    """The images that a training learns from and is measured on.

    The rows of a table, the folder of their files, and the classes in order.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    root: Path
    classes: list[str]

    @classmethod
    def of(cls, table: pd.DataFrame, root: Path, classes: list[str]) -> Photos:
        """The train and the validation split of a table."""
        train, validation = (table[table["split"] == split].reset_index(drop=True) for split in ("train", "validation"))
        return cls(train, validation, root, classes)


@dataclass(frozen=True)
class Wanted:
    """Which activations a training wants."""

    frozen: Frozen  # what computes them
    drawn: list[View]  # random views of the training images
    plain: View  # of the validation images
    dtype: str  # in which they are kept
    what: str  # for the progress line


def examples(photos: Photos, wanted: Wanted, fitting: int, cache_gib: float) -> tuple[Examples, Examples]:
    """Examples of the training and of the validation images.

    From the disk: the training images in the first `fitting` of the drawn views, and the validation images.
    If not even one view fits (`fitting` is 0), all views are given, computed whenever they are asked for. At most `cache_gib` are
    kept for all
    trainings together: what was not used for longest goes. Raises DataError when a file has changed since it was indexed.
    """
    drawn = wanted.drawn[:fitting] if fitting else wanted.drawn
    train, validation = _kept(photos, wanted, drawn, cache_gib) if fitting else _streamed(photos, wanted, cache_gib)
    how = wanted.dtype if fitting else "streamed"
    names = (
        checkpoints.images(wanted.frozen, photos.train, drawn, how),
        checkpoints.images(wanted.frozen, photos.validation, [wanted.plain], how),
    )
    return (
        Examples(train, encoding.encode(photos.train["label"], photos.classes), names[0]),
        Examples([validation], encoding.encode(photos.validation["label"], photos.classes), names[1]),
    )


def _kept(photos: Photos, wanted: Wanted, drawn: list[View], cache_gib: float) -> tuple[Sequence[Activations], Activations]:
    stores = [extraction.store(wanted.frozen, view, wanted.dtype, extraction.FOLDER) for view in [*drawn, wanted.plain]]
    rows = len(photos.train) * len(drawn) + len(photos.validation)
    prune(extraction.FOLDER, stores, rows * stores[0].row_bytes, int(cache_gib * 2**30))
    train = extraction.extract_views(
        wanted.frozen,
        photos.train,
        photos.root,
        drawn,
        dtype=wanted.dtype,
        what=f"{wanted.what}, {len(drawn)} views of the training images",
        cache_gib=cache_gib,
    )
    held = f"{wanted.what}, validation images"
    return train, extraction.extract(
        wanted.frozen, photos.validation, photos.root, wanted.plain, dtype=wanted.dtype, what=held, cache_gib=cache_gib
    )


def _streamed(photos: Photos, wanted: Wanted, cache_gib: float) -> tuple[Sequence[Activations], Activations]:
    train = [Streamed(wanted.frozen, photos.train, photos.root, view, cache_gib) for view in wanted.drawn]
    train[0].decode(f"{wanted.what}, pictures")
    return train, Streamed(wanted.frozen, photos.validation, photos.root, wanted.plain, cache_gib)
