"""Images without any label: they are put into groups, which a person may name.

A hidden file among the images says so, as folders alone would pass for classes; it is versioned with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headstart.data.settings.setting import Setting

if TYPE_CHECKING:
    import pandas as pd

FILE = ".no_labels"  # below the data set
SAYS = "The folders here are no classes: these images were imported with --no-labels.\n"


def mark(images: Path) -> None:
    """Say that the images of a folder have no labels."""
    (images / FILE).write_text(SAYS, encoding="utf-8")


def marked(images: Path) -> bool:
    """Whether the images of a folder have no labels."""
    return (images / FILE).is_file()


def is_of(table: pd.DataFrame) -> bool:
    """Whether no row of a manifest has a label; False if there is none."""
    return len(table) > 0 and bool((table["label"] == "").all())


def _unlabelled(_: Path) -> list[str]:
    return []


NO_LABELS = Setting(
    "no_labels",
    "images without labels",
    "They are put into groups, which you may name.",
    marked,
    _unlabelled,
    ("select_source", "train_head", "fine_tune", "baseline", "verdict", "evaluate", "adapt", "compare_batches"),
)
