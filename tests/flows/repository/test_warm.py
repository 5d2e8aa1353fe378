"""dvc and stages forked from one process: as those that are started, and started where a fork would not be the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.repository import child, dvc, warm
from headstart.machinery.errors import DataError
from tests import PATIENCE, ROOT, toy
from tests.conftest import chain
from tests.tasks.test_stage import gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")

MANIFEST = Path("data/manifest.parquet")
STAGE = "stages:\n  index_images:\n    cmd: python -m tasks.index_images\n    outs: [data/manifest.parquet, data/target.parquet]\n"
Starts = Callable[[], list[str]]


@pytest.fixture
def starts(tmp_path: Path, toy_project: Path, monkeypatch: pytest.MonkeyPatch) -> Starts:
    """A project of small pictures with a real stage. Tells which modules new interpreters have run since it was asked last."""
    site, told = tmp_path / "site", tmp_path / "told"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        f"import sys\nwith open({str(told)!r}, 'a') as file: print(*sys.orig_argv[1:], file=file)\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
    shutil.rmtree("data/images")
    toy.images(Path("data/images"), classes=("ant", "bee"), per_class=10, size=32)
    Path("dvc.yaml").write_text(STAGE)

    def since() -> list[str]:
        lines = told.read_text().splitlines() if told.exists() else []
        told.write_text("")
        return [line for line in lines if "tasks." in line and "standby" not in line]

    return since


@pytest.fixture
def server(starts: Starts) -> warm.Server:
    """What `warm.kept` keeps, with all in memory that a stage imports."""
    assert warm._server
    assert dvc.call("--version")
    warm.stages()
    return warm._server


@pytest.fixture(autouse=True)
def _kept(starts: Starts) -> object:
    with warm.kept():
        yield


def test_a_stage_is_forked_and_makes_the_same_bytes(server: warm.Server, starts: Starts) -> None:
    made = []
    for keeper, started in ((server, []), (None, ["-m tasks.index_images"])):
        lines: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(warm, "_server", keeper)
            assert dvc.repro("index_images", force=True, say=lines.append)["outcome"] == "ran"
        assert starts() == started
        made.append((MANIFEST.read_bytes(), lines))
    assert made[0] == made[1]
    assert dvc.repro("index_images")["outcome"] == "cached"


def test_its_failure_is_that_of_a_stage(server: warm.Server, starts: Starts) -> None:
    shutil.rmtree("data/images")
    with pytest.raises(DataError, match="data/images"):
        dvc.repro("index_images")
    assert starts() == []


@pytest.mark.parametrize("change", ["environment", "code", "shadow"])
def test_what_a_new_interpreter_would_see_otherwise_is_started(
    change: str, server: warm.Server, starts: Starts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change == "environment":
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
    elif change == "code":
        os.utime(tmp_path / "site/sitecustomize.py")
    else:  # `python -m` finds what lies in the folder first
        shutil.copytree(ROOT / "tasks", "tasks")
    assert dvc.repro("index_images")["outcome"] == "ran"
    assert starts() == ["-m tasks.index_images"]


def test_if_the_process_is_gone_dvc_is_started(server: warm.Server) -> None:
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.wait()
    assert dvc.repro("index_images")["outcome"] == "ran"


def test_if_it_goes_while_dvc_runs_dvc_ends_its_stage_and_counts_as_killed(server: warm.Server) -> None:
    Path("dvc.yaml").write_text("stages:\n  index_images:\n    cmd: echo begins; sleep 1; echo > made\n    outs: [made]\n")

    def kill(line: str) -> None:
        dvc.MARKS.write_text("")  # as a dvc that is killed while it writes them leaves them
        os.kill(server._process.pid, signal.SIGKILL)

    with pytest.raises(dvc.DvcError) as caught:
        dvc.repro("index_images", say=kill)
    assert caught.value.may_pass
    assert dvc.repro("index_images")["outcome"] in ("ran", "cached")
    assert Path("made").exists()


def test_nothing_outlives_who_asked(starts: Starts) -> None:
    chain(Path(), ["index_images"])
    Path("index_images.sleeps").write_text(str(2 * PATIENCE))
    code = """
        from flows.repository import dvc, warm
        from headstart.machinery import lock
        with lock.hold("test"), warm.kept():
            print(warm._server._process.pid, flush=True)
            dvc.repro("index_images")
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        kept = int(process.stdout.readline())
        while not (Path("started").exists() and Path("started").read_text()):
            time.sleep(0.05)
        process.kill()
    assert gone(kept, patience=10.0)
    assert gone(int(Path("started").read_text()), patience=10.0)


def test_it_waits_no_longer_than_it_is_told(server: warm.Server) -> None:
    Path("dvc.yaml").write_text(f"stages:\n  index_images:\n    cmd: sleep {2 * PATIENCE}\n")
    process = warm.dvc("repro", "index_images", extra={})
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    child.stop(process)
    assert process.wait() == -signal.SIGTERM


def test_who_ends_before_it_is_known_is_told_of_all_the_same() -> None:
    """Its end may be heard by a thread that a library has started, and looked for at once."""
    code = """
        import os, select, signal, threading, time
        from tasks.sharing import forks
        signal.signal(signal.SIGCHLD, lambda *_: None)  # as one who looks before the process is known
        woken = forks.woken()
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # so that the thread hears it
        pid = os.fork()
        if not pid:
            os._exit(7)
        time.sleep(1)
        print(select.select([woken], [], [])[0] == [woken], os.waitstatus_to_exitcode(os.waitpid(pid, os.WNOHANG)[1]), flush=True)
        os._exit(0)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.split() == ["True", "7"]
