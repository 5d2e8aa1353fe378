"""The sizes that keep the house readable: of files, of functions, and of what is passed about as a dict of anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests import ROOT

LONGEST_FILE = 300  # lines
LONGEST_FUNCTION = 50  # lines, from `def` to its end
MOST_UNTYPED = 80  # times dict[str, Any]


def sources() -> list[Path]:
    return [path for folder in ("headstart", "tasks", "flows") for path in sorted((ROOT / folder).rglob("*.py"))]


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Name and lines of every function."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_file_is_too_long() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert len(lines) > 300
    assert {path: number for path, number in lines.items() if number > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    found = {
        f"{path.relative_to(ROOT)} {name}": number for path in sources() for name, number in functions(path.read_text(encoding="utf-8"))
    }
    assert len(found) > 2000
    assert {name: number for name, number in found.items() if number > LONGEST_FUNCTION} == {}


def test_typed_things_travel() -> None:
    assert sum(path.read_text(encoding="utf-8").count("dict[str, Any]") for path in sources()) <= MOST_UNTYPED
