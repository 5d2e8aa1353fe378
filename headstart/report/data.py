"""The report's section on the data: how many images there are, and what the checks found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.checks.columns import SPLITS
from headstart.report import charts, pictures
from headstart.report.findings import Findings
from headstart.words import formats

if TYPE_CHECKING:
    from headstart.checks.validation import Expectation, Failure, Images, Quarantined

PAIRS = 6  # of images that a check finds alike, shown side by side
MANY = 30  # classes beyond which the chart is folded away


@dataclass(frozen=True)
class Seen:
    """An image of a pair, as a picture."""

    path: str
    label: str
    split: str
    picture: pictures.Picture


@dataclass(frozen=True)
class Failed:
    """A check that failed, and pairs of images to look at."""

    name: str
    message: str
    files: list[str]
    n_files: int
    pairs: list[list[Seen]]


@dataclass(frozen=True)
class Data:
    """What the section shows."""

    images: Images
    splits: list[tuple[str, int]]  # each with its number of images
    n_classes: int
    range: tuple[int, int]  # images of the smallest and of the largest class
    chart: str
    folded: bool  # the chart
    warnings: list[Failed]
    critical: list[Failed]
    quarantined: list[Quarantined]
    expectations: list[Expectation]
    scale: str  # how more than 8 bits a channel are shown; "" if there is none


def data(f: Findings) -> Data:
    """Usable images by split and class, the failed checks, and the files that were set aside."""
    per_split = f.validation["images"]["per_split"]
    splits = [split for split in SPLITS if split in per_split]
    labels = sorted({label for split in per_split.values() for label in split})
    rows = [(label, [per_split[split].get(label, 0) for split in splits]) for label in labels]
    totals = [sum(counts) for _, counts in rows]
    return Data(
        images=f.validation["images"],
        splits=[(split, sum(per_split[split].values())) for split in splits],
        n_classes=len(labels),
        range=(min(totals), max(totals)) if totals else (0, 0),
        chart=charts.stacks(rows, splits, alt="Images of each class in each split") if rows else "",
        folded=len(rows) > MANY,
        warnings=[_failed(f, failure) for failure in f.validation["warnings"]],
        critical=[_failed(f, failure) for failure in f.validation["critical"]],
        quarantined=f.validation["quarantined"],
        expectations=f.validation["expectations"],
        scale=formats.scale(f.card.get("grey")),
    )


def _failed(f: Findings, failure: Failure) -> Failed:
    pairs = [
        [Seen(one["path"], one["label"], one["split"], pictures.picture(f.images / one["path"], f.grey)) for one in pair]
        for pair in failure.get("pairs", [])[:PAIRS]
    ]
    return Failed(failure["name"], failure["message"], failure["files"], failure["n_files"], pairs)
