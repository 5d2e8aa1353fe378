"""Labels become numbers: the classes of a table in order, and each label as the number of its class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from headstart.machinery.errors import DataError


def classes(table: pd.DataFrame) -> list[str]:
    """The labels that occur in a table (column label), each once, in order."""
    return sorted(set(table["label"]))


def encode(labels: Iterable[str], classes: Sequence[str]) -> np.ndarray:
    """The number (n,) of the class of each label, counted from 0 in the order of `classes`.

    Raises DataError for a label that is no class.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    labels = list(labels)
    unknown = sorted({label for label in labels if label not in numbers})
    if unknown:
        raise DataError(f"{', '.join(map(repr, unknown))}: no such class; known are {', '.join(map(repr, classes))}")
    return np.array([numbers[label] for label in labels], dtype=np.int64)
