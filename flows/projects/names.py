"""Names by a path, unless people give one: of a project, of a source model that is developed."""

from __future__ import annotations

import re
from pathlib import Path

from headstart.machinery.errors import ParamsError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def of_path(path: str) -> str:
    """The last part of a path as a name: in lower case, without endings, dashes for other characters."""
    words = Path(path).resolve().name.lower().partition(".")[0]
    return re.sub(r"[^a-z0-9_]+", "-", words).strip("-")


def check(name: str, what: str) -> str:
    """The name itself. Raises ParamsError if it cannot be the name of `what`."""
    if not _NAME.fullmatch(name):
        raise ParamsError(f"{name!r} is no name for {what}; give one of letters, digits, - and _ with --name")
    return name
