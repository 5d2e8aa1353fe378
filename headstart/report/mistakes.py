"""The report's section on the worst mistakes, as pictures: those that the model was surest of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.data import provenance
from headstart.machinery.progress import Progress
from headstart.report import pictures
from headstart.report.darkened import darkened
from headstart.report.findings import Findings
from headstart.statistics.mistakes import worst


@dataclass(frozen=True)
class Mistake:
    """A test image that was called by another name, with the probability (0-1) of that name."""

    path: str
    label: str
    predicted: str
    probability: float
    head_right: bool  # whether the frozen head had it right
    picture: pictures.Picture
    counted: pictures.Picture | None  # the same with what counted for the predicted class left bright, if that was looked at


@dataclass(frozen=True)
class Mistakes:
    """Those that are shown, of `n`."""

    shown: list[Mistake]
    n: int

    @property
    def looked(self) -> bool:
        """Whether any shows what counted."""
        return any(one.counted for one in self.shown)


def mistakes(f: Findings, most: int) -> Mistakes:
    """The mistakes, at most `most` of them, those that the model was surest of first."""
    wrong = worst(f.predictions)
    shown, origins = [], provenance.read(f.images)
    with Progress(min(most, len(wrong)), "picturing mistakes") as progress:
        for row in wrong.head(most).itertuples():
            right, picture = row.head_predicted == row.label, pictures.picture(f.images / str(row.path), f.grey)
            path = provenance.named(str(row.path), origins.get(str(row.path), ""))
            counted = _counted(f, str(row.path))
            shown.append(Mistake(path, str(row.label), str(row.predicted), float(row.probability), bool(right), picture, counted))
            progress.step()
    return Mistakes(shown, len(wrong))


def _counted(f: Findings, path: str) -> pictures.Picture | None:
    """The picture of a mistake with what counted left bright; None if nobody looked at it."""
    if path not in f.heat["parts"]:
        return None
    found, crop = np.array(f.heat["parts"][path], np.float32), f.heat["crop"]
    picture = pictures.picture(f.images / path, f.grey, change=lambda image: darkened(image, crop, found))
    return picture if picture.url else None
