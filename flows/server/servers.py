"""The Prefect server that a run talks to.

It is one that the user names, else the one that `headstart up` left, else a temporary one that ends with the run. Prefect would start a
temporary server by itself. Ours differs in three ways: it starts while other work goes on (it takes several seconds), it does not hear
the Ctrl-C meant for the run (so that the run's end can still be recorded), and it dies with us.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict, cast

from flows.repository import child
from flows.server import database, internals, patient
from headstart.base import outputs
from headstart.machinery.errors import HeadstartError
from tasks import stage

HOME = stage.STATE / "prefect"
_LONGEST = 480  # bytes of its path: SQLite takes 512 for a file
STANDING = stage.STATE / "up.json"  # what `headstart up` started: the port, and the marks of its processes
LOOPBACK = ("127.0.0.1", "localhost")  # where a proxy has no business
PATIENCE = 120.0  # seconds for the server to start; the first start makes its database
DRAINING = 10.0  # seconds for what the server has still to be told at the end of a run


class Mark(TypedDict):
    """What tells a process from a later one with the same id."""

    pid: int
    born: str  # when it started, in a form that means something on this machine only


class State(TypedDict, total=False):
    """What `headstart up` noted of what it started, in up.json."""

    port: int
    server: Mark
    worker: Mark
    registered: str  # a hash of what the deployments were made from
    joined: str  # folder of the project whose server this is, if it is not this project's own
    worker_port: int  # of the server that the worker talks to
    reports: Mark  # what serves the reports of this project's runs
    reports_port: int


def configure() -> None:
    """Set Prefect's environment for a run from the command line. What the user has set stays.

    Call it before prefect is imported.
    """
    if "PREFECT_API_URL" not in os.environ or not _home_is_writable():
        os.environ.setdefault("PREFECT_HOME", str(HOME.resolve()))
    if "PREFECT_API_URL" not in os.environ:
        state = standing()
        if alive(state.get("server")):
            use(state["port"])
    quiet = {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(int(PATIENCE)),
        # Lines of the run reach the server's log; the terminal gets them from us, without Prefect's own.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # else it writes whole events to the terminal if the server has died
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # seconds; flows/server/operate.py has runs without one crashed
        "PREFECT_CLIENT_MAX_RETRIES": "2",  # somebody waits for the run to end, even if the server has died
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)


def _home_is_writable() -> bool:
    """Whether Prefect may write where it does if nothing else is said: ~/.prefect."""
    try:
        home = Path.home() / ".prefect"  # raises RuntimeError where nobody has a home
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            return True
    except (OSError, RuntimeError):  # asking for permission is not enough: root has it on what cannot be written
        return False


def chosen() -> contextlib.AbstractContextManager[Callable[[], None]]:
    """The server of a run: the configured one if it answers, else a temporary one."""
    if configured() and answers():
        return given()
    if configured():
        print(f"warning: the Prefect server at {configured()} does not answer; a temporary one keeps this run", file=sys.stderr)
    return temporary()


@contextlib.contextmanager
def given() -> Iterator[Callable[[], None]]:
    """The server that the user configured."""
    yield lambda: None


def configured() -> str | None:
    """The API of the server that the environment, a profile or a settings file names."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def answers() -> bool:
    """Whether the configured server answers, whatever it says."""
    url = f"{configured()}/health"
    direct = [urllib.request.ProxyHandler({})] if urllib.parse.urlsplit(url).hostname in LOOPBACK else []
    try:
        with urllib.request.build_opener(*direct).open(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def temporary() -> Iterator[Callable[[], None]]:
    """Start a server, and end it on the way out. Until then PREFECT_API_URL names it.

    Yields a function that waits until the server answers. Raises HeadstartError if it does not.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    _check_length()
    fresh = database.begin(HOME)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    extra = {"PREFECT_UI_ENABLED": "0", "PREFECT_HOME": str(HOME.resolve()), **internals.serving(temporary=True)}
    log = HOME / "temporary.log"
    with log.open("w") as output:
        process = child.start("uvicorn", *arguments(port), output=output, extra=extra)
    try:
        use(port)

        def ready() -> None:
            wait(port, lambda: process.poll() is None, f"see {log}, or name a server with PREFECT_API_URL")
            if fresh:
                database.keep(HOME)
            patient.install(patient.Absence(bearable=0.0))  # it does not come back, so nothing is asked twice

        yield ready
    finally:
        if process.poll() is None:
            internals.flush(DRAINING)  # at exit Prefect would do it, when the server is gone, and retry for long
        child.stop(process)
        use(None)


def _check_length() -> None:
    """Raise HeadstartError if the database of a server in this project would have too long a path for SQLite."""
    length = len(os.fsencode(HOME.resolve()))
    if length > _LONGEST:
        raise HeadstartError(
            f"the path of this project is too long for Prefect's database ({length - len(str(HOME)) - 1} bytes, {_LONGEST - len(str(HOME)) - 1} fit): "
            "move the project to a shorter path, or use `dvc repro`, which needs no server"
        )


def arguments(port: int) -> list[str]:
    """Arguments of uvicorn with which it serves Prefect on loopback."""
    application = ["--factory", internals.application(), "--log-level", "error", "--lifespan", "on"]
    return [*application, "--host", "127.0.0.1", "--port", str(port)]


def address(port: int) -> str:
    """Where Prefect's API is."""
    return f"http://127.0.0.1:{port}/api"


def use(port: int | None) -> None:
    """Have this process and its children talk to the server on this port; None: to none."""
    if port is None:
        os.environ.pop("PREFECT_API_URL", None)
    else:
        os.environ["PREFECT_API_URL"] = address(port)
    if "prefect" in sys.modules:
        internals.reread_settings()


def own() -> None:
    """Configure Prefect for the server of this checkout, whatever other one is configured.

    Call it before prefect is imported.
    """
    use(None)
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "5")  # over a minute in all: a server that has just started may be busy for long
    configure()


def standing(folder: Path = Path()) -> State:
    """What `headstart up` noted in a project. Empty if nothing was started.

    Of a server that the project shares it is what that server's own project noted.
    """
    state = cast(State, outputs.read_object(folder / STANDING))
    if "joined" not in state:
        return state
    theirs = cast(State, outputs.read_object(Path(state["joined"]) / STANDING))
    mine = {name: value for name, value in state.items() if name not in ("port", "server")}
    return cast(State, {**mine, **{name: value for name, value in theirs.items() if name in ("port", "server")}})


def reports() -> str:
    """Where the reports of this project's runs are served, with a slash at its end; "" if they are not."""
    state = standing()
    return f"http://127.0.0.1:{state['reports_port']}/" if alive(state.get("reports")) else ""


def mark(pid: int) -> Mark:
    """The mark of the process that has this id now."""
    return {"pid": pid, "born": _born(pid)}


def alive(marked: Mark | None) -> bool:
    """Whether a marked process runs: this very one, not another that has its id now."""
    return marked is not None and child.alive(marked["pid"]) and _born(marked["pid"]) == marked["born"]


def _born(pid: int) -> str:
    """When a process started; "" if there is none."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]  # in clock ticks since the machine started
        except OSError:
            return ""
    return subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()


def wait(port: int, lives: Callable[[], bool], remedy: str) -> None:
    """Return when the server answers. Raises HeadstartError if it ends or takes too long."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and lives():
        with contextlib.suppress(OSError), opener.open(f"{address(port)}/health", timeout=5):
            return
        time.sleep(0.1)
    raise HeadstartError(f"Prefect's server did not start; {remedy}")
