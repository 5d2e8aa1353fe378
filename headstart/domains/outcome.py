"""What is written of a second domain in reports/adapt.json. Light: most runs have none."""

from __future__ import annotations

from typing import TypedDict

from headstart.domains.labelled import Labelled

MAP = "map.parquet"  # beside the labels of the target: mapping.COLUMNS
ALWAYS, NEVER, IF_SHOWN = "always", "never", "if_shown"


class Source(TypedDict):
    """What is known without labels of one source: shares (0-1), and agreement with the others beyond chance."""

    name: str
    agrees: float
    carried_back: float
    nuclear_norm: float


class Report(TypedDict):
    """The content of reports/adapt.json. Without a second domain, `setting` and zero images alone count."""

    setting: str
    images: int  # without labels, that can be read
    adapted: bool
    reason: str
    method: str
    source: str | None  # of the adapted model
    agreement: list[float]  # beyond chance: adapted, plain, and the ends of the 95% interval of the difference
    accuracy: list[float]  # of the adapted model on the target, without labels: estimate, lower and upper end; [] if there is no telling
    sources: list[Source]
    renamed: int  # images of the target that get another label by adapting
    shares: dict[str, list[float]]  # of each class: among the labelled images, and as the target is now labelled
    labelled: Labelled | None  # what labels of some target images say


def nothing(setting: str, reason: str) -> Report:
    """The report of a run that has nothing to adapt to."""
    return {
        "setting": setting,
        "images": 0,
        "adapted": False,
        "reason": reason,
        "method": "",
        "source": None,
        "agreement": [],
        "accuracy": [],
        "sources": [],
        "renamed": 0,
        "shares": {},
        "labelled": None,
    }
