"""Labelled images that came in batches, one after the other; each has a label when it comes."""

from __future__ import annotations

from pathlib import Path

from headstart.data import batches
from headstart.data.settings.setting import Setting


def _means(images: Path) -> bool:
    return (images / batches.FILE).is_file()


def _unlabelled(_: Path) -> list[str]:
    return []


IN_BATCHES = Setting(
    "in_batches",
    "labelled images that came in batches",
    "What was held out for the test stays held out when more images come.",
    _means,
    _unlabelled,
)
