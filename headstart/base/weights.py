"""Weights as arrays by name, without PyTorch: read, write, hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def read(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name from a .safetensors file. Raises what safetensors raises."""
    from safetensors.numpy import load_file

    return load_file(path)


def write(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Write a .safetensors file; the same arrays give the same bytes."""
    from safetensors.numpy import save_file

    save_file({key: np.asarray(value, order="C") for key, value in weights.items()}, path)


def digest(weights: Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and bytes of arrays or tensors."""
    total = hashlib.sha256()
    for key, value in sorted(weights.items()):
        array = value if isinstance(value, np.ndarray) else value.detach().cpu().numpy()
        total.update(f"{key}:{array.dtype}:{array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def not_finite(weights: Mapping[str, Any]) -> list[str]:
    """The names of arrays or tensors with a value that is no finite number."""
    found = []
    for key, value in weights.items():
        array = value if isinstance(value, np.ndarray) else value.detach().float().cpu().numpy()
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            found.append(key)
    return found


def told(names: list[str]) -> str:
    """The names of weights that are not finite, in words for a message; "" if there are none."""
    return f"weights that are not finite numbers (NaN or infinite): {named(names)}" if names else ""


def named(names: Sequence[str]) -> str:
    """The first names of weights, and how many there are beside them."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
