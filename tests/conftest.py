"""What tests share: an environment that touches no data outside pytest's own folders, a Prefect server, and toy projects."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from flows.repository import warm
from headstart.params import STAGES
from tests import ROOT, two_machines
from tests.speed import pytest_collection_modifyitems, pytest_runtest_protocol  # noqa: F401

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # In the background of a script Ctrl-C is ignored, also by all that is started there; tests interrupt what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A stage of the toy project. Files named after a stage steer it: NAME.fails holds an exit code, NAME.sleeps seconds to sleep.
_STAGE = """
import os, sys, time
from pathlib import Path
from headstart.machinery import errors
from headstart.params import Seeded
from tasks import stage

name, dep, out = sys.argv[1:]

def body(images=Path("data/images"), *, shared: Seeded):
    sleeps = Path(f"{name}.sleeps")
    seconds = float(sleeps.read_text()) if sleeps.exists() else 0.0  # before it is seen to have started: whoever waits for that takes the file away
    Path("started").write_text(str(os.getpid()))
    print(f"{name} begins", flush=True)
    time.sleep(seconds)
    if Path(f"{name}.fails").exists():
        kinds = {1: RuntimeError, 2: errors.ParamsError, 3: errors.DataError}
        raise kinds[int(Path(f"{name}.fails").read_text())](f"{name} does not like it")
    Path(out).parent.mkdir(exist_ok=True)
    files = sorted(path.name for path in Path(dep).rglob("*.txt"))
    Path(out).write_text(f"{shared.seed} " + (" ".join(files) or Path(dep).read_text()))

body.__name__ = name
stage.run(body)
"""


Shared = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep DVC's state, Prefect's home and git's identity in a folder of this session."""
    home = tmp_path_factory.mktemp("session")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("PREFECT_", "HEADSTART_", "DVC_", "GIT_"))]:
            patch.delenv(name)
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # with it, each of the many processes compiles what it imports again
        values = {"DVC_SITE_CACHE_DIR": "dvc", "PREFECT_HOME": "prefect", "DVC_GLOBAL_CONFIG_DIR": "dvc"}
        for name, folder in values.items():
            patch.setenv(name, str(home / folder))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        for who in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{who}_NAME", "Test")
            patch.setenv(f"GIT_{who}_EMAIL", "test@example.org")
        patch.setenv("DO_NOT_TRACK", "1")
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        patch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        yield home


@pytest.fixture(scope="session")
def shared(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Makes a folder by its name once for all workers of this session: `shared(name, make)` calls make(folder), or waits for who does."""
    base = tmp_path_factory.getbasetemp()
    home = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def shared(name: str, make: Callable[[Path], None]) -> Path:
        folder, unfinished = home / f"shared-{name}", home / f"unfinished-{name}"
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(folder)
        return folder

    return shared


@pytest.fixture(scope="session")
def prefect_database(shared: Shared) -> Path:
    """An empty database of Prefect's server, which takes the server longer to make than to start. To be copied to PREFECT_HOME/prefect.db."""

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
        subprocess.run(command, env={**os.environ, "PREFECT_HOME": str(folder)}, check=True, capture_output=True)

    return shared("prefect", make) / "prefect.db"


@pytest.fixture(scope="session")
def prefect_server(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server for the session; the address of its API."""
    from prefect.settings import get_current_settings
    from prefect.testing import utilities

    folder = tmp_path_factory.mktemp("server")
    shutil.copy(prefect_database, folder / "prefect-test.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utilities, "mkdtemp", lambda: str(folder))
        with utilities.prefect_test_harness(server_startup_timeout=240):
            yield str(get_current_settings().api.url)


@pytest.fixture(scope="session")
def warm_server(environment: Path) -> Iterator[warm.Server]:
    """A process from which dvc can be forked, for the session."""
    server = warm.Server()
    yield server
    server.end()


@pytest.fixture
def forked_dvc(warm_server: warm.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have dvc forked from a process that has it in memory, instead of started, for tests in which the command is not the point."""
    monkeypatch.setattr(warm, "_server", warm_server)


def chain(folder: Path, stages: Sequence[str]) -> None:
    """A dvc.yaml of trivial stages, each of which depends on the one before, and the first on the images."""
    graph, dep = "stages:\n", "data/images"
    for name in stages:
        out = f"out/{name}.txt"
        graph += f"  {name}:\n    cmd: python toy_stage.py {name} {dep} {out}\n"
        graph += f"    deps: [{dep}]\n    params: [seed, {name}]\n    outs: [{out}]\n"
        dep = out
    (folder / "dvc.yaml").write_text(graph)


@pytest.fixture(scope="session")
def _toy_template(shared: Shared) -> Path:
    def make(folder: Path) -> None:
        (folder / "data/images/a").mkdir(parents=True)
        for name in ("1", "2"):
            (folder / f"data/images/a/{name}.txt").write_text(name)
        shutil.copy(ROOT / "params.yaml", folder)
        (folder / "toy_stage.py").write_text(_STAGE)
        (folder / ".gitignore").write_text("/.headstart/\n")
        chain(folder, STAGES)
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=folder, check=True)
        shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")

    return shared("toy", make)


@pytest.fixture
def toy_project(_toy_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the real stage names and trivial stages, never run, as the current folder."""
    return copied(_toy_template, tmp_path, monkeypatch)


def with_database(state: Path, prefect_database: Path) -> None:
    """Spare the servers of a project the making of their database; `state` is its .headstart/."""
    (state / "prefect").mkdir(parents=True)
    shutil.copy(prefect_database, state / "prefect/prefect.db")


def copied(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a project, as the current folder."""
    project = tmp_path / "project"
    shutil.copytree(template, project)
    monkeypatch.chdir(project)
    return project


@pytest.fixture(scope="module")
def machines() -> Iterator[two_machines.Machines]:
    """A cluster of two machines that is simulated on this one."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'headstart[ray]'")
    with two_machines.started() as found:
        yield found
