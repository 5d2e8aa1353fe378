"""The runs behind a verdict: the same network from the source's weights and from random ones, on the same images, with the same number of steps.

A cell is one run of one arm: labels a class, seed, and which images train and which are held out. Both arms work through the same cells. What a cell
left (which held-out images were right, epoch by epoch) is kept in a file of arrays, so that arms can be compared later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from headstart import splits, verdict, weights
from headstart.verdict import Trial

LABELS = (5, 10, 20, 50)  # a class, of the label curve; 0 is all


@dataclass(frozen=True)
class Cell:
    """One run: `labels` a class (0: all), the number of its seed, and the images with their splits."""

    labels: int
    number: int
    seed: int
    table: pd.DataFrame


def cells(table: pd.DataFrame, *, seeds: int, label_curve: bool, images: int, seed: int) -> Iterator[Cell]:
    """Every run that is compared: for each number of labels, each seed. Of train and of validation at most `images` are taken."""
    parts = [splits.sample(table[table["split"] == split], images, seed) for split in ("train", "validation")]
    limited = pd.concat(parts).sort_values("path").reset_index(drop=True)
    most = int(parts[0]["label"].value_counts().max())
    for labels in [*(n for n in LABELS if label_curve and n < most), 0]:
        for number, some in enumerate(verdict.folds(limited, seeds, seed)):
            yield Cell(labels, number, seed + number, few(some, labels, seed + number))


def few(table: pd.DataFrame, labels: int, seed: int) -> pd.DataFrame:
    """The table with at most `labels` training rows of each class (0: all), chosen by file hash."""
    if not labels:
        return table
    order = table["sha256"].map(lambda value: splits.hash_order(value, seed)).groupby([table["split"], table["label"]]).rank(method="first")
    return table[(table["split"] != "train") | (order <= labels)].reset_index(drop=True)


def random_card(architecture: dict[str, Any], size: int, seed: int) -> dict[str, Any]:
    """The card of an architecture with random weights, at `size` pixels at most where the network takes other sizes than its own."""
    at = architecture["input_size"] if architecture["fixed_size"] else min(architecture["input_size"], size)
    return {**architecture, "input_size": at, "name": "random weights", "kind": "random", "weights_sha256": f"random:{seed}"}


class Run(Protocol):
    """What a training run leaves: fine_tuning.Result, scratch.Result."""

    @property
    def right(self) -> np.ndarray: ...

    @property
    def steps(self) -> list[int]: ...

    @property
    def best(self) -> int: ...


def trial(table: pd.DataFrame, done: Run) -> Trial:
    """What is compared of a run on `table`: its held-out images by file hash, and which were right at each row of its curve."""
    return Trial(table.loc[table["split"] == "validation", "sha256"].to_numpy(str), done.right, np.array(done.steps), done.best)


def only(one: Trial, images: np.ndarray) -> Trial:
    """A trial on those of its held-out images that are among `images`, in the order of `images`."""
    place = {image: number for number, image in enumerate(one.images)}
    taken = [image for image in images if image in place]
    return Trial(np.array(taken), one.right[:, [place[image] for image in taken]], one.steps, one.best)


def before(one: Trial) -> Trial:
    """The trial as it stood at step 0, for good: a frozen head, where the run started from one."""
    return Trial(one.images, one.right[:1], one.steps[:1], 0)


def write(path: Path, trials: dict[tuple[int, int], Trial]) -> None:
    """Write trials by (labels, number of the seed); the same trials give the same bytes."""
    arrays: dict[str, np.ndarray] = {}
    for (labels, number), one in trials.items():
        hashes = np.frombuffer(bytes.fromhex("".join(one.images)), np.uint8).reshape(-1, 32)
        parts: dict[str, np.ndarray] = {
            "images": hashes,
            "right": one.right.astype(np.uint8),
            "steps": np.asarray(one.steps, np.int64),
            "best": np.array([one.best]),
        }
        arrays |= {f"{labels}.{number}.{key}": value for key, value in parts.items()}
    weights.write(path, arrays)


def read(path: Path) -> dict[tuple[int, int], Trial]:
    """Read what `write` wrote."""
    arrays = weights.read(path)
    found: dict[tuple[int, int], Trial] = {}
    for labels, number in sorted({tuple(map(int, key.split(".")[:2])) for key in arrays}):
        images, right, steps, best = (arrays[f"{labels}.{number}.{key}"] for key in ("images", "right", "steps", "best"))
        found[labels, number] = Trial(np.array([row.tobytes().hex() for row in images]), right.astype(bool), steps, int(best[0]))
    return found
