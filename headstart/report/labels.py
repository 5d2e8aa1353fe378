"""The report's section on labels to look at: as pictures, beside the images that are most like them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.data import provenance
from headstart.machinery.progress import Progress
from headstart.report import pictures
from headstart.report.findings import Findings
from headstart.words import labels as words
from headstart.words.formats import count

if TYPE_CHECKING:
    from headstart.labels.doubtful import Block as OfFiles
    from headstart.labels.doubtful import Doubt

SINGLES = 24  # labels that are shown as pictures
OF_BLOCK = 8  # files of a block that are shown
NEAREST = 3  # images beside each


@dataclass(frozen=True)
class Near:
    """One of the images that are most like another."""

    label: str
    picture: pictures.Picture


@dataclass(frozen=True)
class Shown:
    """A label to look at."""

    path: str
    split: str
    label: str
    suggested: str
    probability: float  # of the label
    suggested_probability: float
    picture: pictures.Picture
    nearest: list[Near]


@dataclass(frozen=True)
class Block:
    """Consecutive files that look like another class, in a sentence, and some of them."""

    said: str
    files: list[Shown]


@dataclass(frozen=True)
class Labels:
    """What the section shows."""

    answer: str
    why: str
    blocks: list[Block]
    singles: list[Shown]
    n_singles: int


def labels(f: Findings) -> Labels:
    """The labels to look at: blocks, and single ones with the most doubtful first."""
    found, origins = f.labels, provenance.read(f.images)
    blocked = [[one for one in found["labels"] if one["block"] == block["number"]][:OF_BLOCK] for block in found["blocks"]]
    singles = [one for one in found["labels"] if not one["block"]][:SINGLES]
    with Progress(len(singles) + sum(map(len, blocked)), "picturing doubtful labels") as progress:

        def show(one: Doubt) -> Shown:
            progress.step()
            return _shown(f, one, origins)

        blocks = [Block(said(block), [show(one) for one in files]) for block, files in zip(found["blocks"], blocked, strict=True)]
        shown = [show(one) for one in singles]
    answer = words.found(found["singles"], found["expected"], len(found["blocks"]))
    return Labels(f"{answer[0].upper()}{answer[1:]}.", _why(found["singles"]), blocks, shown, found["singles"])


def said(block: OfFiles) -> str:
    """A block in a sentence."""
    return (
        f"{count(block['files'], 'file')} in a row labelled {block['label']}, {block['first']} to {block['last']}, look like {block['suggested']}: "
        "so do the images most like them that lie elsewhere."
    )


def _why(singles: int) -> str:
    """What the list is and is not."""
    if not singles:
        return ""
    return (
        "A head that was not fitted on an image finds another class likelier for it than its label, as surely as for images of that class (confident learning). "
        "How many are wrong is worked out as if wrong labels came at random; two classes that are taken for each other throughout cannot be seen."
    )


def _shown(f: Findings, one: Doubt, origins: dict[str, str]) -> Shown:
    nearest = [
        Near(near["label"], pictures.picture(f.images / near["path"], f.grey, pictures.SMALL)) for near in one["neighbours"][:NEAREST]
    ]
    return Shown(
        provenance.named(one["path"], origins.get(one["path"], "")),
        one["split"],
        one["label"],
        one["suggested"],
        one["probability"],
        one["suggested_probability"],
        pictures.picture(f.images / one["path"], f.grey),
        nearest,
    )
