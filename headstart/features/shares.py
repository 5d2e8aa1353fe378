"""How common the classes are among the images that a model is asked about: given by a person, or estimated from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from headstart.features.answered import Answer
from headstart.machinery.errors import ParamsError
from headstart.networks.cards import ModelCard
from headstart.statistics import prior

LOOKED_AT = 2_000  # images that shares are estimated from, at most
FEWEST = 20  # images from which on they can be


def weights(card: ModelCard, shares: Mapping[str, float]) -> tuple[float, ...]:
    """How many times as common as in training each class is, from a number for every class, of which only the ratios count.

    Raises ParamsError for a class that the model does not have, one that is missing, and numbers that are no shares.
    """
    unknown, missing = [name for name in shares if name not in card.classes], [name for name in card.classes if name not in shares]
    if unknown or missing:
        said = [f"{', '.join(names)} {what}" for names, what in ((unknown, "unknown"), (missing, "missing")) if names]
        raise ParamsError(f"--prior needs a number for each class of the model ({', '.join(card.classes)}): {'; '.join(said)}")
    values = np.array([shares[name] for name in card.classes], float)
    if not np.isfinite(values).all() or (values < 0).any() or not values.sum() > 0:
        raise ParamsError("--prior: give numbers of 0 or more, and at least one above 0")
    return tuple(map(float, values / values.sum() / before(card)))


def before(card: ModelCard) -> np.ndarray:
    """The shares (classes,) of the classes in training. Raises ParamsError if the model does not know them."""
    if card.shares is None:
        raise ParamsError("--prior: this model was made by an earlier version and does not know how common its classes were; make it again")
    return np.array(card.shares)


def estimate(card: ModelCard, files: Sequence[Path], ask: Callable[[Path], Answer]) -> dict[str, float]:
    """The shares of the classes among files, from about LOOKED_AT of them at most. Images unlike all that the model knows do not count.

    Raises ParamsError if fewer than FEWEST can be used.
    """
    step = max(1, -(-len(files) // LOOKED_AT))
    answers = [answer for answer in map(ask, files[::step]) if answer.ranked and not answer.unlike]
    if len(answers) < FEWEST:
        raise ParamsError(
            f"--prior em needs {FEWEST} images of the model's kind to tell how common the classes are, and here are {len(answers)}"
        )
    probabilities = np.array([[dict(answer.ranked)[name] for name in card.classes] for answer in answers])
    return dict(zip(card.classes, map(float, prior.estimated(probabilities, before(card))), strict=True))
