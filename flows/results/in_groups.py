"""What the stage group_images left, as far as people are shown it: reports/groups.json. All fields may be missing."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict, cast

from headstart.base import outputs
from headstart.words import groups as words
from headstart.words.formats import count

GROUPS = Path("reports/groups.json")
TABLE = Path("reports/groups.csv")


class Group(TypedDict):
    """A group: its number, its images, and the share of it that stays together if half of the images are grouped anew."""

    group: int
    images: int
    medoids: list[str]
    stability: float


class Groups(TypedDict, total=False):
    """reports/groups.json; `images` is 0 if the images have labels."""

    images: int
    source: str
    method: str
    groups: list[Group]
    asked: bool
    interval: list[int]
    stability: float
    silhouette: float
    by_chance: float
    shown: bool
    outliers: int
    near_duplicates: int


def groups() -> Groups:
    """reports/groups.json, empty if there is none, or if the images have labels."""
    found = cast(Groups, outputs.read_object(GROUPS))
    return found if found.get("images") else {}


def headline(made: Groups) -> str:
    """How many groups there are: 12 groups of 1,000 images."""
    return f"{count(len(made['groups']), 'group')} of {count(made['images'], 'image')}"


def lines(made: Groups, most: int = 8) -> list[tuple[str, str]]:
    """What is told of the groups, each with a short title; "" goes on with the line above."""
    told = [
        ("groups", words.number(len(made["groups"]), made["asked"], made["interval"], made["images"])),
        ("how sure", words.sure(made["shown"], made["stability"], made["silhouette"], made["by_chance"])),
        ("source", f"{made['source']}, grouped by {made['method']}"),
    ]
    for one in made["groups"][:most]:
        shown = f"group {one['group']}: {count(one['images'], 'image')}, {one['stability']:.0%} stay together, such as {one['medoids'][0]}"
        told.append(("" if one["group"] > 1 else "largest", shown))
    told.append(("others", words.unlike(made["outliers"], made["near_duplicates"])))
    told.append(("caveat", words.LIMITS))
    told.append(("table", str(TABLE)))
    told.append(("next", f"{words.NEXT}, to name the groups"))
    return told
