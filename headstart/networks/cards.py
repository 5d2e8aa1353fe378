"""Model folders: the files they hold, and what a card must say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from headstart.base import outputs, weights
from headstart.machinery.errors import HeadstartError

TRANSFORM = ("input_size", "mean", "std", "interpolation", "crop")  # what a model's card says of its images
FIELDS = ("library", "architecture", "weights_sha256", "classes", "transform")  # what a card must say for a model to predict
WEIGHTS, CARD = "model.safetensors", "card.json"  # the files of a model folder


def read_model(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Weights and card of a model folder. Raises HeadstartError when it is missing, cannot be read, or its card lacks a field."""
    try:
        card = outputs.read_json(folder / CARD)
        arrays = weights.read(folder / WEIGHTS)
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
