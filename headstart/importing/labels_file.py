"""A CSV of labels, path,label[,split], for images that no folder sorts."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from pathlib import Path

from headstart.data import images
from headstart.indexing import layout
from headstart.machinery.errors import DataError
from headstart.words import lists


def read(file: Path, folder: Path, *, shown: str) -> tuple[list[layout.Item], list[str]]:
    """The items that a CSV gives to files in `folder`, and the images that it does not mention.

    Items are sorted by path below `folder`; the images are those in `folder`. Paths are relative to the folder or to the CSV; the CSV may
    lie in the folder. `shown` names the folder in messages. Raises DataError that lists the problems: columns, missing files, unfit labels,
    unknown splits, files named twice or lying outside the folder.
    """
    rows, path = _rows(file, folder)
    where = str(file)
    root = folder.resolve()
    found: dict[str, tuple[int, str, str]] = {}
    problems: dict[str, list[str]] = defaultdict(list)
    for line, name, label, split in rows:
        place = _find(name, folder, path.parent)
        if place is None:
            problems["file(s) are missing"].append(f"{name} (line {line})")
        elif not place.is_relative_to(root):
            problems[f"file(s) lie outside {shown}"].append(f"{name} (line {line})")
        elif (key := place.relative_to(root).as_posix()) in found:
            problems["file(s) are named twice"].append(f"{name} (lines {found[key][0]} and {line})")
        else:
            layout.check_name(key)
            found[key] = (line, label, split)
        if problem := layout.check_label(label):
            problems["label(s) cannot be the name of a folder"].append(f"{label!r} {problem} (line {line})")
        if split.lower() not in layout.SPLITS and split:
            problems[f"split(s) are unknown, known are {', '.join(layout.SPLITS)}"].append(f"{split!r} (line {line})")
    given = {layout.SPLITS.get(split.lower(), split) for *_, split in rows}
    if "" in given and len(given) > 1:
        problems["line(s) have no split while others do"] += [f"line {line}" for line, *_, split in rows if not split]
    elif given != {""} and "train" not in given and not problems:
        problems["split is missing"].append("train")
    if problems:
        raise DataError(f"{where}:\n" + "\n".join(f"  - {len(these)} {what}: {lists.named(these)}" for what, these in problems.items()))
    items = [layout.Item(key, label, layout.SPLITS.get(split.lower(), "")) for key, (_, label, split) in found.items()]
    return sorted(items), _unlisted(root, found)


def _rows(file: Path, folder: Path) -> tuple[list[tuple[int, str, str, str]], Path]:
    """Line number, path, label and split of each row, and where the CSV lies."""
    path = file if file.is_file() else folder / file
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise DataError(f"there is no labels file {file}; give a CSV with the columns path,label[,split]") from None
    except PermissionError:
        raise DataError(f"no permission to read {file}") from None
    except UnicodeDecodeError:
        raise DataError(f"{file} is not UTF-8 text; save it as CSV in UTF-8") from None
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    try:
        reader = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter, strict=True, skipinitialspace=True)
        columns = [(name or "").strip().lower() for name in reader.fieldnames or []]
        if "path" not in columns or "label" not in columns:
            raise DataError(f"{file} has the columns {', '.join(columns) or '(none)'}; it needs path,label[,split] in its first line")
        reader.fieldnames = columns
        rows = [(reader.line_num, row["path"] or "", *((row.get(name) or "").strip() for name in ("label", "split"))) for row in reader]
    except csv.Error as error:
        raise DataError(f"{file} is not valid CSV near line {reader.line_num}: {error}") from None
    if not rows:
        raise DataError(f"{file} names no files; give a line path,label[,split] for each image")
    return rows, path  # type: ignore[return-value]


def _find(name: str, folder: Path, beside: Path) -> Path | None:
    """The file a path means: below the folder or beside the CSV, with slashes of either kind."""
    for text in dict.fromkeys((name, name.strip(), name.strip().replace("\\", "/"))):
        for base in (folder, beside):
            place = base / text
            if text and "\0" not in text and place.is_file():
                return place.resolve()
    return None


def _unlisted(root: Path, found: dict[str, tuple[int, str, str]]) -> list[str]:
    """Paths of images below the folder that the CSV leaves out."""
    left = []
    for path in root.rglob("*"):
        key = path.relative_to(root).as_posix()
        if key not in found and path.suffix.lower() in images.SUFFIXES and not any(layout.is_hidden(part) for part in key.split("/")):
            left.append(os.fsencode(key).decode(errors="backslashreplace"))  # it will be shown, and need not be UTF-8
    return sorted(left)
