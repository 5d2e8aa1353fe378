"""What belongs together when images are imported: by a column of the labels, by folder, or by a part of the name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath

from headstart.importing.options import Options
from headstart.indexing import layout
from headstart.indexing.layout import Item
from headstart.machinery.errors import DataError
from headstart.words import lists


def of(items: list[Item], how: Options) -> tuple[dict[str, str], list[str]]:
    """The group of each path that has one, and what people should know. Raises DataError if nothing has a group."""
    if how.group_by_folder:
        flag, given = "--group-by-folder", _folders(items)
        advice = "it wants a folder for each group: CLASS/GROUP/FILE, or files with --labels in folders of their own"
    elif how.group_pattern:
        flag, given = "--group-pattern", {item.path: _found(how.group_pattern, item.path) for item in items}
        advice = f"no path matches, such as {items[0].path}" if items else "there are no files"
    else:
        return {}, []
    groups = {path: group for path, group in given.items() if group}
    if not groups:
        raise DataError(f"{flag} finds no groups: {advice}")
    alone = sorted(set(given) - set(groups))
    note = [f"{len(alone):,} file(s) belong to no group, such as {lists.named(alone, 3)}"] if alone else []
    return groups, note


def check(items: list[Item], groups: Mapping[str, str], how: Options) -> None:
    """Raise DataError if all images of a data set belong to one group, and are in no split: then none can be held out."""
    whole = how.fewest > 1 and len(groups) == len(items) and len(set(groups.values())) == 1
    if whole and not any(item.split for item in items):
        raise DataError(
            f"all {len(items):,} images belong to one group, {next(iter(groups.values()))!r}, so none can be held out for the test; give groups "
            "of which there are several"
        )


def _folders(items: list[Item]) -> dict[str, str]:
    """The folder that holds each file, "" for that of its class: the outermost of this name, or one that was doubled around all its files."""
    holds = Counter((item.label, PurePosixPath(item.path).parent) for item in items)
    sizes = Counter(item.label for item in items)
    found = {}
    for item in items:
        folder = PurePosixPath(item.path).parent
        names = [layout.name_of(part) for part in folder.parts]
        called = bool(names) and names[-1] == item.label
        own = called and (names.index(item.label) == len(names) - 1 or holds[item.label, folder] == sizes[item.label])
        found[item.path] = "" if own or not names else folder.as_posix()
    return found


def _found(pattern: str, path: str) -> str:
    """What a pattern finds in a path: its first group, if it has one, else all of it."""
    match = re.search(pattern, path)
    if not match:
        return ""
    return (match[1] if match.re.groups else match[0]) or ""
