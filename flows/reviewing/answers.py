"""What is to be reviewed, in which order, what a person said, and what that says of the rest of the list."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from headstart.base import outputs
from headstart.importing import reviewed
from headstart.importing.reviewed import Reviewed, Said
from headstart.machinery.errors import HeadstartError
from headstart.statistics import operating
from headstart.words.formats import count, percent

if TYPE_CHECKING:
    from headstart.labels.doubtful import Doubt, Doubts

PAGE = Path(__file__).parent / "page.html"
LABELS = Path("reports/labels/labels.json")
DRAWN = 20  # single labels that are drawn at random and asked first
FEWEST = 5  # answers from which a share is told


class State(TypedDict):
    """What the page shows."""

    classes: list[str]
    queue: list[Doubt]  # in the order in which they are asked
    answers: dict[str, list[str]]  # by path: the answer and the label
    estimate: str
    can_undo: bool
    file: str


@dataclass
class Review:
    """The list, and the answers that were given so far; every answer is in the file before the next is asked."""

    doubts: list[Doubt]
    classes: list[str]
    file: Path
    singles: int  # labels in the list outside blocks, those included that are not asked
    rows: dict[str, Reviewed] = field(default_factory=dict)  # by origin, those of earlier reviews included
    _before: list[tuple[str, Reviewed | None]] = field(default_factory=list)  # what each answer of this review replaced
    page: Path = PAGE

    @property
    def known(self) -> set[str]:
        """The images that the page may show."""
        return {path for one in self.doubts for path in (one["path"], *(near["path"] for near in one["neighbours"]))}

    def take(self, content: dict[str, Any]) -> None:
        """Note an answer, as the page sends it. Raises HeadstartError for what was not asked."""
        path, said, label = (content.get(name) for name in ("path", "answer", "label"))
        if not (isinstance(path, str) and isinstance(label, str) and said in ("keep", "change", "drop", "unsure")):
            raise HeadstartError("an answer has path, answer and label")
        self.answer(path, said, label)

    def answer(self, path: str, said: Said, label: str) -> None:
        """Note what a person said of the label of a file, and write it. Raises HeadstartError for what was not asked."""
        doubt = next((one for one in self.doubts if one["path"] == path), None)
        known = {"keep": [doubt["label"]] if doubt else [], "unsure": [doubt["label"]] if doubt else [], "drop": [""]}
        allowed = known.get(said, [one for one in self.classes if doubt and one != doubt["label"]])
        if doubt is None or label not in allowed:
            raise HeadstartError(f"{said} {label!r} is no answer for {path!r}")
        origin, current = doubt["origin"], doubt["label"]
        before = self.rows.get(origin)
        was = before.was if before is not None and self.said(doubt) else current  # an answer that an import has followed
        self._before.append((origin, before))
        self.rows[origin] = Reviewed(origin, was, "keep" if label == was and said == "change" else said, label)
        self._write()

    def undo(self) -> None:
        """Take back the last answer of this review; nothing if there is none."""
        if not self._before:
            return
        origin, row = self._before.pop()
        del self.rows[origin]
        if row is not None:
            self.rows[origin] = row
        self._write()

    def said(self, doubt: Doubt) -> Reviewed | None:
        """What was said of the label that a file has now, or before the import that followed it."""
        row = self.rows.get(doubt["origin"])
        asked = any(origin == doubt["origin"] for origin, _ in self._before)
        return row if row is not None and (asked or doubt["label"] in (row.was, row.label)) else None

    def fresh(self, doubt: Doubt) -> Reviewed | None:
        """What was said of the label that a file has now, for certain."""
        row = self.said(doubt)
        return row if row is not None and row.was == doubt["label"] and row.answer != "unsure" else None

    @property
    def changes(self) -> int:
        """Answers that the next import will act on."""
        return sum(row.answer != "unsure" and row.label != doubt["label"] for doubt in self.doubts if (row := self.said(doubt)))

    def state(self) -> State:
        """What the page shows."""
        told = {doubt["path"]: [row.answer, row.label] for doubt in self.doubts if (row := self.said(doubt))}
        return {
            "classes": self.classes,
            "queue": self.doubts,
            "answers": cast("dict[str, list[str]]", told),
            "estimate": self.estimate(),
            "can_undo": bool(self._before),
            "file": str(self.file),
        }

    def estimate(self) -> str:
        """How many of the single labels are wrong, from the answers to those that were drawn at random; "" if these are too few."""
        singles = [doubt for doubt in self.doubts if not doubt["block"]]
        every = [row for doubt in singles if (row := self.fresh(doubt))]
        wrong = sum(row.answer != "keep" for row in every)
        if singles and len(every) == len(singles) == self.singles:
            return f"{wrong} of {count(len(singles), 'single label')} were wrong."
        drawn = [row for doubt in singles[:DRAWN] if (row := self.fresh(doubt))]
        if len(drawn) < FEWEST:
            return ""
        hits = sum(row.answer != "keep" for row in drawn)
        low, high = operating.interval(hits, len(drawn))
        return (
            f"{hits} of {len(drawn)} drawn at random were wrong: of the {self.singles:,} single labels about {percent(hits / len(drawn))} "
            f"(95% interval {percent(low)} to {percent(high)})."
        )

    def _write(self) -> None:
        reviewed.write(self.file, self.rows.values())


def load(images: Path, file: Path = reviewed.FILE, labels: Path = LABELS) -> Review:
    """The review of the last run's list. Raises HeadstartError if there is no list, or none of its files is there any more."""
    found = cast("Doubts", outputs.read_object(labels))
    if not found.get("images"):
        raise HeadstartError(f"there is no list of labels yet ({labels} is missing); make one with `headstart run`")
    there = [one for one in found["labels"] if (images / one["path"]).is_file()]
    if found["labels"] and not there:
        raise HeadstartError(f"the images of {labels} are not in {images} any more; make the list anew with `headstart run`")
    classes = found["classes"]
    rows = {row.origin: row for row in reviewed.read(file)} if file.exists() else {}
    return Review(in_order(there), classes, file, found["singles"], rows=rows)


def in_order(doubts: list[Doubt]) -> list[Doubt]:
    """Blocks first, then single ones: some drawn at random, whose answers say how many of all are wrong, then the most doubtful first."""
    blocks, singles = [one for one in doubts if one["block"]], [one for one in doubts if not one["block"]]
    drawn = sorted(singles, key=lambda one: hashlib.sha256(one["origin"].encode(errors="surrogateescape")).digest())[:DRAWN]
    return [*blocks, *drawn, *(one for one in singles if one not in drawn)]
