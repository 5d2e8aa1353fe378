"""What arms and answers are called in the report and in the terminal. Imports nothing."""

from __future__ import annotations

ARMS = {
    "fine_tuned": "fine-tuned",
    "head": "frozen head",
    "average": "average",
    "scratch": "from random weights",
    "another_source": "another source",
    "shallower_cut": "shallower cut",
    "l2_sp": "L2-SP",
    "bss": "BSS",
    "more_layers": "more layers",
}
ANSWERS = {"positive": "helped", "none_shown": "is not shown to help", "negative": "hurt"}


def arm(name: str) -> str:
    """An arm of the comparison in a word or two: average, L2-SP."""
    return ARMS.get(name, name.replace("_", " "))


def title(name: str) -> str:
    """The same with a capital first: Average, L2-SP."""
    words = arm(name)
    return words[:1].upper() + words[1:]
