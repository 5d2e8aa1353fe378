"""The contracts of pyproject.toml hold for the code as it is, and each of them notices an import that goes the wrong way."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

FLOORS = "flows -> tasks -> headstart"
ROOMS = "The rooms of headstart/, the higher first; what shares a line does not know each other"
FLOW_ROOMS = "The rooms of flows/"
WORDS = "What people read changes no model"
STAGES = "Stages do not know each other"
CIRCLES = "No circle of files"


@pytest.fixture(scope="module")
def _code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code and its contracts, beside no other file."""
    folder = tmp_path_factory.mktemp("arrows") / "code"
    folder.mkdir()
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("headstart", "tasks", "flows"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def code(_code: Path, tmp_path: Path) -> Path:
    """A copy of the code that a test may change."""
    return Path(shutil.copytree(_code, tmp_path / "code"))


def contracts(folder: Path) -> dict[str, str]:
    """KEPT or BROKEN for each contract, as `lint-imports` says; its exit code says whether one is broken."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    environment = {**os.environ, "COLUMNS": "200"}  # no line of its table is folded
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    found = dict(re.findall(r"^(.+) (KEPT|BROKEN)$", done.stdout, re.MULTILINE))
    assert done.returncode == ("BROKEN" in found.values()), done.stdout + done.stderr
    return found


def test_the_code_keeps_every_contract(code: Path) -> None:
    assert contracts(code) == dict.fromkeys((FLOORS, ROOMS, FLOW_ROOMS, WORDS, STAGES, CIRCLES), "KEPT")


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("headstart/base/planted.py", "import flows.cli", FLOORS),
        ("headstart/report/planted.py", "import tasks.stage", FLOORS),
        ("tasks/report.py", "import flows.results", FLOORS),
        ("headstart/base/planted.py", "def late() -> None:\n    import headstart.report", ROOMS),
        ("headstart/machinery/planted.py", "import headstart.base", ROOMS),
        ("headstart/indexing/planted.py", "import headstart.checks", ROOMS),
        ("headstart/linear/planted.py", "import headstart.words", WORDS),
        ("flows/repository/planted.py", "import flows.experiments", FLOW_ROOMS),
        ("flows/server/planted.py", "import flows.experiments", FLOW_ROOMS),
        ("tasks/report.py", "import tasks.verdict", STAGES),
    ],
)
def test_a_wrong_arrow_is_noticed(file: str, line: str, broken: str, code: Path) -> None:
    with (code / file).open("a") as content:
        content.write(f"\n\n{line}\n")
    found = contracts(code)
    assert len(found) == 6
    assert found[broken] == "BROKEN"


def test_a_circle_inside_a_room_is_noticed(code: Path) -> None:
    for one, other in (("one", "other"), ("other", "one")):
        (code / f"headstart/base/{one}.py").write_text(f'"""A file."""\n\nimport headstart.base.{other}\n')
    assert [name for name, state in contracts(code).items() if state == "BROKEN"] == [CIRCLES]


def test_a_room_that_no_line_names_is_noticed(code: Path) -> None:
    for folder, contract in (("headstart", ROOMS), ("flows", FLOW_ROOMS)):
        (code / folder / "annex").mkdir()
        (code / folder / "annex/__init__.py").write_text('"""A room."""\n')
        assert contracts(code)[contract] == "BROKEN"
