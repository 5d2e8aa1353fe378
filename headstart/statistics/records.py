"""A record is what one training left that can be compared with another.

It says which held-out images were right at each row of the training's curve. Records are kept in a file of arrays, by the labels per
class (0 is all) and the number of the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from headstart.base import weights


@dataclass(frozen=True)
class Record:
    """What one training left. Its final score is right[best].mean()."""

    images: np.ndarray  # (n,) identities of the held-out images
    right: np.ndarray  # (rows, n) bool: which were right; row 0 at step 0
    steps: np.ndarray  # (rows,) optimizer steps done at each row
    best: int  # the row whose weights were kept


Records = dict[tuple[int, int], Record]  # by (labels per class, number of the seed)


class Run(Protocol):
    """What a training returns, of which a record is made: fine_tuning.Result, scratch.Result."""

    @property
    def right(self) -> np.ndarray: ...

    @property
    def steps(self) -> list[int]: ...

    @property
    def best(self) -> int: ...


def of_run(table: pd.DataFrame, done: Run) -> Record:
    """The record of a training on `table`; its held-out images are known by their file hash."""
    return Record(table.loc[table["split"] == "validation", "sha256"].to_numpy(str), done.right, np.array(done.steps), done.best)


def untrained(table: pd.DataFrame, right: np.ndarray) -> Record:
    """The record of a network on `table` that was not trained; `right` (n,) says which validation images were."""
    return Record(table.loc[table["split"] == "validation", "sha256"].to_numpy(str), right[None], np.zeros(1, np.int64), 0)


def only(one: Record, images: np.ndarray) -> Record:
    """A record of those of its held-out images that are among `images`, in the order of `images`."""
    place = {image: number for number, image in enumerate(one.images)}
    taken = [image for image in images if image in place]
    return Record(np.array(taken), one.right[:, [place[image] for image in taken]], one.steps, one.best)


def before(one: Record) -> Record:
    """The record as if training had ended at step 0: that of the frozen head that it started from."""
    return Record(one.images, one.right[:1], one.steps[:1], 0)


def write(path: Path, records: Records) -> None:
    """Write records; the same ones give the same bytes."""
    arrays: dict[str, np.ndarray] = {}
    for (labels, number), one in records.items():
        hashes = np.frombuffer(bytes.fromhex("".join(one.images)), np.uint8).reshape(-1, 32)
        parts: dict[str, np.ndarray] = {
            "images": hashes,
            "right": one.right.astype(np.uint8),
            "steps": np.asarray(one.steps, np.int64),
            "best": np.array([one.best]),
        }
        arrays |= {f"{labels}.{number}.{key}": value for key, value in parts.items()}
    weights.write(path, arrays)


def read(path: Path) -> Records:
    """Read what `write` wrote."""
    arrays = weights.read(path)
    found: Records = {}
    for labels, number in sorted({tuple(map(int, key.split(".")[:2])) for key in arrays}):
        images, right, steps, best = (arrays[f"{labels}.{number}.{key}"] for key in ("images", "right", "steps", "best"))
        found[labels, number] = Record(np.array([row.tobytes().hex() for row in images]), right.astype(bool), steps, int(best[0]))
    return found
