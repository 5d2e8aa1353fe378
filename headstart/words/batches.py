"""What is known of batches of images, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headstart.words.formats import count, percent
from headstart.words.lists import listing


def accuracy(accuracy: float | None, interval: Sequence[float], n: int) -> str:
    """How many of the test images of a batch are right."""
    if accuracy is None:
        return "no test image"
    low, high = interval
    return f"{percent(accuracy)} of {count(n, 'test image')} right (95% interval {percent(low)} to {percent(high)})"


def looks(n_new: int, n_before: int, p: float | None, told_apart: float | None, least: int, level: float) -> str:
    """Whether the newest batch looks unlike earlier images of the same classes."""
    if not n_new or not n_before:
        return "no class of the newest batch was known before, so new looks cannot be told from new classes"
    if p is None or told_apart is None:
        least_words = f"; of one class, {count(least, 'new image')} at the least could" if least else ""
        return f"{count(n_new, 'new image')} beside {n_before:,} of the same classes can show nothing at a level of {level:g}{least_words}"
    compared = f"{count(n_new, 'new image')} beside {n_before:,} of the same classes, p = {p:.3g}, told apart {percent(told_apart)} of the time; chance is 50%"
    if p <= level:
        return f"the newest batch looks unlike earlier images of the same classes ({compared})"
    return f"the newest batch is not shown to look unlike earlier images of the same classes ({compared})"


def shares(p: float | None, level: float) -> str:
    """Whether known classes come in other shares."""
    if p is None:
        return "fewer than two known classes, so their shares cannot have changed"
    shown = "come" if p <= level else "are not shown to come"
    return f"known classes {shown} in other shares than before (p = {p:.3g})"


def classes(new: Mapping[str, int]) -> str:
    """Which classes came for the first time."""
    told = listing([f"{name} ({number:,})" for name, number in new.items()])
    return f"{count(len(new), 'class', 'classes')} not known before: {told}" if new else "no class that was not known before"


def forgetting(n: int, before: float, after: float, interval: Sequence[float], name: str) -> str:
    """What the newest batch did to the test images of an earlier one, "" for all of them."""
    low, high = (100 * end for end in interval)
    change = 100 * (after - before)
    what = f"of {name}" if name else "of all earlier batches"
    shown = "fewer" if high < 0 else "more" if low > 0 else "no other share shown"
    return f"{count(n, 'test image')} {what}: {percent(before)} right without the newest batch, {percent(after)} with it ({change:+.1f} points, {low:+.1f} to {high:+.1f}: {shown})"


def remembered(images: int, batches: Sequence[str], unusable: Sequence[str], gone: Sequence[str]) -> str:
    """What a model knows of batches whose images are gone."""
    if not images:
        return f"the sums of {listing(batches)} are of another source than the one chosen now, so they are of no use"
    other = f"; those of {listing(unusable)} are of another source, so they are of no use" if unusable else ""
    classes = f", with {listing(gone)}, of which no image is left" if gone else ""
    return f"models/remembered is made from sums of {count(images, 'image')} that are gone and of those that are there{classes}{other}"


def remembered_accuracy(accuracy: float | None, interval: Sequence[float], n: int, plain: float | None) -> str:
    """How good that model is where images are left."""
    if accuracy is None or plain is None:
        return "no test image is left to test it on"
    low, high = interval
    told = f"{percent(accuracy)} of {count(n, 'test image')} that are left right (95% interval {percent(low)} to {percent(high)})"
    return f"{told}; the model that ships {percent(plain)}; on what is gone nobody can test it"
