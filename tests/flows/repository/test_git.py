"""What is said where git is missing, refuses, or has nothing yet: never an empty reason."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.experiments import save
from flows.repository import child, dvc, git

DUBIOUS = """\
fatal: detected dubious ownership in repository at '/photos'
To add an exception for this directory, call:

\tgit config --global --add safe.directory /photos
"""
CASES = {
    "fatal: not a git repository (or any of the parent directories): .git\n": "make one with `git init`",
    "fatal: Needed a single revision\n": "nothing is committed yet",
    DUBIOUS: "detected dubious ownership in repository at '/photos': the folder is another user's; if you trust it: "
    "`git config --global --add safe.directory /photos`",
}


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets git fail with a message of a test."""

    def use(message: str) -> None:
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=128, stderr=message.encode(), stdout=b""))

    return use


@pytest.mark.parametrize("message", CASES)
def test_why_nothing_is_kept_and_what_to_do(message: str, answering: Callable[[str], None]) -> None:
    answering(message)
    assert CASES[message] in git.problem()
    assert save.base() is None
    with pytest.raises(git.GitError) as caught:
        save.experiment("x")
    assert CASES[message] in str(caught.value)


def test_no_git_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert git.problem() == "there is no git command here; install git"


def test_a_dvc_command_that_fails_in_silence_gives_a_reason(answering: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    answering("fatal: not a git repository\n")
    process = SimpleNamespace(stdout=[], wait=lambda: 255)
    monkeypatch.setattr(child, "start", lambda *_, **__: process)
    monkeypatch.setattr(child, "stop", lambda _: None)
    with pytest.raises(dvc.DvcError, match="make one with `git init`"):
        dvc.call("add", "--quiet", "data/images")


def test_the_first_failure_of_a_fresh_clone_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is empty there, so that dvc cannot check out before it has pulled."""
    said: list[str] = []

    def call(*arguments: str, say: dvc.Say | None = None, **_: Any) -> list[str]:
        if say:
            say(f"dvc {arguments[0]}")
        if arguments[0] == "checkout":
            raise dvc.DvcError("failed", ["ERROR: Checkout failed for following targets: data/images"])
        return []

    monkeypatch.setattr(dvc, "call", call)
    dvc.fetch(dvc.Path("data/images"), said.append)
    assert said == ["dvc pull"]


def test_a_failed_run_says_how_the_last_results_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").touch()
    monkeypatch.setattr(save, "outs", lambda *, cached: {Path("gone"): "report"} if cached else {Path("here"): "report"})
    monkeypatch.setattr(save, "base", lambda: "0" * 40)
    monkeypatch.setattr(save, "experiments", lambda: {"first": "1", "second": "2"})
    assert (
        save._bring_back() == "gone of the last run were removed before this one failed; `headstart restore second` brings its results back"
    )
    Path("gone").touch()
    assert save._bring_back() == ""
