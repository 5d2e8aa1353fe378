"""The report's section on images without labels beside labelled ones: whether they joined, and what speaks for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.report.findings import Findings
from headstart.words import partly as words
from headstart.words.formats import percent

if TYPE_CHECKING:
    from headstart.linear.joining import Report


@dataclass(frozen=True)
class Partly:
    """What the section shows, in sentences and tables."""

    answer: str
    held_out: str
    sides: list[tuple[str, str, str]]  # what a head learned from, its gain and log likelihood on labelled images that it did not see
    measure: str  # of the gain
    left_out: int
    classes: list[tuple[str, str]]  # class, images without labels that the head learned from under it
    named: str  # the table of all of them


def partly(f: Findings) -> Partly | None:
    """The section; None if every image has a label."""
    made = f.head.get("self_training")
    if made is None:
        return None
    said = words.done(made["joined"], made["images"], made["learned"])
    return Partly(
        answer=f"{said[:1].upper()}{said[1:]}: {made['reason']}.",
        held_out=words.held_out(made["held_out"]),
        sides=_sides(made),
        measure=made["measure"].replace("_", " "),
        left_out=made["left_out"],
        classes=[(name, f"{number:,}") for name, number in made["per_class"].items()],
        named=words.NAMED,
    )


def _sides(made: Report) -> list[tuple[str, str, str]]:
    pairs = (("labels alone", made["labels_alone"]), ("images without labels too", made["with_unlabelled"]))
    return [(name, percent(side["gain"]), f"{side['log_likelihood']:.3f}") for name, side in pairs if side]
