"""The list of past runs and the comparison of two, from experiments made here without a pipeline."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from flows.experiments import runs, save
from flows.projects import images
from flows.repository import git
from headstart import params

pytestmark = pytest.mark.usefixtures("forked_dvc")

VERDICT = {"answer": "positive", "standing": "indicative", "pretrained_against_random": {}}


def result(accuracy: float, **verdict: Any) -> None:
    metrics = {"source": "wheel:lite0", "test": {"accuracy": accuracy, "interval": {"accuracy": [0.1, accuracy]}}, "shipped": "head"}
    Path("reports").mkdir(exist_ok=True)
    Path("reports/metrics.json").write_text(json.dumps(metrics))
    Path("reports/verdict.json").write_text(json.dumps(verdict))


def at(moment: int, patch: pytest.MonkeyPatch) -> None:
    """Let git's clock, and ours, say so many seconds after the year 2001 began."""
    patch.setenv("GIT_COMMITTER_DATE", f"{978307200 + moment} +0000")
    patch.setattr(time, "time", lambda: 978307200.0 + moment)


@pytest.fixture
def history(toy_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs that were kept, one that failed, and what lay here before a restore."""
    Path("dvc.yaml").write_text(
        "stages:\n  evaluate:\n    cmd: 'true'\n    metrics: [reports/metrics.json: {cache: false}, reports/verdict.json: {cache: false}]\n"
    )
    git.call("add", "--all", ".", ":!data")
    git.call("commit", "--quiet", "--message", "Start")
    images.RECORD.write_text("outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  path: images\n")
    with pytest.MonkeyPatch.context() as patch:
        at(0, patch)
        result(0.5, **VERDICT)
        save.experiment("early fox", kind="run", ran=["evaluate"])
        at(60, patch)
        params.write({"fine_tune.epochs": 3})
        result(0.625, answer="none_shown")
        save.experiment("untested", kind="run", ran=[])
        at(120, patch)
        with pytest.raises(ValueError), save.kept(lambda: "sad otter", lambda _: None):
            raise ValueError("no memory left")
        at(180, patch)
        Path("reports/metrics.json").unlink()
        Path("reports/verdict.json").write_text("torn {")
        save.experiment("before early fox", kind="before")
        git.call("update-ref", f"refs/exps/ab/{'ab' * 19}/by-hand", "HEAD")
        git.call("update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    return toy_project


def test_every_run_is_listed_with_what_it_came_to(history: Path) -> None:
    newest, *known = runs.every()
    assert (newest.name, newest.state, newest.accuracy) == ("by-hand", "kept", None)
    assert [(run.name, run.state, run.accuracy, run.verdict, run.standing) for run in known] == [
        ("before-early-fox", "saved", None, None, None),
        ("sad otter", "failed", None, None, None),
        ("untested", "completed", 0.625, "not tested", None),
        ("early-fox", "completed", 0.5, "positive", "indicative"),
    ]
    assert {run.data for run in known} == {"0123456789abcdef0123456789abcdef"}
    assert [run.source for run in known] == [None, None, "wheel:lite0", "wheel:lite0"]
    assert known[1].error == "ValueError: no memory left"
    assert known[1].commit is None
    assert known[3].when.startswith("2001-01-01T00:00:00")


def test_the_table_and_the_json(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["runs"]) == 0
    told = capsys.readouterr()
    heading, *lines = told.out.splitlines()
    assert heading.split() == ["NO", "WHEN", "NAME", "DATA", "SOURCE", "ACCURACY", "VERDICT", "STATE"]
    assert lines[-1].split()[0] == "1"
    assert lines[-1].split()[3:] == ["early-fox", "01234567", "wheel:lite0", "0.500", "helped", "(indicative)", "completed"]
    assert lines[2].endswith("failed: ValueError: no memory left")
    assert told.err.startswith("5 runs; ")
    assert main.main(["runs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [run["name"] for run in listed] == [run.name for run in runs.every()]
    assert listed[-1]["accuracy"] == 0.5


def test_two_runs_are_compared(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["runs", "--compare", "early-fox", "untested", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "runs": ["early-fox", "untested"],
        "run": {"verdict": ["positive", "not tested"], "standing": ["indicative", None]},
        "parameters": {"fine_tune.epochs": [10, 3]},
        "metrics": {"test.accuracy": [0.5, 0.625], "test.interval.accuracy": [[0.1, 0.5], [0.1, 0.625]]},
    }
    assert main.main(["runs", "--compare", "early-fox", "untested"]) == 0
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["early-fox", "untested"] in words
    assert ["fine_tune.epochs", "10", "3"] in words
    assert ["test.accuracy", "0.5", "0.625"] in words
    assert not any("interval" in line[0] for line in words if line), "too many for a table"
    assert runs.compare("untested", "untested") == {"runs": ["untested"] * 2, "run": {}, "parameters": {}, "metrics": {}}


def test_parameters_left_out_count_with_their_defaults(history: Path) -> None:
    Path("params.yaml").write_text("fine_tune: {epochs: 3}\n")
    save.experiment("terse")
    assert runs.compare("untested", "terse")["parameters"] == {}
    Path("params.yaml").write_text("fine_tune: {epochs: 3}\nof_another_version: {size: 7}\n")
    save.experiment("foreign")
    assert runs.compare("untested", "foreign")["parameters"]["of_another_version.size"] == [None, 7]


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("early-fox", "early-fox"),
        ("ear", "early-fox"),
        ("tested", "untested"),
        ("1", "early-fox"),
        ("2", "untested"),
        ("4", "before-early-fox"),
        ("last", "untested"),
        ("y-hand", "by-hand"),
    ],
)
def test_a_run_is_found_by_what_is_shown_of_it(history: Path, said: str, name: str) -> None:
    assert runs.find(said).name == name


def test_a_word_that_may_mean_several_runs_names_them(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["restore", "fox"]) == 2
    assert "fox may mean before-early-fox, early-fox; give more of the name, or its number" in capsys.readouterr().err
    for said in ("3", "sad", "otter"):
        assert main.main(["restore", said]) == 2
        assert "sad otter did not finish" in capsys.readouterr().err
    for said in ("99", "", "b-y"):
        assert main.main(["restore", said]) == 2
        assert f"there is no run {said}; " in capsys.readouterr().err


def test_a_run_that_was_cancelled_says_so(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), save.kept(lambda: "tired-hen", lambda _: None):
        raise KeyboardInterrupt
    assert main.main(["runs"]) == 0
    told = next(line for line in capsys.readouterr().out.splitlines() if "tired-hen" in line)
    assert told.endswith(" cancelled")


def test_names_that_cannot_be_compared(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["runs", "--compare", "early-fox", "utested"]) == 2
    assert (
        "there is no run utested; did you mean untested? known: by-hand, before-early-fox, untested, early-fox" in capsys.readouterr().err
    )
    assert main.main(["runs", "--compare", "early-fox", "sad otter"]) == 2
    assert "sad otter did not finish" in capsys.readouterr().err


def test_where_there_are_none_it_says_why(toy_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["runs"]) == 0
    assert capsys.readouterr() == ("", "no runs are kept here: nothing is committed yet; `git add --all` and `git commit` once\n")
    git.call("commit", "--quiet", "--allow-empty", "--message", "Start")
    assert main.main(["runs", "--json"]) == 0
    assert capsys.readouterr() == ("[]\n", "no run was kept yet; `headstart run` makes one\n")


def test_a_repository_that_git_refuses_is_said_in_its_words(
    toy_project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    git.call("commit", "--quiet", "--allow-empty", "--message", "Start")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert main.main(["runs"]) == 0
    assert "no runs are kept here: detected dubious ownership" in capsys.readouterr().err
    assert main.main(["restore", "early-fox"]) == 1
    assert "dubious ownership" in capsys.readouterr().err


def test_many_runs_are_read_with_few_processes(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = [git.call("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", f"run {number}").strip() for number in range(3)]
    names = "".join(f"create refs/exps/cd/{'cd' * 19}/run-{number} {commits[number % 3]}\n" for number in range(1000))
    git.call("update-ref", "--stdin", given=names)
    calls: list[str] = []
    real = git._run
    monkeypatch.setattr(git, "_run", lambda arguments, *rest: calls.append(arguments[0]) or real(arguments, *rest))
    assert len(runs.every()) == 1005
    assert calls == ["rev-parse", "for-each-ref", "log", "cat-file"]
