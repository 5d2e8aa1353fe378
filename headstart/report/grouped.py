"""The report on images without labels: one HTML page that says which groups there are, how sure that is, and what to do next.

`render` turns what the stages left into a page that needs no network and no script; it is laid out in templates/groups.html.jinja.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from headstart.base import outputs
from headstart.base.grey import Grey
from headstart.machinery.errors import HeadstartError
from headstart.machinery.progress import Progress
from headstart.report import charts, pages, pictures
from headstart.report.alike import MANY, SIDE
from headstart.report.charts import Series
from headstart.words import groups as words
from headstart.words import lists, spreadsheet
from headstart.words.formats import count

if TYPE_CHECKING:
    import pandas as pd

    from headstart.checks.validation import Validation
    from headstart.grouping.outcome import Group, Report

UNLIKE = 24  # images unlike all others that are shown


@dataclass(frozen=True)
class Shown:
    """A group: its number, what is told of it, and the images that stand for it."""

    number: int
    images: int
    told: str
    medoids: list[tuple[str, pictures.Picture]]


@dataclass(frozen=True)
class Map:
    """The map, coloured by group, and its legend."""

    chart: Markup
    legend: list[tuple[Markup, str]]
    n: int


def render(groups: Path, validation: Path, images: Path) -> str:
    """The page; the table of all images lies beside `groups`, which has its hash. Raises HeadstartError if an output is missing."""
    import pandas as pd

    try:
        made: Report = outputs.read_json(groups)
        checked: Validation = outputs.read_json(validation)
        rows = pd.read_csv(groups.with_suffix(".csv"), dtype={"path": str}, keep_default_na=False, na_values={"x": [""], "y": [""]})
    except FileNotFoundError as error:
        raise HeadstartError(f"the report needs {error.filename}, which is missing; run `dvc repro`") from None
    rows["path"] = rows["path"].map(spreadsheet.text)
    grey = Grey.from_json(made["grey"])
    return (
        pages.environment()
        .get_template("groups.html.jinja")
        .render(
            headline=f"{len(made['groups'])} groups",
            answer=lists.sentence(words.number(len(made["groups"]), made["asked"], made["interval"], made["images"])),
            sure=lists.sentence(words.sure(made["shown"], made["stability"], made["silhouette"], made["by_chance"])),
            shown=made["shown"],
            unlike=lists.sentence(words.unlike(made["outliers"], made["near_duplicates"])),
            limits=words.LIMITS,
            made=made,
            groups=[_shown(one, images, grey) for one in made["groups"]],
            curve=_curve(made),
            map=_map(rows, images, grey),
            far=_pictures(_far(rows), images, grey),
            validation=checked,
        )
    )


def _shown(one: Group, images: Path, grey: Grey | None) -> Shown:
    told = f"{one['stability']:.0%} of it stays together if half of the images are grouped anew"
    if one["outliers"]:
        told += f"; {count(one['outliers'], 'image')} unlike all others"
    return Shown(one["group"], one["images"], told, _pictures(one["medoids"], images, grey))


def _pictures(paths: Sequence[str], images: Path, grey: Grey | None) -> list[tuple[str, pictures.Picture]]:
    return [(path, pictures.picture(images / path, grey)) for path in paths]


def _far(rows: pd.DataFrame) -> list[str]:
    """Images that are unlike all others, the farthest from the middle of their group first."""
    far = rows[rows["outlier"].astype(str) == "True"].sort_values(["distance", "path"], ascending=[False, True])
    return [str(path) for path in far["path"].head(UNLIKE)]


def _curve(made: Report) -> Markup | None:
    """How stable so many groups are."""
    if len(made["curve"]) < 2:
        return None
    stable = [(float(one["groups"]), one["stability"]) for one in made["curve"]]
    apart = [(float(one["groups"]), one["silhouette"]) for one in made["curve"]]
    chosen = [point for point in stable if point[0] == len(made["groups"])]
    return charts.lines(
        [Series("agreement", stable), Series("silhouette", apart, 2)],
        alt="Agreement of resampled images and silhouette over the number of groups",
        x_title="groups",
        y_title="",
        rings=chosen,
    )


def _map(rows: pd.DataFrame, images: Path, grey: Grey | None) -> Map | None:
    """The images in a plane, near each other if the network finds them alike."""
    there = rows[rows["x"].notna()]
    if there.empty:
        return None
    points = []
    with Progress(len(there), "picturing the map") as progress:
        for row in there.itertuples():
            picture = pictures.picture(images / str(row.path), grey, SIDE).url
            points.append(charts.Mark(float(str(row.x)), float(str(row.y)), int(str(row.group)) - 1, f"group {row.group}", picture))
            progress.step()
    numbers = sorted({int(group) for group in there["group"]})
    chart = charts.marks(
        points, alt=f"Map of {count(len(points), 'image')} in {count(len(numbers), 'group')} by what the network sees of them"
    )
    return Map(chart, [(charts.key(number - 1), f"group {number}") for number in numbers[:MANY]], len(points))
