"""headstart.base.code: what Python does counts, how it is written does not; the same in every version of Python."""

from __future__ import annotations

import ast
import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headstart.base import code
from headstart.base.code import fingerprint

SOURCE = '''"""What it does."""

import math


class Circle:
    """A round thing."""

    def area(self, radius: float = 1.0) -> float:
        """Its area."""
        return math.pi * radius**2


async def later():
    """Nothing yet."""
'''
Write = Callable[[dict[str, str]], None]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where digests are kept for the next process: nothing is, yet."""
    monkeypatch.setattr(code, "KEPT", tmp_path / "kept.json")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    code._kept.cache_clear()
    yield code.KEPT
    code._kept.cache_clear()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Makes `toy`, which Python finds, a package of these files and no others."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(files: dict[str, str]) -> None:
        shutil.rmtree(tmp_path / "toy", ignore_errors=True)
        for name, content in {"toy/__init__.py": "", **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        importlib.invalidate_caches()
        fingerprint.cache_clear()
        code.digest.cache_clear()

    return write


@pytest.fixture
def of(write: Write) -> Callable[[str], str]:
    """Gives the fingerprint of a package with one module that holds a text."""

    def of(source: str) -> str:
        write({"toy/module.py": source})
        return fingerprint("toy")

    return of


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import math\n", "import math  # of circles\n"),
        ("import math\n", "# of circles\nimport math\n\n\n\n"),
        ('"""What it does."""', '"""What it is for."""'),
        ('"""What it does."""\n', ""),
        ('    """A round thing."""\n\n', ""),
        ('        """Its area."""\n', '        """Its area\n\n        in square metres."""\n'),
        ('    """Nothing yet."""', "    pass"),
        ("return math.pi * radius**2", "return (math.pi\n            * (radius ** 2))"),
        ("radius: float = 1.0", "radius: float = 1.00"),
        ("\n        return", "\n\n        return"),
    ],
)
def test_how_it_is_written_does_not_count(before: str, after: str, of: Callable[[str], str]) -> None:
    assert before in SOURCE
    assert of(SOURCE.replace(before, after)) == of(SOURCE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("radius**2", "radius**3"),
        ("radius**2", "radius**2.0"),
        ("radius", "r"),
        ("area", "surface"),
        ("math.pi * radius**2", "radius**2 * math.pi"),
        ("radius: float", "radius: int"),
        ("import math\n", "import math\nimport cmath\n"),
        ("import math\n", "import math\n1\n"),
        ("        return", "        None\n        return"),
        ('"""Nothing yet."""', "return None"),
        ('"""Nothing yet."""', 'x = """Nothing yet."""'),
        ("async def later", "def later"),
        ("    def area(", "    @staticmethod\n    def area("),
    ],
)
def test_what_it_does_counts(before: str, after: str, of: Callable[[str], str]) -> None:
    assert before in SOURCE
    assert of(SOURCE.replace(before, after)) != of(SOURCE)


def test_a_text_that_is_no_docstring_counts(of: Callable[[str], str]) -> None:
    assert of('x = 1\n"""one"""\n') != of('x = 1\n"""two"""\n')
    assert of('TEXT = """one"""\n') != of('TEXT = """two"""\n')
    assert of("f'{a}b'\n") != of("f'{a}c'\n")


def test_other_files_count_byte_by_byte(write: Write) -> None:
    found = []
    for content in ("# a", "# b", "# b "):
        write({"toy/style.css": content})
        found.append(fingerprint("toy"))
    assert len(set(found)) == 3


def test_a_package_counts_with_all_that_lies_below_it(write: Write) -> None:
    files = {"toy/a.py": "1", "toy/below/__init__.py": "", "toy/below/deep/b.py": "2", "toy/below/deep/c.csv": "3"}
    found = []
    for change in (
        {},
        *({name: "4"} for name in files),
        {"toy/below/deep/d.py": ""},
        {"toy/below/__init__.py": "1", "toy/a.py": ""},
    ):
        write(files | change)
        found.append(fingerprint("toy"))
    write({name.replace("deep", "deeper"): content for name, content in files.items()})
    found.append(fingerprint("toy"))
    assert len(set(found)) == len(found)
    write(files | {"toy/below/__pycache__/b.pyc": "5"})
    assert fingerprint("toy") == found[0]


def test_a_part_of_a_package_counts_alone(write: Write) -> None:
    def parts() -> list[str]:
        return [fingerprint(name) for name in ("toy.a", "toy.below", "toy.below.b", "single")]

    files = {"toy/a.py": "1", "toy/below/__init__.py": "", "toy/below/b.py": "2", "single.py": "3"}
    write(files)
    before = parts()
    for name, others in (("toy/a.py", [0]), ("toy/below/b.py", [1, 2]), ("toy/below/__init__.py", [1]), ("single.py", [3])):
        write(files | {name: "4"})
        assert [number for number, (old, new) in enumerate(zip(before, parts(), strict=True)) if old != new] == others, name


def test_several_names_count_each_and_in_their_order(write: Write) -> None:
    write({"toy/a.py": "1", "toy/b.py": "1"})
    names = [("toy.a",), ("toy.b",), ("toy.a", "toy.b"), ("toy.b", "toy.a"), ("toy.a", "toy.a"), ("toy",)]
    assert len({fingerprint(*each) for each in names}) == len(names)


@pytest.mark.parametrize(
    "name", ["toy.nothing", "toy.below.nothing", "toy.a.nothing", "no_such_package", "no_such_package.a", "single.a", "sys"]
)
def test_a_name_that_is_none_is_said(name: str, write: Write) -> None:
    write({"toy/a.py": "", "toy/below/b.py": "", "single.py": ""})
    with pytest.raises(ModuleNotFoundError, match=r"there is no (module|package)") as raised:
        fingerprint(name)
    assert raised.value.name == name


def test_nothing_is_imported(write: Write) -> None:
    write(dict.fromkeys(("toy/__init__.py", "toy/a.py", "toy/below/__init__.py", "toy/below/b.py"), "raise RuntimeError('imported')"))
    assert len(fingerprint("toy", "toy.a", "toy.below", "toy.below.b")) == 64
    assert not [name for name in sys.modules if name.partition(".")[0] == "toy"]


def test_where_it_lies_does_not_count(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"toy/a.py": "1"})
    before = fingerprint("toy")
    shutil.move(tmp_path / "toy", tmp_path / "elsewhere/toy")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    fingerprint.cache_clear()
    assert fingerprint("toy") == before


def test_the_next_process_parses_nothing_that_this_one_has(write: Write, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"toy/a.py": "1", "toy/b.py": "2"})
    before = fingerprint("toy")
    parsed: list[str] = []
    bare = code._bare
    monkeypatch.setattr(code, "_bare", lambda tree: parsed.append(ast.unparse(tree)) or bare(tree))
    for content in ("1", "3  # three"):
        write({"toy/a.py": content, "toy/b.py": "2"})
        code._kept.cache_clear()
        assert (fingerprint("toy") == before) == (content == "1")
    assert parsed == ["3"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"code": "other", "digests": {}}', '{"code": "", "digests": 1}', None])
def test_what_is_kept_and_damaged_or_of_other_code_is_not_believed(
    content: str | None, write: Write, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"toy/a.py": "1"})
    before = fingerprint("toy")
    if content is None:  # all is as it was, but for what a digest is
        monkeypatch.setattr(code, "_own", lambda: "other")
        kept.write_text(kept.read_text().replace('": "', '": "0'))
    else:
        kept.write_text(content.replace('"code": ""', f'"code": "{code._own()}"'))
    write({"toy/a.py": "1"})
    code._kept.cache_clear()
    assert fingerprint("toy") == before
    assert json.loads(kept.read_text())["code"] == code._own(), "and it is written anew"


def test_where_nothing_can_be_kept_the_fingerprint_is_the_same(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"toy/a.py": "1"})
    before = fingerprint("toy")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(code, "KEPT", tmp_path / "file/kept.json")
    write({"toy/a.py": "1"})
    code._kept.cache_clear()
    assert fingerprint("toy") == before


def test_it_is_the_same_in_every_version_of_python(of: Callable[[str], str]) -> None:
    """The number was found with Python 3.11.7, 3.12.1 and 3.13.0: fields that are new, texts that are left out, formats that end in nothing."""
    source = 'class A(B, c=1):\n    def f(self, *a, b=f"{x!r:>{y}}{z}", **c):\n        return {None: lambda: ""}\n'
    assert of(source) == "ae9d49af7b70a0e4f08cba8123126cb3a00c9c34d9fd0dd14d533c1cd4094f48"
