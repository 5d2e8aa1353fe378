"""What became of images without labels beside labelled ones, in sentences."""

from __future__ import annotations

from headstart.words.formats import count

NAMED = "models/head/unlabelled.csv"  # the label that the head gives each of them


def done(joined: bool, images: int, learned: int) -> str:
    """Whether images without labels joined, and how many."""
    if joined:
        return f"the head learned from {learned:,} of {count(images, 'image')} without labels, by the labels that it gave them"
    return f"the head learned from labels alone; {count(images, 'image')} without labels did not join"


def held_out(number: int) -> str:
    """That some look like test images; "" if none does."""
    return f"{count(number, 'image')} without labels look like a test image and teach nothing" if number else ""
