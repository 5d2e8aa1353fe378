"""What belongs together when images are imported: by a column of the labels, by folder, or by a part of the name."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from headstart.importing.options import Options
from headstart.indexing.layout import Item
from headstart.machinery.errors import DataError
from headstart.words import lists


def of(items: list[Item], how: Options) -> tuple[dict[str, str], list[str]]:
    """The group of each path that has one, and what people should know. Raises DataError if nothing has a group."""
    if how.group_by_folder:
        flag, given = "--group-by-folder", {item.path: _folder(item) for item in items}
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


def _folder(item: Item) -> str:
    """The folder that holds a file, unless it is that of its class."""
    folder = PurePosixPath(item.path).parent
    return "" if folder.name in ("", item.label) else folder.as_posix()


def _found(pattern: str, path: str) -> str:
    """What a pattern finds in a path: its first group, if it has one, else all of it."""
    match = re.search(pattern, path)
    if not match:
        return ""
    return str(match[1] if match.re.groups else match[0]) or ""
