"""The report's section of pictures: some of each class, those that the model is least sure of, and those unlike all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from headstart.data import provenance
from headstart.machinery.progress import Progress
from headstart.report import pictures
from headstart.report.findings import Findings
from headstart.words.formats import count, percent

MOST_CLASSES = 40  # classes of which pictures are shown
OF_CLASS, OF_MANY, FEW = 6, 3, 12  # pictures of each class; of each of more than FEW classes
LEAST_SURE, FAR = 8, 8  # pictures
SIDE = 96  # pixels of a picture of a class


@dataclass(frozen=True)
class OfClass:
    """Some pictures of a class."""

    label: str
    pictures: list[pictures.Picture]


@dataclass(frozen=True)
class Shown:
    """A picture with what is said of it."""

    label: str
    said: str
    path: str
    picture: pictures.Picture
    odd: bool  # whether what is said is a warning


@dataclass(frozen=True)
class Gallery:
    """What the section shows."""

    classes: list[OfClass]
    unsure: list[Shown]  # test images, the least sure first
    far: list[Shown]  # of all splits, the furthest first
    left: str  # of how many classes no picture is shown, in a sentence; "" if of none
    beyond: str  # how `unlike` is said of new pictures, in a sentence; "" if it never is


def gallery(f: Findings) -> Gallery:
    """The pictures. Those of a class are spread over its files in the order of their names."""
    origins = provenance.read(f.images)
    every = f.map if len(f.map) else f.predictions
    groups = [(str(label), sorted(rows["path"])) for label, rows in every.groupby("label")]
    each = OF_CLASS if len(groups) <= FEW else OF_MANY
    with Progress(each * min(len(groups), MOST_CLASSES) + LEAST_SURE + FAR, "picturing classes") as progress:

        def pictured(path: str, side: int = pictures.THUMBNAIL) -> pictures.Picture:
            progress.step()
            return pictures.picture(f.images / path, f.grey, side)

        classes = [OfClass(label, [pictured(path, SIDE) for path in spread(paths, each)]) for label, paths in groups[:MOST_CLASSES]]
        unsure = [
            Shown(label, said, provenance.named(path, origins.get(path, "")), pictured(path), not right)
            for path, label, said, right in _unsure(f.predictions)
        ]
        far = [
            Shown(
                one["label"],
                f"{one['split']}, distance {one['distance']:.2f}",
                provenance.named(one["path"], origins.get(one["path"], "")),
                pictured(one["path"]),
                f.far["distance"] is not None and one["distance"] > f.far["distance"],
            )
            for one in f.far["images"][:FAR]
        ]
    return Gallery(classes, unsure, far, _left(len(groups) - len(classes)), _beyond(f.far["distance"]))


def spread(paths: Sequence[str], most: int) -> list[str]:
    """At most so many of the paths, evenly spread."""
    return [paths[at * len(paths) // min(most, len(paths))] for at in range(min(most, len(paths)))]


def _unsure(predictions: pd.DataFrame) -> list[tuple[str, str, str, bool]]:
    """The test images that the model is least sure of: path, label, what is said, whether it is right."""
    rows = predictions.sort_values(["probability", "path"], kind="stable").head(LEAST_SURE)
    columns = zip(rows["path"], rows["label"], rows["predicted"], rows["probability"], rows["correct"], strict=True)
    return [
        (str(path), str(label), f"called {predicted}, {percent(float(sure))} sure", bool(right))
        for path, label, predicted, sure, right in columns
    ]


def _beyond(distance: float | None) -> str:
    return "" if distance is None else f"A new picture beyond {distance:.2f} is called `unlike`."


def _left(classes: int) -> str:
    return f"{count(classes, 'more class is', 'more classes are')} not shown." if classes else ""
