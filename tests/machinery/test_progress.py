"""Progress lines: nothing for quick work, plain lines where it is no terminal, one rewritten line where it is; and what was done."""

from __future__ import annotations

import io
import logging
import sys
import threading
from typing import Any

import pytest

from headstart.machinery import progress
from headstart.machinery.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def work(clock: list[float], steps: int, seconds: float) -> None:
    with Progress(steps, "reading") as bar:
        for _ in range(steps):
            clock[0] += seconds
            bar.step()


def test_quick_work_prints_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    work(clock, 10, 0.1)
    assert capsys.readouterr() == ("", "")


def test_plain_lines_say_how_far_and_how_long(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    work(clock, 10, 3.0)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "reading: 1/10, 27 s left",
        "reading: 3/10, 21 s left",
        "reading: 5/10, 15 s left",
        "reading: 7/10, 9 s left",
        "reading: 9/10, 3 s left",
        "reading: 10/10 in 30 s",
    ]


def test_a_terminal_gets_one_line(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    work(clock, 4, 3.0)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert shown.count("\n") == 1
    assert shown.endswith("\n")
    assert shown.split("\r")[-1].strip() == "reading: 4/4 in 12 s"


def test_an_error_inside_passes_and_claims_no_end(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with Progress(2, "reading") as bar:
            clock[0] += 10
            bar.step()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert capsys.readouterr().err == "reading: 1/2, 10 s left\n"


def test_threads_may_count() -> None:
    with Progress(4000, "reading") as bar:
        threads = [threading.Thread(target=lambda: [bar.step() for _ in range(1000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert bar.done == 4000


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    noted: list[dict[str, Any]] = []
    monkeypatch.setattr(progress, "finished", noted)
    return noted


def test_work_that_says_how_it_is_done_is_noted(
    clock: list[float], finished: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "headstart.machinery.progress"), Progress(12, "frozen layers", how="onnxruntime") as bar:
        clock[0] += 0.5
        bar.step(4)
    assert finished == [{"what": "frozen layers", "how": "onnxruntime", "done": 4, "seconds": 0.5}]
    assert caplog.messages == ["frozen layers: 4, 8 a second (onnxruntime)"]
    assert capsys.readouterr() == ("", "")


def test_other_work_is_not_noted(clock: list[float], finished: list[dict[str, Any]], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    work(clock, 3, 0.1)
    with pytest.raises(KeyError), Progress(3, "broken off", how="cpu"):
        raise KeyError
    assert finished == []
    assert caplog.messages == []


def test_no_time_at_all_divides_by_nothing(clock: list[float], finished: list[dict[str, Any]]) -> None:
    with Progress(0, "nothing", how="cpu"):
        pass
    assert [row["seconds"] for row in finished] == [0]


def test_quiet_work_says_nothing(
    clock: list[float], finished: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Progress(4, "reading", how="cpu", quiet=True) as bar:
        for _ in range(4):
            clock[0] += 10
            bar.step()
    assert bar.done == 4
    assert capsys.readouterr() == ("", "")
    assert (caplog.messages, finished) == ([], [])


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (3600, "1 h 0 min"), (7530, "2 h 5 min")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
