"""What is told of groups: the content of reports/groups.json."""

from __future__ import annotations

from typing import TypedDict

TABLE = ("path", "group", "part", "distance", "outlier", "x", "y")  # columns of reports/groups.csv


class Tried(TypedDict):
    """What was found with a number of groups: agreement (0-1, beyond chance) of clusterings of resampled images, and the mean silhouette."""

    groups: int
    stability: float
    silhouette: float


class Source(TypedDict):
    """A source: how stable the groups are that it sees by itself, how far apart they lie, or why it could not be had."""

    name: str
    stability: float | None
    silhouette: float | None
    reason: str


class Method(TypedDict):
    """A way to find the groups: how far apart its groups lie in the spaces of all sources, and how many it found."""

    name: str
    silhouette: float
    groups: int


class Group(TypedDict):
    """A group: its number from 1, its images, those that stand for it, and the share of it that stays together if images are drawn again."""

    group: int
    images: int
    medoids: list[str]  # paths
    stability: float
    outliers: int


class Report(TypedDict):
    """All that is told; `images` is 0 if there was nothing to do, `reason` says why."""

    setting: str
    images: int
    reason: str
    source: str
    method: str
    groups: list[Group]
    asked: bool  # whether the number of groups was given
    interval: list[int]  # 95%, of the number of groups
    curve: list[Tried]
    stability: float  # agreement beyond chance of the groups of samples with these, by the method that was chosen
    silhouette: float
    by_chance: float  # the largest silhouette that images without any groups reach
    shown: bool  # whether there are groups at all
    sources: list[Source]
    methods: list[Method]
    outliers: int
    near_duplicates: int
    table_sha256: str  # of reports/groups.csv, so that what depends on one depends on both
    grey: dict[str, list[float]] | None  # the scale on which more than 8 bits a channel are shown


def nothing(setting: str, reason: str) -> Report:
    """The report if there is nothing to group."""
    empty: Report = {
        "setting": setting,
        "images": 0,
        "reason": reason,
        "source": "",
        "method": "",
        "groups": [],
        "asked": False,
        "interval": [],
        "curve": [],
        "stability": 0.0,
        "silhouette": 0.0,
        "by_chance": 0.0,
        "shown": False,
        "sources": [],
        "methods": [],
        "outliers": 0,
        "near_duplicates": 0,
        "table_sha256": "",
        "grey": None,
    }
    return empty
