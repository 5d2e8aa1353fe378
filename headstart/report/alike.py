"""The report's section on what the model finds alike: a map of the images by their features, coloured by class."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from headstart.base.cores import in_order
from headstart.machinery.progress import Progress
from headstart.report import charts, pictures
from headstart.report.findings import Findings
from headstart.words.formats import count

SIDE = 56  # pixels of a picture: a thousand of them are 2 MB
MANY = 60  # classes that the legend names


@dataclass(frozen=True)
class Alike:
    """The map, and its legend: each class with how its points look."""

    said: str
    chart: Markup
    legend: list[tuple[Markup, str]]
    n_classes: int


def alike(f: Findings) -> Alike | None:
    """The map; None if there is none."""
    if not len(f.map):
        return None
    classes = sorted(set(f.map["label"]))
    numbers = {label: number for number, label in enumerate(classes)}
    points, files = [], [f.images / str(path) for path in f.map["path"]]
    with Progress(len(files), "picturing the map") as progress:
        for row, picture in zip(f.map.itertuples(), in_order(lambda file: pictures.picture(file, f.grey, SIDE).url, files), strict=True):
            label = str(row.label)
            points.append(charts.Mark(float(str(row.x)), float(str(row.y)), numbers[label], f"{label} ({row.split})", picture))
            progress.step()
    said = f"{count(len(points), 'image')} of training, validation and test, near each other if the model finds them alike (t-SNE on the features that its head sees)."
    if len(classes) > charts.KINDS:
        said += f" Marks come again after {charts.KINDS} classes."
    chart = charts.marks(
        points, alt=f"Map of {count(len(points), 'image')} in {count(len(classes), 'class', 'classes')} by what the model sees of them"
    )
    return Alike(said, chart, [(charts.key(numbers[label]), label) for label in classes[:MANY]], len(classes))
