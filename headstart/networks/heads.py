"""A linear head as arrays, without PyTorch: logits, save, load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.base import reading, weights
from headstart.base.reading import Features


@dataclass(frozen=True)
class Head:
    """Logits of features x (n, d) are x @ weight.T + bias: weight (classes, d), bias (classes,), float32."""

    weight: np.ndarray
    bias: np.ndarray
    held_out: np.ndarray | None = None  # out-of-fold logits (rows, classes) of the rows that it was fitted on, if they were kept

    def logits(self, features: Features) -> np.ndarray:
        """(n, d) -> (n, classes), float32."""
        out = np.empty((len(features), len(self.bias)), np.float32)
        for part in reading.blocks(len(features)):
            out[part] = features[part].astype(np.float32) @ self.weight.T + self.bias
        return out


def save(path: Path, heads: dict[str, Head]) -> None:
    """Write heads by name into one safetensors file."""
    weights.write(
        path, {f"{name}.{part}": value for name, head in heads.items() for part, value in vars(head).items() if value is not None}
    )


def load(path: Path, name: str) -> Head:
    """Read the head called `name`."""
    tensors = weights.read(path)
    return Head(tensors[f"{name}.weight"], tensors[f"{name}.bias"], tensors.get(f"{name}.held_out"))
