"""What an expectation of the data is, and the limits that its arguments come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Limits:
    """The parameters of validate_data: images, share (0-1), ratio, pixels."""

    min_images_per_class: int
    max_unreadable_share: float
    max_imbalance: float
    min_side: int


@dataclass(frozen=True)
class Check:
    """One expectation.

    `values(frame)` gives the column to look at, one value per manifest row, null if the row does not count; without it the manifest's own
    column is used. `found(failing, frame)` says in plain words what was found, given the failing rows (all rows if no single row is
    at fault).
    `together` names a column whose equal values are listed side by side, so that copies of one image stand beside each other.
    """

    name: str
    severity: Literal["critical", "warning"]
    expectation: str
    column: str
    expected: Callable[[Limits], str]
    why: str
    found: Callable[[pd.DataFrame, pd.DataFrame], str]
    remedy: str
    arguments: Callable[[Limits], dict[str, object]]  # of the expectation
    values: Callable[[pd.DataFrame], pd.Series] | None = None
    together: str | None = None
    pairs: str | None = None  # the column in which two images differ that are shown side by side
    labels: bool = True  # whether it is about labels or splits, so that images without any have nothing to do with it
