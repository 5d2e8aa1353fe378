"""How a stage starts and ends: parameters, exit codes, the notes it leaves, and what it refuses to have happened meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.repository import child
from headstart.base import executor
from headstart.machinery import errors, lock, progress
from headstart.params import Repeats, Report, Seeded, Shared
from tasks import stage
from tests import PATIENCE


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("seed: 7\nreport: {mistakes: 3}\n")
    Path("data/images/a").mkdir(parents=True)
    Path("data/images/a/1.png").write_text("one")


def report(images: Path = Path("data/images"), out: Path = Path("out"), *, block: Report, shared: Seeded) -> None:
    out.write_text(f"{block.mistakes} {shared.seed}")


def run(body: Callable[[], Any]) -> int:
    """Run a stage named report with this body; its exit code."""

    def report(images: Path = Path("data/images"), *, block: Report) -> None:
        body()

    try:
        stage.run(report)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def failure() -> dict[str, Any]:
    noted: dict[str, Any] = json.loads(Path(".headstart/failure.json").read_text())
    return noted


def fail(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


def test_a_stage_gets_its_block_and_the_seed() -> None:
    stage.run(report)
    assert Path("out").read_text() == "3 7"
    timing = json.loads(Path(".headstart/timings/report.json").read_text())
    assert timing["stage"] == "report"
    assert 0 <= timing["seconds"] < 10


def test_a_stage_gets_the_parameters_that_stages_share() -> None:
    given: list[Any] = []

    def report(*, block: Report, shared: Shared) -> None:
        given.extend([block, shared])

    Path("params.yaml").write_text("seed: 7\ndevice: cpu\nreport: {mistakes: 3}\n")
    stage.run(report)
    assert given == [Report(mistakes=3), Shared(seed=7, device="cpu", precision="auto")]


def test_a_stage_gets_what_it_names_of_another_s_block_and_no_more() -> None:
    given: list[Any] = []

    def report(*, block: Report, verdict: Repeats) -> None:
        given.append(verdict)

    Path("params.yaml").write_text("verdict: {seeds: 3, margin: 0.2}\n")
    stage.run(report)
    assert given == [Repeats(seeds=3, label_curve=False)]
    assert type(given[0]) is Repeats


def test_a_change_of_what_a_stage_does_not_read_of_a_block_is_none() -> None:
    def report(*, verdict: Repeats) -> None:
        Path("params.yaml").write_text("verdict: {margin: 0.2}\n")

    stage.run(report)

    def other(*, verdict: Repeats) -> None:
        Path("params.yaml").write_text("verdict: {seeds: 2}\n")

    other.__name__ = "report"
    with pytest.raises(SystemExit):
        stage.run(other)
    assert "the parameters" in failure()["message"] or "params.yaml changed" in failure()["message"]


def test_a_stage_works_where_params_yaml_says() -> None:
    seen: list[bool] = []
    assert run(lambda: seen.append(executor.spreads())) == 0
    Path("params.yaml").write_text("executor: ray\n")
    assert run(lambda: seen.append(executor.spreads())) == 0
    assert seen == [False, True]
    assert not executor.spreads(), "of this stage alone"


def test_long_work_is_noted_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "finished", [])

    def work() -> None:
        with progress.Progress(2, "frozen layers", how="onnxruntime") as bar:
            bar.step(2)

    assert run(work) == 0
    [noted] = json.loads(Path(".headstart/timings/report.json").read_text())["work"]
    assert (noted["what"], noted["how"], noted["done"]) == ("frozen layers", "onnxruntime", 2)


@pytest.mark.parametrize("kind", [errors.HeadstartError, errors.ParamsError, errors.DataError])
def test_a_refusal_has_its_exit_code_and_is_noted(kind: type[errors.HeadstartError], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(fail(kind("too few images"))) == kind.exit_code
    expected = {"stage": "report", "exit_code": kind.exit_code, "message": "too few images", "error": kind.__name__, "may_pass": False}
    assert failure() == expected
    assert capsys.readouterr().err == "error: too few images\n"
    assert not Path(".headstart/timings").exists()


def test_a_flow_says_what_is_noted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "die_with_run", lambda: None)
    with lock.hold("headstart run"):
        assert run(fail(errors.DataError("too few images"))) == 3
    assert failure()["message"] == "too few images"
    assert capsys.readouterr().err == ""


def test_a_reason_may_name_any_file() -> None:
    stage.note(stage.STATE / "failure.json", {"message": "caf\udce9.png"})
    assert failure() == {"message": "caf\udce9.png"}


def test_a_crash_keeps_its_traceback_and_is_noted() -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)
    message = "stage report failed with ZeroDivisionError: division by zero"
    expected = {"stage": "report", "exit_code": 1, "message": message, "error": "ZeroDivisionError", "may_pass": False}
    assert failure() == expected


def test_the_next_start_removes_the_note() -> None:
    run(fail(errors.DataError("no")))
    assert run(lambda: None) == 0
    assert not Path(".headstart/failure.json").exists()


def test_an_interrupt_is_130_and_no_failure() -> None:
    assert run(fail(KeyboardInterrupt())) == 130
    assert not Path(".headstart/failure.json").exists()


def test_bad_parameters_stop_it_before_it_starts(capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text("report: {mistakes: -1}\n")
    assert run(lambda: pytest.fail("ran")) == 2
    assert "report.mistakes: -1 is wrong" in capsys.readouterr().err


def test_an_aim_at_a_class_that_is_not_there_stops_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text("aim: {measure: recall, label: bees}\n")
    for name in ("bee", "ant"):
        Path("data/images", name).mkdir()
    assert run(lambda: None) == 2
    assert capsys.readouterr().err == "error: aim.label: there is no class 'bees' here; did you mean bee?\n"
    Path("params.yaml").write_text("aim: {measure: recall, label: bee}\n")
    assert run(lambda: None) == 0


def test_while_another_run_holds_the_checkout_nothing_is_touched(capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys; from headstart.machinery import lock\nwith lock.hold('headstart run'): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        assert run(lambda: pytest.fail("ran")) == 4
        other.kill()
    assert "headstart run (process" in capsys.readouterr().err
    assert not Path(".headstart/failure.json").exists(), "the note belongs to the run that holds the lock"
    assert lock.VARIABLE not in os.environ


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("data/images/a/2.png").write_text("two"),
        lambda: Path("data/images/a/1.png").write_text("another"),
        lambda: Path("data/images/a/1.png").unlink(),
        lambda: Path("data/images/a/1.png").rename("data/images/a/3.png"),
        lambda: Path("data/images/a").rename("data/images/b"),
    ],
)
def test_images_that_change_meanwhile_void_the_stage(change: Callable[[], Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(change) == 3
    assert "data/images changed while report was reading it" in capsys.readouterr().err
    assert failure()["exit_code"] == 3


def test_parameters_that_change_meanwhile_void_the_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda: Path("params.yaml").write_text("report: {mistakes: 4}\n")) == 2
    assert "params.yaml changed while report was running" in capsys.readouterr().err


def test_what_the_stage_does_not_read_may_change() -> None:
    assert run(lambda: Path("params.yaml").write_text("seed: 8\nreport: {mistakes: 3}\nfine_tune: {epochs: 2}\n")) == 0
    assert run(lambda: Path("data/images/a/1.png").read_text()) == 0


def test_the_fingerprint_sees_names_that_are_no_text_and_links() -> None:
    before = stage.fingerprint(Path("data/images"))
    Path(os.fsdecode(b"data/images/a/\xff.png")).write_text("x")
    with_bytes = stage.fingerprint(Path("data/images"))
    Path("data/images/a/link.png").symlink_to("nowhere")
    assert len({before, with_bytes, stage.fingerprint(Path("data/images"))}) == 3
    assert stage.fingerprint(Path("nowhere")) == stage.fingerprint(Path("nowhere else"))


def test_notes_are_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "deep/note.json"
    stage.note(path, {"a": 1})
    with pytest.raises(TypeError):
        stage.note(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_stage_dies_with_its_parent(tmp_path: Path) -> None:
    code = "import os, time; from tasks import stage; stage.die_with_parent(); print(os.getpid(), flush=True); time.sleep(2000)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    assert gone(pid)


def gone(pid: int, patience: float = PATIENCE) -> bool:
    """Whether a process ends in time."""
    deadline = time.monotonic() + patience
    while child.alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not child.alive(pid)
