"""What a model leaves to a person, and what it calls unlike all that it knows, in words."""

from __future__ import annotations

from headstart.words.formats import percent


def unsure(answered: float, error: float | None) -> str:
    """The shares (0-1) of test images that are answered, and of these answers that are wrong; None if none is given."""
    left = f"{percent(1 - answered)} of the test images are left to a person (`unsure`)"
    return left if error is None else f"{left}; of the other answers {percent(error)} are wrong"


def unlike(false_alarms: float | None) -> str:
    """The share (0-1) of test images that are called unlike all known ones; None if there is no threshold."""
    if false_alarms is None:
        return "there are too few validation images to tell which pictures are unlike all that it knows"
    return f"{percent(false_alarms)} of the test images, which are of its classes, are called unlike all that it knows (`unlike`)"
