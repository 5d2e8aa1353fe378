"""The dvc command as the flow uses it: what ran, what was cached, lines as they come, errors with their reasons, no orphans."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.repository import child, dvc
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from tasks import stage
from tests import PATIENCE
from tests.tasks.test_stage import gone


def test_a_stage_runs_once_and_is_cached_after(toy_project: Path) -> None:
    lines: list[str] = []
    first = dvc.repro("index_images", say=lines.append)
    assert (first["stage"], first["outcome"]) == ("index_images", "ran")
    assert lines == ["index_images begins"], "the stage's lines, and none of dvc's chatter"
    assert dvc.repro("index_images")["outcome"] == "cached"
    Path("out/index_images.txt").unlink()
    assert dvc.repro("index_images")["outcome"] == "cached", "restored from the run cache"
    assert Path("out/index_images.txt").exists()
    assert dvc.repro("index_images", force=True)["outcome"] == "ran"


@pytest.mark.parametrize(("code", "kind"), [(1, HeadstartError), (2, ParamsError), (3, DataError)])
def test_a_failure_keeps_the_reason_of_the_stage(toy_project: Path, code: int, kind: type[HeadstartError]) -> None:
    Path("index_images.fails").write_text(str(code))
    with pytest.raises(kind, match="index_images does not like it") as caught:
        dvc.repro("index_images")
    assert caught.value.exit_code == code
    Path("index_images.fails").unlink()
    assert dvc.repro("index_images")["outcome"] == "ran", "a failure records nothing"


def test_a_failure_without_a_reason_has_the_last_lines(toy_project: Path) -> None:
    Path(".headstart").mkdir()
    stage.FAILURE.write_text('{"stage": "validate_data", "exit_code": 3, "message": "of an earlier run"}')
    with pytest.raises(dvc.DvcError, match=r"out/index_images\.txt") as caught:
        dvc.repro("validate_data")  # what it depends on was never made
    assert caught.value.exit_code == 1
    Path("dvc.yaml").write_text("stages:\n  index_images:\n    cmd: echo last words; kill -9 $$\n")
    with pytest.raises(dvc.DvcError, match=r"(?s)stage index_images failed.*last words.*exited with -9"):
        dvc.repro("index_images")
    said: list[str] = []
    with pytest.raises(dvc.DvcError) as caught:
        dvc.repro("index_images", say=said.append)
    assert said == ["last words"]
    assert "  last words" not in str(caught.value).splitlines(), "not twice"
    assert "exited with -9" in str(caught.value)


def test_lines_come_while_the_stage_runs(toy_project: Path) -> None:
    """The stage goes on when its line has come; if it has not, it says so after ten minutes."""
    Path("dvc.yaml").write_text(
        "stages:\n  index_images:\n    cmd: echo begins; for i in $(seq 6000); do test -e heard && exit 0; sleep 0.1; done; echo unheard\n"
    )
    lines: list[str] = []

    def hear(line: str) -> None:
        lines.append(line)
        Path("heard").touch()

    dvc.repro("index_images", say=hear)
    assert lines == ["begins"]


def test_python_is_ours_whatever_the_path(toy_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("SHELL", "/bin/false")
    Path("dvc.yaml").write_text(
        "stages:\n  index_images:\n    cmd: python -c 'import os, sys; print(sys.executable, sys.prefix, os.environ[\"HEADSTART_PROGRESS\"])'\n"
    )
    lines: list[str] = []
    dvc.repro("index_images", say=lines.append, events=Path("events"))
    assert lines == [f"{sys.executable} {sys.prefix} {toy_project / 'events'}"], "and it is told where its progress goes"


def test_output_that_is_no_text_is_no_error(toy_project: Path) -> None:
    Path("dvc.yaml").write_text("stages:\n  index_images:\n    cmd: printf 'caf\\351\\n1/2\\r2/2\\n'\n")
    lines: list[str] = []
    dvc.repro("index_images", say=lines.append)
    assert lines == ["caf\ufffd", "1/2", "2/2"]


def test_an_interruption_ends_dvc_and_the_stage_and_records_nothing(toy_project: Path) -> None:
    Path("index_images.sleeps").write_text(str(2 * PATIENCE))

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dvc.repro("index_images", say=interrupt)
    assert gone(int(Path("started").read_text()), patience=10.0)
    Path("index_images.sleeps").unlink()
    assert dvc.repro("index_images")["outcome"] == "ran", "and leaves no lock behind"


def test_a_group_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deaf.py").write_text(
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pid = os.fork()\nprint(os.getpid(), flush=True)\ntime.sleep(2000)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (tmp_path / "log").open("w") as log:
        process = child.start("deaf", output=log)
    while len((tmp_path / "log").read_text().split()) < 2:
        time.sleep(0.05)
    child.stop(process, patience=0.3)
    assert process.returncode == -9
    assert all(gone(int(pid)) for pid in (tmp_path / "log").read_text().split())


def test_a_child_works_from_any_thread(toy_project: Path) -> None:
    found: list[dvc.Outcome] = []
    thread = threading.Thread(target=lambda: found.append(dvc.repro("index_images")))
    thread.start()
    thread.join()
    assert found[0]["outcome"] == "ran"


@pytest.mark.usefixtures("forked_dvc")
def test_adding_unchanged_images_keeps_the_record(toy_project: Path) -> None:
    record = Path("data/images.dvc")
    dvc.add(Path("data/images"))
    record.write_text(record.read_text() + "# a comment\ndesc: my photos\n")
    before = record.read_bytes()
    dvc.add(Path("data/images"))
    assert record.read_bytes() == before
    Path("data/images/a/3.txt").write_text("3")
    dvc.add(Path("data/images"))
    assert record.read_bytes() != before
    assert b"desc: my photos" in record.read_bytes()


@pytest.mark.usefixtures("forked_dvc")
def test_images_come_back_from_the_cache_or_the_remote(toy_project: Path, tmp_path: Path) -> None:
    dvc.call("remote", "add", "--default", "store", str(tmp_path / "store"))
    images = Path("data/images")
    dvc.add(images)
    dvc.call("push", "data/images.dvc")
    for lost in (images, images, Path(".dvc/cache")):
        shutil.rmtree(images, ignore_errors=True)
        shutil.rmtree(lost, ignore_errors=True)
        dvc.fetch(images)
        assert sorted(path.name for path in images.rglob("*.txt")) == ["1.txt", "2.txt"]


@pytest.mark.usefixtures("forked_dvc")
def test_a_remote_that_is_away_is_asked_again_and_one_that_lacks_the_files_is_not(
    toy_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, away, images = tmp_path / "store", tmp_path / "away", Path("data/images")
    slept: list[float] = []
    said: list[str] = []
    monkeypatch.setattr(dvc, "time", SimpleNamespace(sleep=slept.append))
    dvc.add(images)

    def lost() -> None:
        for folder in (images, Path(".dvc/cache")):
            shutil.rmtree(folder, ignore_errors=True)

    dvc.call("remote", "add", "--default", "store", str(store))
    dvc.call("push", "data/images.dvc")
    lost()
    store.rename(away)
    with pytest.raises(dvc.DvcError, match=f"the DVC remote store .{store}. does not answer$"):
        dvc.fetch(images, pauses=[3.0, 4.0])
    assert slept == [3.0, 4.0]

    monkeypatch.setattr(dvc, "time", SimpleNamespace(sleep=lambda _: away.rename(store)))
    dvc.fetch(images, said.append, [3.0])
    assert sorted(path.name for path in images.rglob("*.txt")) == ["1.txt", "2.txt"]
    assert f"the DVC remote store ({store}) does not answer; trying again in 3 seconds" in said

    monkeypatch.setattr(dvc, "time", SimpleNamespace(sleep=slept.append))
    lost()
    shutil.rmtree(store)
    store.mkdir()
    with pytest.raises(dvc.DvcError):
        dvc.fetch(images, pauses=[3.0])
    dvc.call("config", "core.remote", "--unset")
    with pytest.raises(dvc.DvcError):
        dvc.fetch(images, pauses=[3.0])
    assert slept == [3.0, 4.0], "neither is over after a while"


@pytest.mark.parametrize(
    ("said", "url", "again"),
    [
        ('ERROR: unexpected error - Could not connect to the endpoint URL: "https://bucket"', "s3://bucket", True),
        ("ERROR: unexpected error - Cannot connect to host storage:443 ssl:default [Name or service not known]", "gs://bucket", True),
        ("ERROR: unexpected error - [Errno 111] Connect call failed ('10.0.0.1', 22)", "ssh://host/store", True),
        ("ERROR: failed to transfer 'md5: 0123' - The read operation timed out", "azure://store", True),
        ("ERROR: unexpected error - Forbidden: An error occurred (403) when calling HeadObject", "s3://bucket", False),
        ("ERROR: failed to pull data from the cloud - Checkout failed", "s3://bucket", False),
        ("ERROR: failed to pull data from the cloud - Checkout failed", "http://127.0.0.1:9/store", True),
        ("ERROR: failed to pull data from the cloud - Checkout failed", ".", False),
    ],
)
def test_what_counts_as_a_remote_that_is_away(said: str, url: str, again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    def call(command: str, *names: str, say: dvc.Say | None = None) -> list[str]:
        if command == "pull":
            raise dvc.DvcError("`dvc pull` failed", [said])
        return ["store" if names == ("core.remote",) else url]

    monkeypatch.setattr(dvc, "call", call)
    monkeypatch.setattr(dvc, "time", SimpleNamespace(sleep=slept.append))
    with pytest.raises(dvc.DvcError, match="does not answer" if again else said[:20]):
        dvc.pull(pauses=[5.0])
    assert slept == [5.0] * again


@pytest.mark.usefixtures("forked_dvc")
def test_marks_of_dead_processes_are_forgotten_and_those_of_living_ones_kept(toy_project: Path) -> None:
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    dvc.MARKS.parent.mkdir(exist_ok=True)
    path = str(toy_project / "out/index_images.txt")
    for pid, kept in ((zombie.pid, False), (os.getpid(), True)):
        dvc.MARKS.write_text(json.dumps({"write": {path: {"pid": pid, "cmd": "dvc"}}, "read": {path: [{"pid": pid, "cmd": "dvc"}]}}))
        with pytest.raises(dvc.DvcError, match="is busy"):
            dvc.repro("index_images")
        dvc.forget_dead()
        assert dvc.MARKS.exists() is kept
    zombie.wait()
    for torn in ("", '{"write": {', "[]", '{"write": 3}'):
        dvc.MARKS.write_text(torn)
        dvc.forget_dead()
        assert not dvc.MARKS.exists()
    assert dvc.repro("index_images")["outcome"] == "ran"


def test_settings_that_dvc_may_not_look_for_are_kept_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `sudo` without -H DVC would end without a word; so it would with a home that is a file."""
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / "file").touch()
    for home, known in ((tmp_path / "file", ["HOME", "DVC_GLOBAL_CONFIG_DIR"]), (tmp_path, []), (tmp_path / "none", [])):
        monkeypatch.setenv("HOME", str(home))
        assert list(dvc._own_settings()) == known
