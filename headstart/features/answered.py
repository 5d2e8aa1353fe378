"""What a model says of one image file."""

from __future__ import annotations

from typing import NamedTuple


class Answer(NamedTuple):
    """The answer for a file. A file that cannot be read has an empty label, no probability, and the reason as its error."""

    path: str
    label: str  # the class that the model's operating point names
    probability: float | None  # of that class, 0-1
    error: str
    unsure: bool | None = None  # whether the answer is better left to a person; None: the model does not know
    unlike: bool | None = None  # whether the image is like none of those that the model was made from; None: the model does not know
    ranked: tuple[tuple[str, float], ...] = ()  # every class and its probability, the likeliest first
