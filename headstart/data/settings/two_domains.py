"""Labelled images of one domain, and images without labels of the domain in which the model will be used.

Those without labels lie in a hidden folder of the data set, where no walk takes them for a class, so one version of the data set holds both.
"""

from __future__ import annotations

import csv
from pathlib import Path

from headstart.data.settings.setting import Setting, below

FOLDER = ".target"  # below the data set
LABELS = ".target.csv"  # beside it: labels of a few of its images, if some are known: path below the data set, label


def labels(images: Path) -> dict[str, str]:
    """The labels of some images of the second domain, by path; none if none are known."""
    path = images / LABELS
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["path"]: row["label"] for row in csv.DictReader(file)}


def _means(images: Path) -> bool:
    return (images / FOLDER).is_dir()


def _unlabelled(images: Path) -> list[str]:
    return below(images, FOLDER)


TWO_DOMAINS = Setting(
    "two_domains",
    "labelled images of one domain, images without labels of another",
    "The labels are carried over to the second domain if that can be trusted.",
    _means,
    _unlabelled,
)
