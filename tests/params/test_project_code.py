"""code.yaml of a project: it tells the code that made the results, and no stage runs with other code."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from headstart.base.code import fingerprint
from headstart.machinery.errors import HeadstartError
from headstart.params import project_code

NAMES = ("tasks.index_images", "headstart.words", "headstart.base")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a code.yaml of the installed package."""
    monkeypatch.chdir(tmp_path)
    project_code.write(project_code.installed(NAMES, {"dvc.yaml": "0" * 64}))
    return tmp_path


def test_it_comes_back_as_it_was_written(here: Path) -> None:
    code = project_code.read()
    assert tuple(code.fingerprints) == tuple(sorted(NAMES))
    assert code.fingerprints["headstart.words"] == fingerprint("headstart.words")[:16]
    assert code.written == {"dvc.yaml": "0" * 64}
    before = project_code.PATH.read_bytes()
    project_code.write(code)
    assert project_code.PATH.read_bytes() == before


def test_dvc_finds_each_fingerprint_as_text(here: Path) -> None:
    """By its dotted name. Unquoted, 1234567890123e45 would be a number."""
    code = project_code.ProjectCode("1.0", {"headstart.base": "1234567890123e45", "tasks.report": "0123456789012345"}, {})
    project_code.write(code)
    content = YAML(typ="safe").load(project_code.PATH.read_text())
    assert content["headstart"]["base"] == "1234567890123e45"
    assert content["tasks"]["report"] == "0123456789012345"
    assert content["version"] == "1.0"


def test_other_code_is_named(here: Path) -> None:
    project_code.check()
    assert project_code.changed(project_code.read()) == []
    code = project_code.read()
    other = {**code.fingerprints, "headstart.words": "0" * 16, "headstart.gone": "0" * 16}
    project_code.write(project_code.ProjectCode(code.version, other, code.written))
    assert project_code.changed(project_code.read()) == ["headstart.gone", "headstart.words"]
    with pytest.raises(HeadstartError, match=r"other code than code.yaml names \(headstart.gone, headstart.words\).*`headstart upgrade`"):
        project_code.check()


def test_where_there_is_none_nothing_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project_code.check()


def test_a_checkout_that_is_not_installed_has_code_all_the_same(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    project_code.write(project_code.installed(NAMES, {}))
    assert project_code.read().version == "from a checkout"
    project_code.check()


@pytest.mark.parametrize(
    "content", ["", "version: [", "version: 1\nheadstart: {}\n", "<<<<<<< HEAD\n", "headstart: 1\ntasks: 2\nversion: 3\nwritten: {}\n"]
)
def test_what_is_none_is_said(here: Path, content: str) -> None:
    project_code.PATH.write_text(content)
    with pytest.raises(HeadstartError, match=r"code.yaml is not what headstart writes .*`headstart upgrade` writes it anew"):
        project_code.check()


def test_a_stage_that_dvc_runs_refuses_other_code(here: Path) -> None:
    code = project_code.read()
    project_code.write(project_code.ProjectCode(code.version, {**code.fingerprints, "headstart.base": "0" * 16}, {}))
    done = subprocess.run([sys.executable, "-m", "tasks.index_images"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: the installed headstart" in done.stderr
    assert "code than code.yaml names (headstart.base)" in done.stderr
