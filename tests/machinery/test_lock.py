"""The run lock: one run at a time, released when its holder ends, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headstart.machinery import lock
from headstart.machinery.errors import BusyError, HeadstartError

HOLDER = "import sys; from headstart.machinery import lock\nwith lock.hold('headstart run'): print('held', flush=True); sys.stdin.read()"
TRIER = "from headstart.machinery import lock\nwith lock.hold('the second'): print('got it')"


@contextmanager
def holder() -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of the current folder."""
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def attempt() -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", TRIER], capture_output=True, text=True)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_second_run_is_told_who_holds_it() -> None:
    with holder() as first, pytest.raises(BusyError, match=rf"headstart run \(process {first.pid}\)"), lock.hold("me"):
        pass


def test_it_goes_when_its_holder_is_killed() -> None:
    with holder() as first:
        first.kill()
        first.wait()
        with lock.hold("me"):
            assert "me" in lock.PATH.read_text()


def test_children_and_calls_from_within_run_under_it() -> None:
    with lock.hold("outer"):
        with lock.hold("inner"):
            assert attempt().stdout == "got it\n"
        assert lock.PATH.read_text().startswith("outer")
        assert attempt().returncode == 0, "the inner block must not release the lock"
    assert lock.VARIABLE not in os.environ


def test_the_environment_of_another_checkout_does_not_open_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with holder():
        monkeypatch.setenv(lock.VARIABLE, str(tmp_path / "elsewhere/.headstart/run.lock"))
        assert "BusyError" in attempt().stderr


def test_it_is_released_after_an_error() -> None:
    with pytest.raises(KeyError), lock.hold("me"):
        raise KeyError
    assert attempt().returncode == 0
    assert lock.PATH.read_text() == ""


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)  # permissions do not bind root
        with pytest.raises(HeadstartError, match=r"cannot write in this checkout: \.headstart") as caught, lock.hold("me"):
            pass
    finally:
        if root:
            os.seteuid(0)
        tmp_path.chmod(0o755)
    assert not isinstance(caught.value, BusyError)
