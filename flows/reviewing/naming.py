"""Groups of images without labels that a person names: what is asked, what was said, and the table of labels that comes of it.

Each group shows an image of each of its parts. One name for a group is one for all its parts; parts that differ get names of their own,
which splits the group; groups of one name are one class. Then images that were drawn at random are shown with the name that they would
get: the answers say how many of all names fit.
"""

from __future__ import annotations

import csv
import hashlib
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from headstart.base import outputs
from headstart.indexing import layout
from headstart.machinery.errors import DataError, HeadstartError
from headstart.statistics import operating
from headstart.words import spreadsheet
from headstart.words.formats import count, percent

TABLE, GROUPS = Path("reports/groups.csv"), Path("reports/groups.json")
ANSWERS, LABELS = Path("data/group_names.csv"), Path("data/named.csv")
COLUMNS = ("path", "asked", "label")  # of ANSWERS
PART, DRAWN = "part", "drawn"  # what was asked of an image: the name of its part of a group, or whether a name fits
CHECKED = 30  # images that are drawn at random
AGREEMENT = "accuracy in that run is agreement with these names, which the same networks made: how many names are right is told by images drawn at random alone"
FEWEST = 5  # answers from which a share is told


class Part(TypedDict):
    """A part of a group: the image that stands for it, how many images it has, and its name; "" for none."""

    path: str
    images: int
    name: str


class Group(TypedDict):
    """A group that is to be named."""

    group: int
    images: int
    parts: list[Part]


class Check(TypedDict):
    """An image that was drawn at random: the name that it would get, and what it was said to be; None if it was not asked yet, "" if it is nothing that has a name."""

    path: str
    name: str
    said: str | None


class State(TypedDict):
    """What the page shows."""

    groups: list[Group]
    names: list[str]
    checks: list[Check]
    estimate: str
    can_undo: bool
    file: str
    command: str
    ready: bool  # whether there are two names, so that a run can begin


@dataclass
class Naming:
    """The groups, and the answers that were given so far; every answer is in the file before the next is asked."""

    groups: list[Group]
    parts: dict[str, tuple[int, int]]  # of each image that has one: its group and its part, from 0; images unlike all others have none
    drawn: list[str]
    source: str  # what was imported
    file: Path = LABELS
    kept: Path = ANSWERS
    said: dict[tuple[str, str], str] = field(default_factory=dict)  # by path and what was asked
    page: Path = Path(__file__).parent / "naming.html"
    _before: list[dict[tuple[str, str], str]] = field(default_factory=list)

    @property
    def known(self) -> set[str]:
        """The images that the page may show."""
        return {part["path"] for group in self.groups for part in group["parts"]} | set(self.drawn)

    def take(self, content: dict[str, Any]) -> None:
        """Note an answer: names of the parts of a group, or what an image that was drawn is. Raises HeadstartError for what was not asked."""
        before = dict(self.said)
        if isinstance(content.get("names"), list):
            self._name(content.get("group"), content["names"])
        else:
            path, label = content.get("path"), content.get("label")
            if path not in self.drawn or not (label is None or label in (*self.names(), "")):
                raise HeadstartError(f"{label!r} is no answer for {path!r}")
            self.said.pop((path, DRAWN), None)
            if label is not None:
                self.said[path, DRAWN] = label
        self._before.append(before)
        self._write()

    def _name(self, number: object, names: list[object]) -> None:
        group = next((one for one in self.groups if one["group"] == number), None)
        if group is None or len(names) != len(group["parts"]) or not all(isinstance(name, str) for name in names):
            raise HeadstartError(f"{names} are no names of group {number}")
        given = [str(name).strip() for name in names]
        for name in filter(None, given):
            if problem := layout.check_label(name):
                raise HeadstartError(f"the name {name!r} {problem}; give another")
        try:
            layout.check_labels({*given, *self.names()} - {""})
        except DataError as error:
            raise HeadstartError(str(error)) from None
        for part, name in zip(group["parts"], given, strict=True):
            self.said.pop((part["path"], PART), None)
            if name:
                self.said[part["path"], PART] = name

    def undo(self) -> None:
        """Take back the last answer of this review; nothing if there is none."""
        if self._before:
            self.said = self._before.pop()
            self._write()

    def names(self) -> list[str]:
        """The names that were given, sorted."""
        return sorted({name for (_, asked), name in self.said.items() if asked == PART})

    def labels(self) -> dict[str, str]:
        """The label of every image that has one: what it was said to be itself, else the name of its part of a group."""
        names = self._names_of_parts()
        found = {path: names[place] for path, place in self.parts.items() if place in names}
        for (path, asked), label in self.said.items():
            if asked == DRAWN and path in found:
                found[path] = label
        return {path: label for path, label in found.items() if label}

    def _names_of_parts(self) -> dict[tuple[int, int], str]:
        return {
            (group["group"], number): self.said[part["path"], PART]
            for group in self.groups
            for number, part in enumerate(group["parts"])
            if (part["path"], PART) in self.said
        }

    def checks(self) -> list[Check]:
        """The images that were drawn, of those that have a name by now."""
        names = self._names_of_parts()
        named = [(path, names[self.parts[path]]) for path in self.drawn if self.parts.get(path) in names]
        return [{"path": path, "name": name, "said": self.said.get((path, DRAWN))} for path, name in named]

    def estimate(self) -> str:
        """How many of the images that have a name are what it says, from those drawn at random; "" if too few were looked at."""
        answered = [one for one in self.checks() if one["said"] is not None]
        if len(answered) < FEWEST:
            return ""
        fit = sum(one["said"] == one["name"] for one in answered)
        low, high = operating.interval(fit, len(answered))
        return (
            f"{fit} of {len(answered)} drawn at random have the right name: of the {count(len(self.labels()), 'image')} with a name about "
            f"{percent(fit / len(answered))} (95% interval {percent(low)} to {percent(high)})."
        )

    @property
    def command(self) -> str:
        """What starts the pipeline from the names; images without one join if that helps."""
        return f"headstart import {shlex.quote(self.source)} --labels {self.file} --unlabelled && headstart run"

    def state(self) -> State:
        """What the page shows."""
        groups: list[Group] = [
            {**one, "parts": [{**part, "name": self.said.get((part["path"], PART), "")} for part in one["parts"]]} for one in self.groups
        ]
        return {
            "groups": groups,
            "names": self.names(),
            "checks": self.checks(),
            "estimate": self.estimate(),
            "can_undo": bool(self._before),
            "file": str(self.file),
            "command": self.command,
            "ready": len(self.names()) > 1,
        }

    def ended(self) -> str:
        """What a review came to, and what to do next."""
        named = len({group["group"] for group in self.groups if any((part["path"], PART) in self.said for part in group["parts"])})
        labels = self.labels()
        told = f"{named} of {count(len(self.groups), 'group')} named, {count(len(self.names()), 'name')}: {count(len(labels), 'image')} with a label in {self.file}"
        steps = f"next: {self.command}" if len(self.names()) > 1 else "a run needs two names or more; `headstart review` goes on"
        warned = AGREEMENT if len(self.names()) > 1 else ""
        return "\n".join(line for line in (told, self.estimate(), warned, steps) if line)

    def _write(self) -> None:
        with outputs.whole(self.kept) as temporary:
            spreadsheet.write(temporary, COLUMNS, [(path, asked, label) for (path, asked), label in self.said.items()])
        with outputs.whole(self.file) as temporary:
            _write_labels(temporary, self.labels())


