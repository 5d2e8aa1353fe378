"""What a training is given: activations of images with their labels, and a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Activations(Protocol):
    """Activations (n, ...) of images: store.Rows, streamed.Streamed, or an array.

    They are read or computed by slice or integer array.
    """

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice | np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Examples:
    """Activations of images in one or more views, each (n, ...), and their labels (n,).

    `images` names the activations among all others, as checkpoints.images does, for what keeps checkpoints.
    """

    views: Sequence[Activations]
    labels: np.ndarray
    images: str = ""


@dataclass(frozen=True)
class Recipe:
    """How to train, whatever is trained."""

    batch_size: int
    patience: int  # epochs without a lower loss on validation, after which a phase ends
    weight_decay: float
    label_smoothing: float
    class_weights: np.ndarray  # (classes,)
    seed: int
    regulariser: str = "none"  # one of REGULARISERS
    strength: float = 0.0  # its factor in the loss
    keep: str = "best"  # the epoch whose weights a phase ends with: best, trained (the best but for the start) or last


def in_views(views: Sequence[Activations], images: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Rows of `images` (m,), each from the view that `which` (m,) names, in the type they are stored in."""
    parts = {number: views[number][images[which == number]] for number in np.unique(which).tolist()}
    out = np.empty((len(images), *views[0].shape[1:]), next((part.dtype for part in parts.values()), np.dtype(np.float32)))
    for number, part in parts.items():
        out[which == number] = part
    return out
