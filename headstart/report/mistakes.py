"""The report's section on the worst mistakes, as pictures: those that the model was surest of."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.data import provenance
from headstart.machinery.progress import Progress
from headstart.report import pictures
from headstart.report.findings import Findings


@dataclass(frozen=True)
class Mistake:
    """A test image that was called by another name, with the probability (0-1) of that name."""

    path: str
    label: str
    predicted: str
    probability: float
    head_right: bool  # whether the frozen head had it right
    picture: pictures.Picture


@dataclass(frozen=True)
class Mistakes:
    """Those that are shown, of `n`."""

    shown: list[Mistake]
    n: int


def mistakes(f: Findings, most: int) -> Mistakes:
    """The mistakes, at most `most` of them, those that the model was surest of first."""
    wrong = f.predictions[~f.predictions["correct"]].sort_values(["probability", "path"], ascending=[False, True], kind="stable")
    shown, origins = [], provenance.read(f.images)
    with Progress(min(most, len(wrong)), "picturing mistakes") as progress:
        for row in wrong.head(most).itertuples():
            right, picture = row.head_predicted == row.label, pictures.picture(f.images / str(row.path), f.grey)
            path = provenance.named(str(row.path), origins.get(str(row.path), ""))
            shown.append(Mistake(path, str(row.label), str(row.predicted), float(row.probability), bool(right), picture))
            progress.step()
    return Mistakes(shown, len(wrong))
