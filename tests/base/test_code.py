"""The fingerprint of code: what changes it, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.base import code

BEFORE = '"""A module."""\n\n\ndef double(x: int) -> int:\n    """Twice x."""\n    return 2 * x\n'


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package `toycode` that can be imported: a module, a room with a module and a table."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "toycode"
    (folder / "room").mkdir(parents=True)
    for name in ("__init__.py", "room/__init__.py"):
        (folder / name).write_text("")
    (folder / "room/double.py").write_text(BEFORE)
    (folder / "room/table.csv").write_text("a,b\n")
    (folder / "other.py").write_text("x = 1\n")
    return folder


def seen(*names: str) -> str:
    code.fingerprint.cache_clear()
    return code.fingerprint(*names)


@pytest.mark.parametrize(
    "after",
    [
        BEFORE.replace("return 2 * x", "# a comment\n    return 2 * x"),
        BEFORE.replace("Twice x.", "Two times x."),
        BEFORE.replace('    """Twice x."""\n', ""),
        BEFORE.replace("return 2 * x", "return (2\n            * x)"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(package: Path, after: str) -> None:
    before = seen("toycode.room")
    (package / "room/double.py").write_text(after)
    assert seen("toycode.room") == before


@pytest.mark.parametrize(
    ("file", "after"),
    [
        ("double.py", BEFORE.replace("2 * x", "x * 2")),
        ("double.py", BEFORE.replace("2 * x", "2.0 * x")),
        ("double.py", BEFORE.replace("x: int", "x: float")),
        ("double.py", BEFORE.replace("return 2 * x", "return None")),
        ("double.py", BEFORE.replace("return 2 * x", "return")),
        ("table.csv", "a,c\n"),
        ("new.py", ""),
    ],
)
def test_everything_else_does(package: Path, file: str, after: str) -> None:
    before, beside = seen("toycode.room"), seen("toycode.other")
    (package / "room" / file).write_text(after)
    assert seen("toycode.room") != before
    assert seen("toycode.other") == beside


def test_byte_code_does_not_count(package: Path) -> None:
    before = seen("toycode.room")
    (package / "room/__pycache__").mkdir()
    (package / "room/__pycache__/double.pyc").write_text("compiled")
    assert seen("toycode.room") == before


def test_where_the_package_lies_does_not_count(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = seen("toycode.room", "toycode.other")
    package.parent.joinpath("elsewhere").mkdir()
    package.rename(package.parent / "elsewhere/toycode")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    assert seen("toycode.room", "toycode.other") == before


def test_nothing_is_imported_and_an_unknown_name_is_an_error(package: Path) -> None:
    (package / "room/double.py").write_text("raise SystemExit\n")
    assert len(seen("toycode.room")) == 64
    for name in ("toycode.nowhere", "nowhere", "nowhere.at.all"):
        with pytest.raises(ModuleNotFoundError, match="nowhere"):
            seen(name)


def test_fields_that_only_a_newer_python_knows_do_not_count() -> None:
    """ast.dump would tell them: 3.12 added type_params, which is empty for what older versions can read."""
    import ast

    [node] = ast.parse("def f(x, **other): return None\n").body
    told = code._shape(node)
    node.type_params = []  # type: ignore[attr-defined]
    node._fields = (*type(node)._fields, "type_params")  # type: ignore[misc]
    assert code._shape(node) == told
    assert "Return" in told
    assert "Constant()" in told
