"""A model that predicts.

It has weights and a card, and gives labels, probabilities and embeddings for images.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from headstart.base import outputs, weights
from headstart.base.cores import in_order
from headstart.base.devices import CPU, Device
from headstart.data import images as decoding
from headstart.data.deep import Deep
from headstart.features import classify, extraction, transforms
from headstart.features.extraction import Frozen
from headstart.features.transforms import View
from headstart.machinery.errors import DataError, HeadstartError
from headstart.networks import cards
from headstart.networks.cards import ModelCard
from headstart.statistics import likelihood, limits

if TYPE_CHECKING:
    from torch import nn

    from headstart.networks.model import Network

Picture = (
    str | Path | np.ndarray | Image.Image
)  # a file, uint8 or uint16 pixels (height, width, 3) or (height, width), or a picture of Pillow's


@dataclass(frozen=True)
class Model:
    """A model that predicts: its weights and its card.

    The weights have the names that the network's library gives them. The card says what network they belong to and what it was trained on.
    """

    card: ModelCard
    weights: dict[str, np.ndarray]
    device: Device = CPU
    known: np.ndarray | None = None  # features (m, width) of known images, if the card has `unlike`

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of the columns of `predict_proba`."""
        return list(self.card.classes)

    def predict(self, images: Sequence[Picture]) -> np.ndarray:
        """The label (n,) of each image, as the operating point in the card names it (without one: the likeliest).

        Raises DataError for an image that cannot be read, and names it.
        """
        return np.array(self.classes)[self.card.named(self.predict_proba(images))]

    def predict_proba(self, images: Sequence[Picture]) -> np.ndarray:
        """The probability (n, classes) of each class for each image, float64.

        Raises DataError for an image that cannot be read.
        """
        frozen = classify.prepared(self.card, weights.digest(self.weights), self._network, self.device)
        logits = self._run(frozen, images)
        return likelihood.softmax(logits) if len(logits) else np.empty((0, len(self.classes)))

    def embed(self, images: Sequence[Picture]) -> np.ndarray:
        """The features (n, width) that the model's head sees of each image, float32.

        Raises DataError for an image that cannot be read.
        """

        def make() -> nn.Module:
            from torch import nn

            network = self._network()
            return nn.Sequential(network.normalise, network.stages)

        part = f"embedding:{weights.digest(self.weights)}"
        size = self.card.transform.input_size
        return self._run(Frozen.of(make, extraction.identity(self.card, part), size, self.device), images)

    def unsure(self, images: Sequence[Picture]) -> np.ndarray:
        """Whether the answer (n,) for each image is better left to a person; never, if the card has no `unsure`."""
        return self.card.unsure_of(self.predict_proba(images))

    def unlike(self, images: Sequence[Picture]) -> np.ndarray:
        """Whether each image (n,) is like none of those that the model was made from, so that its label means nothing.

        Raises HeadstartError if the model does not know: only what the pipeline made does.
        """
        if self.card.unlike is None or self.known is None:
            raise HeadstartError("this model does not know which images it was made from; one that `headstart run` made does")
        return limits.distances(self.embed(images), self.known, self.card.unlike.neighbours) > self.card.unlike.distance

    def save(self, folder: Path | str) -> None:
        """Write model.safetensors, card.json and what else the model knows into `folder`, whole or not at all.

        `load` and `headstart predict` take this folder.
        """
        with outputs.folder(Path(folder)) as new:
            weights.write(new / cards.WEIGHTS, self.weights)
            outputs.write_json(new / cards.CARD, self.card.to_json())
            if self.known is not None:
                weights.write(new / cards.KNOWN, {"known": self.known})

    def _network(self) -> Network:
        import torch

        from headstart.networks import model

        return model.rebuild(self.card, {key: torch.from_numpy(np.array(value)) for key, value in self.weights.items()})

    def _run(self, frozen: Frozen, images: Sequence[Picture]) -> np.ndarray:
        """What a network gives for each image (n, ...), in order."""
        if isinstance(images, str | Path):
            raise TypeError("give a list of images, for example sorted(Path('photos').glob('*.jpg'))")
        view, numbered, engine = View.of_card(self.card), list(enumerate(images)), frozen.engine
        if not numbered:
            return np.empty((0, *frozen.shape), np.float32)
        if engine.batch == 1:
            return np.stack(list(in_order(lambda item: engine.run(_square(*item, view)[None])[0], numbered)))
        squares = in_order(lambda item: _square(*item, view), numbered)
        batches = iter(lambda: list(itertools.islice(squares, engine.batch)), [])
        return np.concatenate([engine.run(np.stack(batch)) for batch in batches])


def load(folder: Path | str = "models/final", device: Device = CPU) -> Model:
    """The model in a folder that the pipeline, `promote`, `Model.save` or `headstart develop` made.

    Raises HeadstartError if the folder is missing, cannot be read, or its card lacks a field.
    """
    arrays, card = cards.read_model(Path(folder))
    return Model(card, arrays, device, cards.read_known(Path(folder), card))


def _square(number: int, picture: Picture, view: View) -> np.ndarray:
    """The square that a network reads, uint8 (size, size, 3). Raises DataError that names the image."""
    try:
        if isinstance(picture, str | Path):
            return transforms.read(Path(picture), [view], "")[0]
        if isinstance(picture, np.ndarray) and picture.dtype == np.uint16 and picture.ndim == 3:
            return np.asarray(transforms.plain(Deep(picture).shown(view.grey), view))
        opened = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
        return np.asarray(transforms.plain(decoding.as_rgb(opened, view.grey), view))
    except (decoding.Unreadable, OSError, TypeError, ValueError) as error:
        name = str(picture) if isinstance(picture, str | Path) else f"image {number} of the list"
        raise DataError(f"{name}: {error}") from None
