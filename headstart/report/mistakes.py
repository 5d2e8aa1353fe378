"""The report's section on the worst mistakes, as pictures: those that the model was surest of."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from headstart.base.grey import Grey
from headstart.data import images
from headstart.machinery.progress import Progress
from headstart.report.findings import Findings

THUMBNAIL = 160  # pixels, longer side
TINY = 64  # images smaller than this (pixels, longer side) are shown enlarged with their pixels visible
ANY_SIZE = 2**31  # pixels: what was too large for this data set was set aside when it was indexed


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a data URL and its size on the page (pixels), or why there is none."""

    url: str
    size: tuple[int, int] = (0, 0)
    tiny: bool = False
    why: str = ""


@dataclass(frozen=True)
class Mistake:
    """A test image that was called by another name, with the probability (0-1) of that name."""

    path: str
    label: str
    predicted: str
    probability: float
    head_right: bool  # whether the frozen head had it right
    picture: Picture


@dataclass(frozen=True)
class Mistakes:
    """Those that are shown, of `n`."""

    shown: list[Mistake]
    n: int


def mistakes(f: Findings, most: int) -> Mistakes:
    """The mistakes, at most `most` of them, those that the model was surest of first."""
    wrong = f.predictions[~f.predictions["correct"]].sort_values(["probability", "path"], ascending=[False, True], kind="stable")
    shown, scale = [], Grey.from_json(f.card.get("grey"))
    with Progress(min(most, len(wrong)), "picturing mistakes") as progress:
        for row in wrong.head(most).itertuples():
            right, picture = row.head_predicted == row.label, _picture(f.images / str(row.path), scale)
            shown.append(Mistake(str(row.path), str(row.label), str(row.predicted), float(row.probability), bool(right), picture))
            progress.step()
    return Mistakes(shown, len(wrong))


def _picture(path: Path, grey: Grey | None = None) -> Picture:
    """A thumbnail.

    Tiny images keep their pixels: they are stored without loss, and enlarged by the browser.
    """
    try:
        image = images.open_image(path, ANY_SIZE, near=THUMBNAIL, scale=grey)
    except images.Unreadable as error:
        return Picture("", why=str(error))
    tiny = max(image.size) < TINY
    buffer = io.BytesIO()
    if tiny:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        image.save(buffer, "JPEG", quality=82, optimize=True)
    scale = THUMBNAIL / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    kind = "png" if tiny else "jpeg"
    return Picture(f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}", (width, height), tiny)
