"""`headstart up` and `headstart down`: a Prefect server, a worker of this project, and what serves its reports.

All outlive the command. They are children of nobody, known by process id and start time in .headstart/up.json, and write to logs in
.headstart/prefect/. What
died is started again by the next `up`. The deployments are those of prefect.yaml. A project may share the server of another one; its worker
and its deployments are its own all the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flows.server import database, internals, neighbours, registration, servers
from headstart.base import outputs
from headstart.machinery import lock
from headstart.machinery.errors import BusyError, HeadstartError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

LOCK = Path(".headstart/up.lock")  # one `up` or `down` at a time
PATIENCE = 60.0  # seconds for a process to end
_SETTINGS = {
    "PREFECT_WORKER_QUERY_SECONDS": os.environ.get("PREFECT_WORKER_QUERY_SECONDS", "5"),
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",  # to the log
    "PREFECT_CLIENT_MAX_RETRIES": "5",  # over a minute in all: the server may be started again
}


def up(port: int, join: Path | None = None) -> str:
    """Start what is not running: server, work pool, deployments, worker, reports. Returns what to tell the user.

    `port` is that of a new server; with `join`, the server is that of the project in this folder. Raises HeadstartError if the port is
    taken, or something does not start; what was started by then runs on, for the next `up`.
    """
    pool = registration.pool()
    with lock.hold("headstart up", LOCK):
        state = servers.standing()
        if join is not None:
            state = neighbours.joined(state, join)
        started = _serve(state, port)
        servers.wait(state["port"], lambda: servers.alive(state["server"]), f"see {_home(state) / 'server.log'}")
        if state.get("registered") != registration.declared(state["server"]) or not servers.alive(state.get("worker")):
            servers.use(state["port"])
            with registration.client() as client:
                registration.make_pool(client, pool)
                registration.register(client, pool)
                registration.crash_zombies(client)
                if "the server" in started:
                    registration.ask_for_life(client)
                state["registered"] = registration.declared(state["server"])
                _note(state)
                if not servers.alive(state.get("worker")):
                    _work(client, state, pool)
                    started.append("the worker")
        if not servers.alive(state.get("reports")):
            with neighbours.listening(state["port"] + 1) as ear:  # from here on: nobody else takes the port, no early question is refused
                served = _start("reports", "flows.pages.reports", str(ear.fileno()), keep=(ear.fileno(),))
                state.update({"reports": served, "reports_port": ear.getsockname()[1]})
            _note(state)
    what = f"up: started {' and '.join(started)}" if started else "up already"
    shared = [f"server      that of {state['joined']}"] if "joined" in state else []
    where = [f"UI          http://127.0.0.1:{state['port']}", *shared, f"reports     http://127.0.0.1:{state['reports_port']}/"]
    return "\n".join([what, *where, f"logs        {servers.HOME}/", "stop with   headstart down"])


def down(force: bool = False) -> str:
    """Stop the worker, then the server, unless that is another project's. Returns what to tell the user.

    Raises BusyError while a flow run is running, unless `force`. With `force` the runs are ended: stages that were completed stay so, and
    the next run goes on after them.
    """
    with lock.hold("headstart down", LOCK):
        state = servers.standing()
        if servers.alive(state.get("server")) and not force:
            _refuse_busy(state)
        marks = {"worker": state.get("worker"), "server": None if "joined" in state else state.get("server")}
        stopped = [name for name, mark in marks.items() if _stop(mark)]
        _stop(state.get("reports"))
        servers.STANDING.unlink(missing_ok=True)
    return f"stopped the {' and the '.join(stopped)}" if stopped else "was not up"


def _serve(state: servers.State, port: int) -> list[str]:
    """Have the server running, and note it in the state. Returns what was started.

    Raises HeadstartError.
    """
    if "joined" in state:
        neighbours.refuse_absent(state)
        if state.get("worker_port") != state["port"]:  # the server was started anew, and listens elsewhere
            _stop(state.get("worker"))
        return []
    if servers.alive(state.get("server")):
        return []
    port = state["port"] if servers.alive(state.get("worker")) else port  # the worker waits for it, and may have a run
    neighbours.free(port)
    database.begin(servers.HOME)
    # A server that was killed as it wrote who holds a slot leaves this: should its process id be given anew, the next server would wait.
    internals.lease_lock(Path(os.environ["PREFECT_HOME"])).unlink(missing_ok=True)
    state.update({"port": port, "server": _start("server", "uvicorn", *servers.arguments(port), settings=_serving(port))})
    _note(state)
    return ["the server"]


def _work(client: SyncPrefectClient, state: servers.State, pool: str) -> None:
    """Start the worker, note it in the state, and wait until the server has heard of it.

    Raises HeadstartError.
    """
    registration.crash_unbegun(client, pool)
    name = f"{socket.gethostname()}-{pool}"
    worker = _start("worker", "flows.server.patient", "prefect", "worker", "start", "--pool", pool, "--type", "process", "--name", name)
    state.update({"worker": worker, "worker_port": state["port"]})
    _note(state)
    deadline = time.monotonic() + servers.PATIENCE
    while time.monotonic() < deadline and servers.alive(worker):
        if any(known.name == name and known.status == "ONLINE" for known in client.read_workers_for_work_pool(pool)):
            return
        time.sleep(0.2)
    raise HeadstartError(f"the worker did not start; see {servers.HOME / 'worker.log'}")


def _refuse_busy(state: servers.State) -> None:
    """Raise BusyError while flow runs have a process that `down` would end."""
    servers.use(state["port"])
    with registration.client() as client:
        running = [run.name for run in registration.busy(client, registration.pool() if "joined" in state else None)]
    if running:
        raise BusyError(
            f"still running: {', '.join(running)}; wait for the end, cancel in the UI (http://127.0.0.1:{state['port']}), "
            "or end it with --force (completed stages are kept)"
        )


def _start(name: str, module: str, *arguments: str, keep: tuple[int, ...] = (), settings: dict[str, str] | None = None) -> servers.Mark:
    """Start `python -m module` as a process of its own session; both its streams go to its log. Of our open files it has those of `keep`.

    Returns its mark.
    """
    servers.HOME.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **_SETTINGS, **(settings or {})}
    environment.pop(lock.VARIABLE, None)  # the lock of this command is not that of the runs to come
    with (servers.HOME / f"{name}.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            pass_fds=keep,
        )
    return servers.mark(process.pid)


def _stop(mark: servers.Mark | None) -> bool:
    """End a process that we started: ask, wait, then kill. False if it was gone already."""
    if not servers.alive(mark):
        return False
    assert mark is not None
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            if servers.alive(mark):
                os.kill(mark["pid"], number)
        deadline = time.monotonic() + PATIENCE
        while servers.alive(mark) and time.monotonic() < deadline:
            time.sleep(0.1)
    return True


def _note(state: servers.State) -> None:
    outputs.write_json(servers.STANDING, state)


def _home(state: servers.State) -> Path:
    """Where the server keeps its log."""
    return Path(state["joined"]) / servers.HOME if "joined" in state else servers.HOME


def _serving(port: int) -> dict[str, str]:
    """The environment of the server; the UI learns from it how to reach the API."""
    return {
        **internals.serving(temporary=False),
        "PREFECT_API_URL": servers.address(port),
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        # Who holds the only slot of a deployment: kept in memory, it would be forgotten with the server, and the run that holds it cancelled.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": internals.lease_storage(),
    }
