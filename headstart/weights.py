"""Weights as arrays by name, without PyTorch: read, write, hash; and those of a source as they were chosen."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headstart import outputs
from headstart.errors import HeadstartError

FOLDER = Path(".headstart/sources")
TRANSFORM = ("input_size", "mean", "std", "interpolation", "crop")  # what a model's card says of its images
FIELDS = ("library", "architecture", "weights_sha256", "classes", "transform")  # what a card must say for a model to predict
WEIGHTS, CARD = "model.safetensors", "card.json"  # the files of a model folder


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


def model(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Weights and card of a model folder. Raises HeadstartError when it is missing, cannot be read, or its card lacks a field."""
    try:
        card = outputs.read_json(folder / CARD)
        arrays = read(folder / WEIGHTS)
    except FileNotFoundError as error:
        missing = error.filename or folder / WEIGHTS
        raise HeadstartError(
            f"{missing} is missing: no model has been made yet; run `headstart run` first, or name a model folder"
        ) from None
    except Exception as error:  # json, safetensors and I/O errors
        raise HeadstartError(f"{folder} holds no readable model: {error}") from None
    if missing := _missing(card):
        raise HeadstartError(
            f"{folder / CARD} lacks {', '.join(missing)}; make the model again with `headstart run`, or copy its folder again, whole"
        )
    return arrays, card


def _missing(card: Any) -> list[str]:
    """The fields that a card lacks."""
    card = card if isinstance(card, dict) else {}
    transform = card.get("transform", dict.fromkeys(TRANSFORM))
    transform = transform if isinstance(transform, dict) else {}
    return [*(key for key in FIELDS if key not in card), *(f"transform.{key}" for key in TRANSFORM if key not in transform)]


def keep(weights: Mapping[str, Any], sha256: str) -> None:
    """Keep a source's weights at hand for the stages that need the weights and not the network."""
    path = _path(sha256)
    if not path.exists():
        with outputs.whole(path) as temporary:
            write(temporary, {key: value.detach().cpu().numpy() for key, value in weights.items()})


def of_source(card: dict[str, Any]) -> dict[str, np.ndarray]:
    """The weights that a source card names, without a classifier. Raises HeadstartError if they cannot be had any more."""
    path = _path(card["weights_sha256"])
    with contextlib.suppress(Exception):  # missing or damaged: the source itself has them
        known = read(path)
        if digest(known) == card["weights_sha256"]:
            return known
    path.unlink(missing_ok=True)
    from headstart import sources

    trunk = sources.known(card).trunk.state_dict()
    keep(trunk, card["weights_sha256"])
    return {key: value.numpy() for key, value in trunk.items()}


def _path(sha256: str) -> Path:
    return FOLDER / f"{sha256}.safetensors"
