"""Labelled images of one domain, and images without labels of the domain in which the model will be used.

Those without labels lie in a hidden folder of the data set, where no walk takes them for a class, so one version of the data set holds both.
"""

from __future__ import annotations

from pathlib import Path

from headstart.data.settings.setting import Setting, below

FOLDER = ".target"  # below the data set
LABELS = ".target.csv"  # beside it: labels of a few of its images, if some are known: path below FOLDER, label


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
