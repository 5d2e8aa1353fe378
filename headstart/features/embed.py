"""What a model's head sees of images: their features, from a model folder alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headstart.base.cores import in_order
from headstart.data import images
from headstart.features import classify, transforms
from headstart.networks import cards


class Embedded(NamedTuple):
    """A file and its features (width,), float32; None, with the reason as the error, if it cannot be read."""

    path: str
    features: np.ndarray | None
    error: str = ""


def embed(files: list[Path], folder: Path) -> Iterator[Embedded]:
    """Yield the features of every file, in order, with the model in `folder`. Raises HeadstartError if that is missing or broken, at once."""
    arrays, card = cards.read_model(folder)
    view, count = transforms.View.of_card(card), len(card.classes)
    frozen = classify.answering(arrays, card)

    def one(path: Path) -> Embedded:
        try:
            image = transforms.read(path, [view], "")[0]
        except (images.Unreadable, OSError) as error:
            return Embedded(str(path), None, str(error))
        return Embedded(str(path), frozen.engine.run(image[None])[0, count:])

    return in_order(one, files)
