"""What is written of batches in reports/batches.json. Light: most data sets came at once."""

from __future__ import annotations

from typing import TypedDict


class OfBatch(TypedDict):
    """A batch, and how many of its test images what ships has right: share (0-1) with its 95% interval, None if it has none."""

    name: str
    images: int
    new_classes: list[str]  # that no earlier batch had
    n_test: int
    accuracy: float | None
    interval: list[float]


class Forgetting(TypedDict):
    """What the newest batch did to the test images of an earlier one, or of all earlier ones together.

    `before` is the head on the frozen source without the newest batch, `after` the head with it: shares (0-1) that are right, and the
    difference, after - before, with an interval each end of which holds with 95% confidence on its own.
    """

    name: str
    n: int
    before: float
    after: float
    difference: float
    interval: list[float]


class Looks(TypedDict):
    """Whether images of the newest batch look unlike earlier ones of the same classes.

    `p` is a permutation's; `told_apart` how often a new image is taken for newer than an earlier one of its class (0.5: chance), by a
    classifier that saw neither. `least` is the fewest new images with which `p` could reach the level at all.
    """

    n_new: int
    n_before: int
    p: float | None  # None if no arrangement of so few images could reach the level
    told_apart: float | None
    least: int


class Shares(TypedDict):
    """Whether known classes come in other shares than before: a permutation's p, and by class the share (0-1) before and now."""

    p: float | None
    of_class: dict[str, list[float]]


class Drift(TypedDict):
    """The newest batch against all before. `found` names what is shown at the level: looks, shares, classes."""

    batch: str
    level: float
    looks: Looks
    shares: Shares
    new_classes: dict[str, int]  # images
    found: list[str]


class Remembered(TypedDict):
    """A head from the sums of forgotten batches and of the images that are there (models/remembered).

    `unusable` are batches whose sums are of another source. Shares (0-1) are of the test images that are there; `plain_accuracy` is that of
    what ships. Nobody can test it on the images that are gone.
    """

    batches: list[str]
    unusable: list[str]
    images: int  # that are gone and still count
    gone_classes: list[str]  # of which no image is left
    classes: list[str]
    n_test: int
    accuracy: float | None
    interval: list[float]
    plain_accuracy: float | None


class Report(TypedDict):
    """The content of reports/batches.json. Without batches, `batches` is empty and the rest None or empty."""

    batches: list[OfBatch]  # the one that came first, first
    forgetting: list[Forgetting]  # of each earlier batch, then of all of them, if there are several
    drift: Drift | None
    remembered: Remembered | None  # None if no batch was forgotten


def nothing() -> Report:
    """The report of a data set whose images came at once."""
    return {"batches": [], "forgetting": [], "drift": None, "remembered": None}
