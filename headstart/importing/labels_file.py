"""A table of labels for images that no folder sorts: which file each row means, its label, its split and its group.

What the table looks like is for label_table.py and label_columns.py, what a file may be called for label_places.py.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from headstart.importing import label_columns, label_doubts, label_table
from headstart.importing.label_columns import NO, YES, Columns
from headstart.importing.label_places import Places
from headstart.indexing import layout, split_names
from headstart.machinery.errors import DataError
from headstart.words import lists

EMPTY = ("", "nan", "n/a", "<na>", "#n/a", "#value!", "#ref!")  # labels that are none: how pandas and spreadsheets write one
# What is wrong with a row, and how that is told of many; `skip_bad` leaves these out.
MISSING, NO_LABEL, TWICE, TWO_LABELS = "missing", "no label", "named twice", "two labels"
DOUBTFUL, OUTSIDE, NO_SPLIT = "may be several files", "outside the folder", "no split"
_TOLD = {
    MISSING: "file(s) are missing",
    DOUBTFUL: "file(s) may be any of several",
    OUTSIDE: "file(s) lie outside {shown}",
    NO_LABEL: "row(s) have no label",
    NO_SPLIT: "row(s) have no split while others do",
    TWICE: "file(s) are named twice",
    TWO_LABELS: "file(s) have two labels",
}
SKIP = "--skip-bad leaves these out, names each in a list, and goes on"
KEEP = "--unlabelled keeps what has no label as images without labels"


def reasons(left_out: Iterable[LeftOut]) -> str:
    """How many were left out for each reason, the most frequent first."""
    found = Counter(one.reason.partition(":")[0] for one in left_out)
    return lists.listing([f"{number:,} {reason}" for reason, number in found.most_common()])


class LeftOut(NamedTuple):
    """A file or row that is not used, as people look for it, and why."""

    path: str
    label: str
    line: int  # of the label file; 0 if the reason is not found there
    reason: str


@dataclass
class Labelled:
    """What a label file gives: files with their labels, and what people should know of how it was read."""

    items: list[layout.Item]  # sorted by path below the folder
    groups: dict[str, str]  # the group of a path, for those that have one
    skipped: list[str]  # images that no row names
    left_out: list[LeftOut] = field(default_factory=list)  # with `skip_bad` only
    notes: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)  # files below the folder without a label, sorted, if they are wanted


class _Row(NamedTuple):
    line: int
    name: str
    label: str
    split: str
    group: str


def read(
    file: Path,
    folder: Path,
    *,
    shown: str,
    columns: Mapping[str, str] | None = None,
    skip_bad: bool = False,
    encoding: str = "",
    unlabelled: bool = False,
) -> Labelled:
    """The labels that a table gives to files in `folder`.

    `columns` names columns by role (path, label, split, group), for tables that do not use the usual names. Paths are relative to the
    folder or to the table, which may lie in the folder. `shown` names the folder in messages. Raises DataError that lists all problems
    with their counts: missing files, empty and unfit labels, unknown splits, files named twice, with two labels or lying outside the
    folder. `skip_bad` leaves out what has such a problem of its own. `encoding` is that of a table that is no UTF-8 and does not say what
    it is. `unlabelled`: rows without a label, and images that no row names, are images without labels. Raises ParamsError for a column that
    is not there.
    """
    table = label_table.read(file, folder, encoding)
    places = Places(folder, table.path.parent)
    chosen = label_columns.choose(table, columns or {}, file, lambda name: places.find(name)[0] is not None)
    rows, problems = _rows(table, chosen, file)
    label_doubts.refuse_several([row.label for row in rows if row.label], file)
    found, bad, alike = _found(rows, places)
    nameless = _labels(rows, problems)
    bad += [] if unlabelled else nameless
    lost = {entry.line for entry in [*bad, *nameless]}
    splits, lacking = _splits([row for row in rows if row.label or not unlabelled], problems)
    bad += lacking
    groups = _grouped(found, lost | {entry.line for entry in lacking}, bad)
    without = _without(found, groups, {entry.line for entry in nameless}) if unlabelled else {}
    rest = _rest(places, found, unlabelled)
    if problems or (bad and not skip_bad):
        more = (LeftOut("", "", 0, f"{what}: {one}") for what, these in problems.items() for one in these)
        raise DataError(_refusal(file, problems, bad, places, shown), [*bad, *more])
    items = [layout.Item(key, row.label, splits.get(row.split, "")) for key, row in groups.items()]
    labels = [item.label for item in items]
    _refuse_splits(labels, file)
    notes = [*chosen.notes, *_spelt(alike), *label_doubts.amounts(labels), *label_doubts.several(labels)]
    return Labelled(
        sorted(items),
        {key: row.group for key, row in {**without, **groups}.items() if row.group},
        [] if unlabelled else rest,
        bad,
        notes,
        sorted([*without, *rest]) if unlabelled else [],
    )


def _rows(table: label_table.Table, columns: Columns, file: Path) -> tuple[list[_Row], dict[str, list[str]]]:
    problems: dict[str, list[str]] = defaultdict(list)
    body = table.rows[1:] if columns.header else table.rows
    width = len(table.rows[0][1])
    places = (columns.path, columns.label, columns.split, columns.group)
    rows = []
    for line, fields in body:
        if any(field.strip() for field in fields[width:]):
            problems[f"line(s) have more than the {width} fields of the first; put quotes around what holds a separator"].append(
                f"line {line}"
            )
        name, label, split, group = ("" if at is None or at >= len(fields) else fields[at] for at in places)
        label, split = label.strip(), split.strip()
        if columns.flag and split.lower() in (*YES, *NO):
            yes, no = (columns.flag, "train") if columns.flag != "train" else ("train", "test")
            split = yes if split.lower() in YES else no
        label = unicodedata.normalize("NFC", label)
        rows.append(_Row(line, name, "" if label.lower() in EMPTY else label, split, group.strip()))
    if not rows:
        raise DataError(f"{file} names no files; give {label_table.SHAPE}")
    return rows, problems


def _found(rows: list[_Row], places: Places) -> tuple[dict[str, list[_Row]], list[LeftOut], list[tuple[str, str]]]:
    """The rows of each file, by its path below the folder; what cannot be found; and names that were found under another."""
    found: dict[str, list[_Row]] = defaultdict(list)
    bad: list[LeftOut] = []
    alike: list[tuple[str, str]] = []
    for row in rows:
        place, others = places.find(row.name)
        if place is None:
            reason = f"{DOUBTFUL}: {lists.named(others, 3)}" if others else MISSING
            bad.append(LeftOut(row.name, row.label, row.line, reason))
        elif not place.is_relative_to(places.root):
            bad.append(LeftOut(row.name, row.label, row.line, OUTSIDE))
        else:
            key = place.relative_to(places.root).as_posix()
            layout.check_name(key)
            found[key].append(row)
            if not key.endswith(row.name.strip().replace("\\", "/").removeprefix("./").rpartition("/")[2]):
                alike.append((row.name, key))
    return found, bad, alike


def _labels(rows: list[_Row], problems: dict[str, list[str]]) -> list[LeftOut]:
    """Rows without a label; labels that cannot be a folder go to the problems."""
    unfit: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        if row.label and layout.check_label(row.label):
            unfit[row.label].append(row)
    for label, these in unfit.items():
        more = f" and {len(these) - 1:,} more lines" if len(these) > 1 else ""
        problems["label(s) cannot be the name of a folder"].append(f"{label!r} {layout.check_label(label)} (line {these[0].line}{more})")
    return [LeftOut(row.name, "", row.line, NO_LABEL) for row in rows if not row.label]


def _splits(rows: list[_Row], problems: dict[str, list[str]]) -> tuple[dict[str, str], list[LeftOut]]:
    """What each text in the column of splits means, and the rows without one while others have one."""
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(row.split, row.line)
    meant = split_names.meanings(first)
    unknown = [f"{split!r} (line {line})" for split, line in first.items() if split and split not in meant]
    if unknown:
        advice = "rename them, or say which column it is: --columns split=NAME"
        problems[f"split(s) are unknown, known are {', '.join(layout.SPLITS)}; {advice}"] += unknown
    if "" in first and len(first) > 1:
        return meant, [LeftOut(row.name, row.label, row.line, NO_SPLIT) for row in rows if not row.split]
    if "" not in first and not unknown and "train" not in meant.values():
        problems["split is missing"].append("train")
    return meant, []


def _refuse_splits(labels: list[str], file: Path) -> None:
    """Raise DataError if the labels are the names of splits: they would be folders of these names."""
    names = sorted(set(labels))
    if names and all(split_names.of(label) for label in names):
        raise DataError(
            f"{file}: the labels {lists.named(names)} are names of splits; if the column is that of splits, name the one of labels with "
            "--columns label=NAME, else give the classes other names"
        )


def _grouped(found: Mapping[str, list[_Row]], lost: set[int], bad: list[LeftOut]) -> dict[str, _Row]:
    """The one row of each file. A file named twice keeps its first row, one with two labels or splits none."""
    kept: dict[str, _Row] = {}
    for key, rows in found.items():
        usable = [row for row in rows if row.line not in lost]
        said = list(dict.fromkeys((row.label, row.split) for row in usable))
        if len(said) > 1:
            words = " and ".join(f"{label!r}{f' in {split}' if len({s for _, s in said}) > 1 else ''}" for label, split in said)
            called = usable[0].name if len({row.name for row in usable}) == 1 else key
            bad += [LeftOut(called, row.label, row.line, f"{TWO_LABELS}: {words}") for row in usable]
        elif usable:
            kept[key] = usable[0]
            first = usable[0].line
            bad += [LeftOut(row.name, row.label, row.line, f"{TWICE}: lines {first} and {row.line}") for row in usable[1:]]
    return kept


def _without(found: Mapping[str, list[_Row]], labelled: Mapping[str, _Row], nameless: set[int]) -> dict[str, _Row]:
    """The row of each file that no row labels, and that one names without a label."""
    return {key: row for key, rows in found.items() if key not in labelled for row in rows[:1] if all(one.line in nameless for one in rows)}


def _rest(places: Places, found: Mapping[str, list[_Row]], unlabelled: bool) -> list[str]:
    """The images that no row names. Raises DataError for names that are no UTF-8, if they are wanted."""
    others = [path for path in places.listed() if path not in found]
    for path in others if unlabelled else []:
        layout.check_name(path)
    return [_shown(path) for path in others]


def _refusal(file: Path, problems: Mapping[str, list[str]], bad: list[LeftOut], places: Places, shown: str) -> str:
    lines = []
    for kind, words in _TOLD.items():
        these = [entry for entry in bad if entry.reason.startswith(kind)]
        if kind == TWO_LABELS:  # a file, its labels and its lines once
            files: dict[str, list[LeftOut]] = defaultdict(list)
            for entry in these:
                files[f"{entry.path}{entry.reason.removeprefix(kind)}"].append(entry)
            named = [f"{name} (lines {lists.listing([str(entry.line) for entry in rows])})" for name, rows in files.items()]
        elif kind == TWICE:
            named = [f"{entry.path} ({entry.reason.removeprefix(kind + ': ')})" for entry in these]
        else:
            named = [f"{entry.path} (line {entry.line}{entry.reason.removeprefix(kind)})" for entry in these]
        if named:
            lines.append(f"  - {len(named):,} {words.format(shown=shown)}: {lists.named(named)}")
        if named and kind == MISSING:
            lines.append(f"    looked for them below {shown}, where {places.what_lies_there()} lie(s), and beside {file}")
    lines += [f"  - {len(these):,} {what}: {lists.named(these)}" for what, these in problems.items()]
    if any(entry.reason == NO_LABEL for entry in bad):
        lines.append(f"    {KEEP}")
    if bad:
        lines.append(f"Mend them, or go on without: {SKIP}" + ("; the other problems need mending" if problems else ""))
    return f"{file}:\n" + "\n".join(lines)


def _spelt(alike: list[tuple[str, str]]) -> list[str]:
    if not alike:
        return []
    return [f"{len(alike):,} file(s) were found under another name, such as {alike[0][1]} for {alike[0][0].strip()}"]


def _shown(path: str) -> str:
    return os.fsencode(path).decode(errors="backslashreplace")  # it need not be UTF-8