def _write_labels(path: Path, labels: dict[str, str]) -> None:
    """A table as an import reads it: names as they are, also those that a spreadsheet would compute."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("path", "label"))
        table.writerows(sorted(labels.items()))


def load(images: Path, source: str, file: Path = LABELS, kept: Path = ANSWERS, groups: Path = GROUPS, table: Path = TABLE) -> Naming:
    """The groups of the last run. Raises HeadstartError if there are none, or if their images are not there any more."""
    found = outputs.read_object(groups)
    if not found.get("images"):
        raise HeadstartError(f"there are no groups yet ({groups}); make them with `headstart run`")
    rows = _rows(table)
    if not any((images / row["path"]).is_file() for row in rows):
        raise HeadstartError(f"the images of {table} are not in {images} any more; group them anew with `headstart run`")
    parts = {row["path"]: (int(row["group"]), int(row["part"]) - 1) for row in rows if row["outlier"] != "True"}
    shown: list[Group] = []
    for one in found["groups"]:
        sizes = [sum(place == (one["group"], number) for place in parts.values()) for number in range(len(one["medoids"]))]
        inside: list[Part] = [{"path": path, "images": size, "name": ""} for path, size in zip(one["medoids"], sizes, strict=True)]
        shown.append({"group": one["group"], "images": one["images"], "parts": inside})
    stand = {part["path"] for group in shown for part in group["parts"]}
    others = sorted((path for path in parts if path not in stand), key=lambda path: hashlib.sha256(path.encode()).digest())
    said = {(row["path"], row["asked"]): row["label"] for row in _rows(kept)} if kept.exists() else {}
    here = {key: label for key, label in said.items() if key[0] in (stand if key[1] == PART else parts)}
    return Naming(shown, parts, others[:CHECKED], source, file, kept, here)


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table that was written here. Raises HeadstartError if it cannot be read."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [{name: spreadsheet.text(cell or "") for name, cell in row.items()} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HeadstartError(f"{path} cannot be read ({error}); make it again with `headstart run`, or get it back from git") from None
