"""Progress lines: nothing for quick work, plain lines where it is no terminal, one rewritten line where it is; and what was done."""

from __future__ import annotations

import io
import logging
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.machinery import progress
from headstart.machinery.progress import Event, Progress, duration


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


def test_events_go_to_the_file_that_the_environment_names(
    clock: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events = tmp_path / "progress.jsonl"
    work(clock, 4, 3.0)
    alone = capsys.readouterr()
    monkeypatch.setenv(progress.VARIABLE, str(events))
    work(clock, 4, 3.0)
    assert capsys.readouterr() == alone, "the lines are the same"
    read, end = progress.read(events)
    assert read == [
        Event("reading", 1, 4, left=9.0),
        Event("reading", 3, 4, left=3.0),
        Event("reading", 4, 4, taken=12.0),
    ]
    assert [str(event) for event in read] == alone.err.splitlines()
    assert end == events.stat().st_size
    assert progress.read(events, end) == ([], end)


def test_counts_of_numpy_are_events_too(clock: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress.jsonl"))
    with Progress(np.int64(4), "reading") as bar:  # type: ignore[arg-type]
        clock[0] += 3
        bar.step(np.int64(1))  # type: ignore[arg-type]
    assert progress.read(tmp_path / "progress.jsonl")[0][0] == Event("reading", 1, 4, left=9.0)


def test_events_that_cannot_be_written_stop_nothing(clock: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "no folder/progress.jsonl"))
    work(clock, 4, 3.0)
    assert progress.read(tmp_path / "no folder/progress.jsonl") == ([], 0)


def test_a_torn_line_is_left_for_later_and_other_lines_are_passed_by(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    whole = '{"what": "reading", "done": 1, "total": 4, "left": 9.0, "taken": null}\n'
    path.write_text('{"what": "rea\n[3]\n{"what": "reading"}\n' + whole + whole[:20])
    events, end = progress.read(path)
    assert events == [Event("reading", 1, 4, left=9.0)]
    with path.open("a") as file:
        file.write(whole[20:])
    assert progress.read(path, end)[0] == events


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (3600, "1 h 0 min"), (7530, "2 h 5 min")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
