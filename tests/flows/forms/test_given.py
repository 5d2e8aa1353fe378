"""Values given for one run: in params.yaml while it lasts, taken back by the next, and what a person wrote never lost."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from flows.forms import given
from headstart import params
from headstart.machinery.errors import ParamsError
from tests import ROOT

PATH = params.PATH


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: Path) -> str:
    """A repository with a committed params.yaml as the current folder; the text."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", PATH)
    for command in (("init", "--quiet"), ("add", "params.yaml"), ("commit", "--quiet", "--message", "Begin")):
        subprocess.run(["git", *command], check=True)
    return PATH.read_text()


def test_values_stay_after_the_run_and_go_before_the_next(original: str, said: list[str]) -> None:
    with given.values({"report.mistakes": 3, "select_source.max_parameters": 5.0}, said.append, who="flow run a"):
        during = PATH.read_text()
        assert (params.load().report.mistakes, params.load().select_source.max_parameters) == (3, 5.0)
    assert PATH.read_text() == during, "`dvc repro` repeats the run"
    with given.values({}, said.append):
        assert PATH.read_text() == original, "byte for byte"
    assert "report.mistakes: 24 -> 3 (for this run)" in said
    assert "report.mistakes: 3 -> 24 (taken back: flow run a had given it)" in said
    assert not given.NOTE.exists()
    given.take_back(said.append)
    assert PATH.read_text() == original


def test_an_edit_in_between_stays(original: str, said: list[str]) -> None:
    with given.values({"report.mistakes": 3, "fine_tune.epochs": 2}, said.append):
        pass
    PATH.write_text(PATH.read_text().replace("seed: 0", "seed: 7").replace("mistakes: 3", "mistakes: 5"))
    given.take_back(said.append)
    assert PATH.read_text() == original.replace("seed: 0", "seed: 7").replace("mistakes: 24", "mistakes: 5")


def test_what_is_forgotten_is_not_taken_back(original: str, said: list[str]) -> None:
    with given.values({"report.mistakes": 3}, said.append):
        pass
    given.forget()
    given.take_back(said.append)
    assert params.load().report.mistakes == 3


def test_what_another_version_left_is_said_and_dropped(original: str, said: list[str]) -> None:
    with given.values({"report.mistakes": 3}, said.append):
        pass
    given.NOTE.write_text(given.NOTE.read_text().replace("mistakes: 24", "errors: 24"))
    given.take_back(said.append)
    assert "cannot be taken back" in said[-1]
    assert not given.NOTE.exists()
    assert params.load().report.mistakes == 3


def test_values_that_are_there_already_leave_no_trace(original: str, said: list[str]) -> None:
    with given.values({"report.mistakes": 24}, said.append):
        assert PATH.read_text() == original
    assert said == []
    assert not given.NOTE.exists()


def test_a_wrong_value_changes_nothing(original: str, said: list[str]) -> None:
    with (
        pytest.raises(ParamsError, match=r"select_source\.input_size: 5000"),
        given.values({"select_source.input_size": 5000}, said.append),
    ):
        pass
    assert PATH.read_text() == original
    assert not given.NOTE.exists()


@pytest.mark.parametrize("killed", [False, True])
def test_a_run_from_the_committed_file_gives_the_edited_one_back(original: str, said: list[str], killed: bool) -> None:
    edited = original.replace("seed: 0", "seed: 7  # mine")
    PATH.write_text(edited)
    run = given.values({"report.mistakes": 3}, said.append, committed=True)
    run.__enter__()
    assert (params.load().seed, params.load().report.mistakes) == (0, 3)
    assert any("here differs from the committed one, which is used" in line and "seed: 7 -> 0" in line for line in said)
    if killed:
        given.take_back(said.append)  # the next run does
    else:
        run.__exit__(None, None, None)
    assert PATH.read_text() == edited


def test_a_file_that_says_the_same_counts_as_committed(original: str, said: list[str]) -> None:
    PATH.write_text(original + "\n# a remark\n")
    with given.values({}, said.append, committed=True):
        assert PATH.read_text().endswith("# a remark\n")
    assert said == []


def test_without_a_committed_file_the_one_here_is_used(original: str, said: list[str], tmp_path: Path) -> None:
    shutil.rmtree(".git")
    subprocess.run(["git", "init", "--quiet"], check=True)
    with given.values({}, said.append, committed=True):
        assert PATH.read_text() == original
    assert said == ["params.yaml is not committed in git; it is used as it is here"]
