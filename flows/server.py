"""The Prefect server a run talks to: the user's own where one is configured, else a temporary one that ends with the run.

Prefect would start a temporary server by itself. Ours differs in three ways: it starts while other work goes on (it takes several
seconds), it does not hear the Ctrl-C meant for the run (so that the run's end can still be recorded), and it dies with us.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator

from flows import child
from headstart.errors import HeadstartError
from tasks import stage

HOME = stage.STATE / "prefect"
PATIENCE = 120.0  # seconds for the server to start; the first start makes its database


def configure() -> None:
    """Set Prefect's environment for a run from the command line. What the user has set stays. Call before prefect is imported."""
    if "PREFECT_API_URL" not in os.environ:
        os.environ.setdefault("PREFECT_HOME", str(HOME.resolve()))
    quiet = {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(int(PATIENCE)),
        # Lines of the run reach the server's log; the terminal gets them from us, without Prefect's own.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)


@contextlib.contextmanager
def given() -> Iterator[Callable[[], None]]:
    """The server that the user configured; Prefect itself says so if it does not answer."""
    yield lambda: None


def configured() -> bool:
    """Whether the environment, a profile or a settings file names a server."""
    from prefect.settings import get_current_settings

    return bool(get_current_settings().api.url)


@contextlib.contextmanager
def temporary() -> Iterator[Callable[[], None]]:
    """Start a server, and end it on the way out. Until then PREFECT_API_URL names it. Yields what waits until it answers."""
    from prefect.context import refresh_global_settings_context

    HOME.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    extra = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    arguments = ["--factory", "prefect.server.api.server:create_app", "--host", "127.0.0.1", "--port", str(port)]
    with (HOME / "server.log").open("w") as log:
        process = child.start("uvicorn", *arguments, "--log-level", "error", "--lifespan", "on", output=log, extra=extra)
    try:
        os.environ["PREFECT_API_URL"] = address = f"http://127.0.0.1:{port}/api"
        refresh_global_settings_context()  # Prefect read the environment when it was imported
        yield lambda: _wait(process, address)
    finally:
        _flush()
        child.stop(process)
        os.environ.pop("PREFECT_API_URL", None)
        refresh_global_settings_context()


def _flush(patience: float = 10.0) -> None:
    """Send what Prefect's threads still hold for the server. They would do it at exit, when the server is gone, and retry for long."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=patience)


def _wait(process: subprocess.Popen[str], address: str) -> None:
    """Return when the server answers. Raises HeadstartError if it ends or takes too long."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no business on loopback
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), opener.open(f"{address}/health", timeout=5):
            return
        time.sleep(0.1)
    raise HeadstartError(f"Prefect's temporary server did not start; see {HOME / 'server.log'}, or name one with PREFECT_API_URL")
