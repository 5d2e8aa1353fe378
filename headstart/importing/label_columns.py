"""Which column of a table of labels is which: by the usual names, or as `--columns path=...,label=...` says."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headstart.importing.label_table import Table
from headstart.indexing import split_names
from headstart.machinery.errors import DataError, ParamsError
from headstart.words import lists

# Names are compared in small letters, without blanks, dashes and underscores; those that say more come first.
NAMES: dict[str, tuple[str, ...]] = {
    "path": (
        *("path", "filepath", "imagepath", "imgpath", "filename", "imagefilename", "imagefile", "imagename", "imgname", "fname", "file"),
        *("image", "img", "photo", "picture", "imageid", "imgid", "fileid", "fileupload", "id", "name", "url", "imageurl"),
    ),
    "label": (
        *("label", "class", "target", "category", "choice", "labelname", "classname", "categoryname", "classlabel", "imagelabel"),
        *("labels", "classes", "tag", "tags", "y"),
    ),
    "split": ("split", "set", "subset", "partition", "usage", "phase"),
    "group": ("group", "groupid"),
}
FLAGS = {
    **dict.fromkeys(("istrain", "istraining", "istrainingimage", "istrainingimg", "intrain"), "train"),
    "isvalid": "validation",
    "isval": "validation",
    "isvalidation": "validation",
    "istest": "test",
}  # columns of yes and no
YES, NO = ("true", "1", "1.0", "yes", "y", "t"), ("false", "0", "0.0", "no", "n", "f", "")
# What images that belong together have in common. Only the user knows whether it counts.
TOGETHER = re.compile(
    r"(patient|subject|person|camera|site|hospital|ingot|wafer|video|sequence|seq|lesion|location|study|series|slide|specimen|burst|plot)(id|no|number)?"
)
ADVICE = "say which it is: --columns path=NAME,label=NAME"
_SHOWN, _LOOKED = 12, 30  # columns that a message names; rows that are looked at to find the column of files


@dataclass(frozen=True)
class Columns:
    """The place of each column that is used, whether the first row is a header, and what people should know of the choice."""

    path: int
    label: int
    split: int | None = None
    group: int | None = None
    flag: str = ""  # the split that a yes in the split column means
    header: bool = True
    notes: list[str] = field(default_factory=list)


def parse(text: str) -> dict[str, str]:
    """`path=NAME,label=NAME` as names by role. Raises ParamsError."""
    found: dict[str, str] = {}
    for part in re.split(r",(?=\s*\w+\s*=)", text.removesuffix(",")):  # a name may hold a comma
        role, equals, name = (piece.strip() for piece in part.partition("="))
        if role not in NAMES or not equals or not name or role in found:
            raise ParamsError(
                f"--columns {text!r}: {part.strip()!r} is wrong; give path=NAME,label=NAME and, if you like, split=NAME,group=NAME, "
                "each once, with the names in the first line, or numbers from 1 if there is no such line"
            )
        found[role] = name
    twice = [name for name, number in Counter(found.values()).items() if number > 1]
    if twice:
        raise ParamsError(f"--columns {text!r} gives the column {twice[0]!r} two uses; each column has one")
    return found


def choose(table: Table, given: Mapping[str, str], file: Path, is_file: Callable[[str], bool]) -> Columns:
    """Decide which column is which. `is_file` says whether a text names one of the images.

    Raises ParamsError for a given column that is not there, DataError if the table does not say which column is which.
    """
    names = [name.strip() for name in table.rows[0][1]]
    headed = _headed(table, given, is_file)
    if headed:
        _refuse_twins(names, file)
    width = len(names)
    places = {role: _place(role, name, names if headed else [], width, file) for role, name in given.items()}
    if headed:
        for role in NAMES:
            if role not in places and (found := _usual(table, role, names, set(places.values()), is_file)) is not None:
                places[role] = found
    flag = _flag(names, places) if headed else ""
    notes: list[str] = []
    if headed and "path" not in given:
        _by_content(table, names, places, is_file, notes)
    if headed and "path" in places and "label" not in places:
        _only_one_left(table, names, places, file, notes)
    if "path" not in places or "label" not in places:
        raise DataError(_unknown(table, names, headed, file, is_file))
    used = set(places.values())
    unused = [_called(names, number) for number in range(width) if number not in used] if headed else []
    if unused:
        notes.append(f"ignored columns: {lists.named(unused, _SHOWN)}")
    if "split" not in places:
        notes += [
            f"split={names[n]} in --columns keeps the split that this column gives"
            for n in range(width)
            if headed and n not in used and _gives_split(table, n)
        ]
    if "group" not in places:
        notes += [
            f"group={name} in --columns keeps the images of one {name} in one split" for name in unused if TOGETHER.fullmatch(_plain(name))
        ]
    return Columns(places["path"], places["label"], places.get("split"), places.get("group"), flag, headed, notes)


def _headed(table: Table, given: Mapping[str, str], is_file: Callable[[str], bool]) -> bool:
    """Whether the first row is a header: it is, unless columns are given by numbers that it does not hold."""
    names = {_plain(name) for name in table.rows[0][1]}
    numbers = [name for name in given.values() if name.isdecimal() and _plain(name) not in names]
    if not numbers:
        return True
    column = int(given["path"]) - 1 if given.get("path", "").isdecimal() else -1
    fields = [row for _, row in table.rows[:2]]
    first, second = ((row[column] if 0 <= column < len(row) else "") for row in (fields[0], fields[-1]))
    return not is_file(first) and is_file(second)


def _refuse_twins(names: list[str], file: Path) -> None:
    twins = [name for name, number in Counter(map(_plain, names)).items() if number > 1 and name]
    shown = [name for name in dict.fromkeys(names) if _plain(name) in twins]
    if twins:
        raise DataError(f"{file} has two columns of one name: {lists.named(shown)}; rename or remove one of them")


def _place(role: str, name: str, names: Sequence[str], width: int, file: Path) -> int:
    """The number of a given column."""
    for known in (list(names), [_plain(known) for known in names]):
        for wanted in (name, _plain(name)):
            if wanted in known:
                return known.index(wanted)
    if name.isdecimal() and 1 <= int(name) <= width:
        return int(name) - 1
    there = f"its columns are {lists.named(list(names), _SHOWN)}" if names else f"it has {width} column(s)"
    raise ParamsError(f"--columns {role}={name}: {file} has no such column; {there}")


def _usual(table: Table, role: str, names: list[str], taken: set[int], is_file: Callable[[str], bool]) -> int | None:
    """The column that has a usual name; of several for the path, the one that names most files."""
    order = NAMES[role] if role != "split" else (*NAMES[role], *FLAGS)
    plain = [_plain(name) for name in names]
    found = [plain.index(name) for name in order if name in plain and plain.index(name) not in taken]
    if role == "path" and len(found) > 1:
        some = [row for _, row in table.rows[1:101]]
        return max(found, key=lambda column: (sum(is_file(row[column]) for row in some if column < len(row)), -found.index(column)))
    return found[0] if found else None


def _by_content(table: Table, names: list[str], places: dict[str, int], is_file: Callable[[str], bool], notes: list[str]) -> None:
    """Have the column count that names files, if none has a usual name or the one that has names none."""
    some = [row for _, row in table.rows[1 : _LOOKED + 1]]
    named = [sum(is_file(row[column]) for row in some if column < len(row)) for column in range(len(names))]
    if ("path" in places and named[places["path"]]) or any(map(is_file, names)):  # a first row that names a file is no header
        return
    best = max(named, default=0)
    if 2 * best >= max(len(some), 1) and named.count(best) == 1:
        places["path"] = named.index(best)
        if places.get("label") == places["path"]:
            del places["label"]
        notes.append(f"files are named in the column {_called(names, places['path'])}")


def _flag(names: list[str], places: dict[str, int]) -> str:
    return FLAGS.get(_plain(names[places["split"]]), "") if "split" in places else ""


def _only_one_left(table: Table, names: list[str], places: dict[str, int], file: Path, notes: list[str]) -> None:
    """The labels are in the one column whose use is not known. Raises DataError if others hold nothing but 0 and 1."""
    left = [number for number in range(len(names)) if number not in places.values() and names[number]]
    left = [number for number in left if not TOGETHER.fullmatch(_plain(names[number]))]
    flags = [number for number in left if all(_marks(row[number]) for _, row in table.rows[1:] if number < len(row))]
    if len(flags) > 1:
        shown = lists.named([names[number] for number in flags], _SHOWN)
        raise DataError(
            f"{file} gives several labels: a column of 0 and 1 for each of {len(flags)} ({shown}). Headstart learns one label for each image; "
            "make one column `label` that holds the name of the one that counts"
        )
    if len(left) == 1:
        places["label"] = left[0]
        notes.append(f"labels are from the column {names[left[0]]}")


def _gives_split(table: Table, column: int) -> bool:
    """Whether a column holds nothing but names of splits, and several of them."""
    found = {row[column].strip() for _, row in table.rows[1:] if column < len(row)}
    return 1 < len(found) <= _SHOWN and all(split_names.of(text) for text in found)


def _marks(text: str) -> bool:
    """Whether a field says how far a label holds: yes or no, a mark, a number from -1 to 1."""
    text = text.strip().lower()
    if text in (*YES, *NO, "x", "-", "+"):
        return True
    try:
        return -1 <= float(text) <= 1
    except ValueError:
        return False


def _unknown(table: Table, names: list[str], headed: bool, file: Path, is_file: Callable[[str], bool]) -> str:
    if not headed:
        return f"{file}: --columns names no column for the files or none for the labels; give both: --columns path=1,label=2"
    place = next((number for number, name in enumerate(names) if is_file(name)), None)
    if place is not None:
        other = next((number for number in range(len(names)) if number != place), place + 1)
        return (
            f"{file} has no line with the names of its columns: its first line names the file {names[place]}; "
            f"say which column is which: --columns path={place + 1},label={other + 1}"
        )
    return f"{file} has the columns {lists.named(names, _SHOWN) or '(none)'}; it is not clear which names the files and which holds the labels: {ADVICE}"


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", unicodedata.normalize("NFC", name).lower())


def _called(names: Sequence[str], number: int) -> str:
    return names[number] or f"column {number + 1}, which has no name"
