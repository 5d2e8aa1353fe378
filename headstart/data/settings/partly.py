"""Some images have a label, others of the same kind have none.

Those without lie in a hidden folder of the data set, where no walk takes them for a class, so one version of the data set holds both.
"""

from __future__ import annotations

from pathlib import Path

from headstart.data.settings.setting import Setting, below

FOLDER = ".unlabelled"  # below the data set


def _means(images: Path) -> bool:
    return (images / FOLDER).is_dir()


def _unlabelled(images: Path) -> list[str]:
    return below(images, FOLDER)


PARTLY = Setting(
    "partly",
    "images of which some have a label",
    "The others join by self-training if held-out images show that it helps.",
    _means,
    _unlabelled,
)
