"""What the stage compare_batches left: accuracy on each batch of images, and whether the newest is of another kind."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict, cast

from headstart.base import outputs

BATCHES = Path("reports/batches.json")


class OfBatch(TypedDict):
    """A batch, and how many of its test images are right."""

    name: str
    n_test: int
    accuracy: float | None
    interval: list[float]


class Forgetting(TypedDict):
    """Shares of the `n` test images of an earlier batch ("": of all) that are right without the newest batch and with it."""

    name: str
    n: int
    before: float
    after: float
    interval: list[float]


class Looks(TypedDict):
    """Whether the newest batch looks unlike earlier images of the same classes."""

    n_new: int
    n_before: int
    p: float | None
    told_apart: float | None
    least: int


class Shares(TypedDict):
    """Whether known classes come in other shares."""

    p: float | None


class Drift(TypedDict):
    """The newest batch against all before; `found` names what is shown."""

    batch: str
    level: float
    looks: Looks
    shares: Shares
    new_classes: dict[str, int]
    found: list[str]


class Remembered(TypedDict):
    """The model that is made from sums of forgotten batches."""

    batches: list[str]
    unusable: list[str]
    images: int
    gone_classes: list[str]
    n_test: int
    accuracy: float | None
    interval: list[float]
    plain_accuracy: float | None


class Batches(TypedDict, total=False):
    """reports/batches.json: accuracy on each batch, and whether the newest is of another kind."""

    batches: list[OfBatch]
    forgetting: list[Forgetting]
    drift: Drift | None
    remembered: Remembered | None


def batches() -> Batches:
    """reports/batches.json, empty if there is none."""
    return cast(Batches, outputs.read_object(BATCHES))
