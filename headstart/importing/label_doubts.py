"""Labels that may not be meant as classes: several at once, amounts, words for nothing, text that was read in a wrong encoding."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from headstart.machinery.errors import DataError
from headstart.words import lists

PERHAPS = ("na", "none", "null", "nil", "-", "?", "undefined")  # these may be classes: they are told
AMOUNTS, FEW = 30, 5  # different numbers from which labels look like amounts: whole ones, others
_NUMBER = re.compile(r"[+-]?(\d{1,3}([,.' ]\d{3})+([.,]\d+)?|\d*[.,]?\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?\d+([.,]0+)?")
_UNIT = re.compile(r"([^\w.,+-]*)(.*?)(\s*[^\d]*)")  # of 12.5 mm, $1,000 and 40%: what stands before and behind the number
_WRONG = ("cp1252", "latin-1", "cp437", "cp850")  # as what UTF-8 is read by mistake


def refuse_several(labels: Sequence[str], file: Path) -> None:
    """Raise DataError for rows that give several labels at once: a|b, or a list. `labels` are those of all rows."""
    counts = Counter(labels)
    several = [label for label in counts if "|" in label or re.fullmatch(r"\[.*\]|\{.*\}|\(.*,.*\)", label)]
    for separator in (";", ","):
        if separator == "," and _decimal(counts):
            continue
        parts = [{part.strip() for part in label.split(separator)} for label in counts if separator in label]
        again = Counter(part for these in parts for part in these) + Counter(counts.keys())
        several += [label for label in counts if separator in label and any(again[part.strip()] > 1 for part in label.split(separator))]
    if several:
        raise DataError(
            f"{file} gives several labels to {sum(counts[label] for label in set(several)):,} file(s), such as {several[0][:200]!r}. "
            "Headstart learns one label for each image; keep the one that counts"
        )


def _decimal(labels: Collection[str]) -> bool:
    """Whether the commas in labels are those of numbers (1,37): all are numbers, and no two of them joined make a third."""
    joined = [label.split(",") for label in labels if "," in label]
    return all(_NUMBER.fullmatch(label) for label in labels) and not any(set(parts) <= set(labels) for parts in joined)


def amounts(labels: Sequence[str]) -> list[str]:
    """A note if the labels are numbers, of one unit or none, that look measured rather than chosen."""
    different = set(labels)
    found = [match.groups() for match in map(_UNIT.fullmatch, different) if match]
    if len(found) < len(different) or len({(before, behind.strip()) for before, _, behind in found}) > 1:
        return []
    numbers = {number for _, number, _ in found}
    if not all(map(_NUMBER.fullmatch, numbers)):
        return []
    whole = all(map(_WHOLE.fullmatch, numbers))
    if len(different) < (AMOUNTS if whole else FEW) or len(labels) > (5 if whole else 20) * len(different):  # numbers of classes
        return []
    return [
        f"the labels look like amounts: {len(different):,} different numbers. Headstart learns classes; sort the amounts into a few ranges first"
    ]


def several(labels: Iterable[str]) -> list[str]:
    """Notes on labels that may not be meant as classes: words for nothing, and several other labels in one."""
    different = set(labels)
    none = sorted(label for label in different if label.lower() in PERHAPS)
    notes = [f"{lists.named(none)} is taken as a class; if it means that there is no label, leave the field empty"] if none else []
    joined = [label for label in different if len(parts := re.split(r"\s*(?:[+&/:]| and )\s*", label)) > 1 and set(parts) <= different]
    if joined:
        notes.append(f"{lists.named(sorted(joined))} is taken as a class of its own, though it looks like several labels at once")
    return notes


def misread(labels: Iterable[str]) -> list[str]:
    """A note on labels that are UTF-8 read as something else, and written again (KÃ¤se): whoever made the data set did so. They are kept."""
    told = [f"{label} ({right}?)" for label in sorted(set(labels)) if (right := _as_meant(label))]
    return [f"read in a wrong encoding when the data set was made, it seems: {lists.named(told)}; rename them if so"] if told else []


def _as_meant(text: str) -> str:
    """What text was before it was read as something else than the UTF-8 that it is; "" if it is no such text."""
    for encoding in _WRONG:
        try:
            right = text.encode(encoding).decode()
        except UnicodeError:
            continue
        if right != text and right.isprintable():
            return right
    return ""
