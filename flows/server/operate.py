"""`headstart up` and `headstart down`: a Prefect server and a worker of this checkout, as processes that outlive the command.

Both are children of nobody, known by process id and start time in .headstart/up.json, and write to logs in .headstart/prefect/. What
died is started again by the next `up`. The deployments are those of prefect.yaml.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.repository import child
from flows.server import servers
from headstart.base import outputs
from headstart.base.code import fingerprint
from headstart.machinery import lock
from headstart.machinery.errors import BusyError, HeadstartError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun


POOL = "headstart"
DECLARED = Path("prefect.yaml")
LOCK = Path(".headstart/up.lock")  # one `up` or `down` at a time
PATIENCE = 60.0  # seconds for a process to end
ZOMBIES = "headstart: crash runs without a heartbeat"
_SETTINGS = {
    "PREFECT_WORKER_QUERY_SECONDS": os.environ.get("PREFECT_WORKER_QUERY_SECONDS", "5"),
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",  # to the log
    "PREFECT_CLIENT_MAX_RETRIES": "5",  # over a minute in all: the server may be started again
}
UNHEARD = 90  # seconds without a heartbeat (one every 30) after which a run counts as crashed


def up(port: int) -> str:
    """Start what is not running: server, work pool, deployments, worker. Returns what to tell the user.

    Raises HeadstartError where the port is taken, or something does not start; what was started by then runs on, for the next `up`.
    """
    if not DECLARED.exists():
        raise HeadstartError(f"there is no {DECLARED} here, which declares the deployments; get it back from git")
    with lock.hold("headstart up", LOCK):
        state, started = servers.standing(), []
        if not servers.alive(state.get("server")):
            port = state["port"] if servers.alive(state.get("worker")) else port  # the worker waits for it, and may have a run
            _free(port)
            _unlock_leases()
            state |= {"port": port, "server": _start("server", "uvicorn", *servers.arguments(port), **_serving(port)), "registered": ""}
            _note(state)
            started.append("the server")
        port = state["port"]
        servers.wait(port, lambda: servers.alive(state["server"]), f"see {servers.HOME / 'server.log'}")
        if state.get("registered") != _declared() or not servers.alive(state.get("worker")):
            servers.use(port)
            with _client() as client:
                _pool(client)
                _register(client)
                _crash_zombies(client)
                if "the server" in started:
                    _ask_for_life(client)
                state["registered"] = _declared()
                _note(state)
                if not servers.alive(state.get("worker")):
                    _crash_unbegun(client)
                    name = f"{socket.gethostname()}-{port}"
                    worker = ("prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", name)
                    state["worker"] = _start("worker", "flows.server.patient", *worker)
                    _note(state)
                    started.append("the worker")
                    _wait_for_worker(client, name, state["worker"])
    what = f"up: started {' and '.join(started)}" if started else "up already"
    return "\n".join([what, f"UI          http://127.0.0.1:{port}", f"logs        {servers.HOME}/", "stop with   headstart down"])


def down(force: bool = False) -> str:
    """Stop the worker, then the server. Returns what to tell the user. Raises BusyError while a flow run is running, unless `force`.

    With `force` the runs are ended: stages that were completed stay so, and the next run goes on after them.
    """
    with lock.hold("headstart down", LOCK):
        state = servers.standing()
        if servers.alive(state.get("server")):
            servers.use(state["port"])
            running = [] if force else _running()
            if running:
                raise BusyError(
                    f"still running: {', '.join(running)}; wait for the end, cancel in the UI (http://127.0.0.1:{state['port']}), "
                    "or end it with --force (completed stages are kept)"
                )
        marks = {"worker": state.get("worker"), "server": state.get("server")}
        stopped = [name for name, mark in marks.items() if _stop(mark)]
        servers.STANDING.unlink(missing_ok=True)
    return f"stopped the {' and the '.join(stopped)}" if stopped else "was not up"


def _start(name: str, module: str, *arguments: str, **extra: str) -> servers.Mark:
    """Start `python -m module` as a process of its own session; both its streams go to its log. Returns its mark."""
    servers.HOME.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **_SETTINGS, **extra}
    environment.pop(lock.VARIABLE, None)  # the lock of this command is not that of the runs to come
    with (servers.HOME / f"{name}.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    return servers.mark(process.pid)


def _stop(mark: servers.Mark | None) -> bool:
    """End a process that we started: ask, wait, then kill. False if it was gone already."""
    if not servers.alive(mark):
        return False
    assert mark is not None
    with contextlib.suppress(ProcessLookupError):
        os.kill(mark["pid"], signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while servers.alive(mark) and time.monotonic() < deadline:
            time.sleep(0.1)
        if servers.alive(mark):
            os.kill(mark["pid"], signal.SIGKILL)
    return True


def _note(state: servers.State) -> None:
    outputs.write_json(servers.STANDING, state)


def _serving(port: int) -> dict[str, str]:
    """The environment of the server; it tells the UI where the API is."""
    return {
        "PREFECT__SERVER_FINAL": "1",
        "PREFECT_API_URL": servers.address(port),
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        # Who holds the only slot of a deployment: kept in memory, it would be forgotten with the server, and the run that holds it cancelled.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }


def _free(port: int) -> None:
    """Raise HeadstartError if somebody listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a server that has just ended do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise HeadstartError(
                f"port {port} of 127.0.0.1 is taken by another program ({error.strerror}); give another one with --port, "
                "or name the Prefect server that listens there with PREFECT_API_URL and start a worker of its own"
            ) from None


def _unlock_leases() -> None:
    """Take away the lock file of a server that was killed as it wrote who holds a slot: should its process id be given anew, the next would wait."""
    (Path(os.environ["PREFECT_HOME"]) / "concurrency_leases/expirations.lock").unlink(missing_ok=True)


@contextlib.contextmanager
def _client() -> Iterator[SyncPrefectClient]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield client


def _pool(client: SyncPrefectClient) -> None:
    """Make the work pool where it is missing, and have its runs started as ours are: patient (flows/server/patient.py)."""
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectNotFound
    from prefect.utilities.processutils import command_to_string
    from prefect.workers.process import ProcessWorker

    command = command_to_string([sys.executable, "-m", "flows.server.patient", "prefect.engine"])
    try:
        template = client.read_work_pool(POOL).base_job_template
        if template["variables"]["properties"]["command"].get("default") != command:
            template["variables"]["properties"]["command"]["default"] = command
            client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=template))
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        template["variables"]["properties"]["command"]["default"] = command
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))


def _declared() -> str:
    """A hash of what the deployments are made from: prefect.yaml and the code of their forms."""
    code = fingerprint("flows.pipeline.deployments", "flows.forms", "headstart.params")
    return hashlib.sha256(DECLARED.read_bytes() + code.encode()).hexdigest()


def _register(client: SyncPrefectClient) -> None:
    """Register the deployments of prefect.yaml; a schedule that was switched on or off in the UI stays so."""
    before = {(d.name, s.slug): s.active for d in client.read_deployments() for s in d.schedules}
    process = child.start("prefect", "--no-prompt", "deploy", "--all", output=subprocess.PIPE)
    try:
        said, _ = process.communicate(timeout=300)
    finally:
        child.stop(process)
    if process.returncode:
        raise HeadstartError(f"`prefect --no-prompt deploy --all` failed; it said:\n{said.strip()}")
    for deployment in client.read_deployments():
        for schedule in deployment.schedules:
            wanted = before.get((deployment.name, schedule.slug), schedule.active)
            if wanted != schedule.active:
                client.update_deployment_schedule(deployment.id, schedule.id, active=wanted)


def _crash_zombies(client: SyncPrefectClient) -> None:
    """Have the server call a run crashed whose heartbeat stops: its process is gone, and nobody was left to say so."""
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.states import StateType

    if client.read_automations_by_name(ZOMBIES):
        return
    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *ends},
        match={"prefect.resource.id": "prefect.flow-run.*"},  # type: ignore[arg-type]
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=UNHEARD),
    )
    crash = ChangeFlowRunState(state=StateType.CRASHED, message=f"nothing was heard of it for {UNHEARD} seconds")
    description = "Made by `headstart up`: a run whose process is gone crashes after a while."
    client.create_automation(AutomationCore(name=ZOMBIES, description=description, trigger=trigger, actions=[crash]))


def _ask_for_life(client: SyncPrefectClient) -> None:
    """Have the runs that an earlier server left as running crash too, unless they are heard of: it may have died with them.

    A heartbeat in their name starts the clock of `_crash_zombies`; the server that got their own is gone.
    """
    from prefect.events import Event

    beats = [
        Event(
            event="prefect.flow-run.heartbeat",
            resource={"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.name": run.name},  # type: ignore[arg-type]
        )
        for run in _busy(client)
    ]
    if beats:
        client.request("POST", "/events", json=[beat.model_dump(mode="json") for beat in beats])


def _crash_unbegun(client: SyncPrefectClient) -> None:
    """Have the runs crash that a worker, now dead, had taken and not begun.

    They have no heartbeat to be missed, and the next run of their deployment would wait for them.
    """
    from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
    from prefect.states import Crashed

    for run in _runs(client, "PENDING", work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))):
        client.set_flow_run_state(run.id, Crashed(message="its worker died before it began"))


def _wait_for_worker(client: SyncPrefectClient, name: str, mark: servers.Mark) -> None:
    """Return when the worker has reported to the server. Raises HeadstartError if it ends or takes too long."""
    deadline = time.monotonic() + servers.PATIENCE
    while time.monotonic() < deadline and servers.alive(mark):
        workers = client.read_workers_for_work_pool(POOL)
        if any(worker.name == name and worker.status == "ONLINE" for worker in workers):
            return
        time.sleep(0.2)
    raise HeadstartError(f"the worker did not start; see {servers.HOME / 'worker.log'}")


def _running() -> list[str]:
    """The names of the flow runs that have a process, or are about to get one."""
    with _client() as client:
        return [run.name for run in _busy(client)]


def _busy(client: SyncPrefectClient) -> list[FlowRun]:
    """The flow runs that have a process, or are about to get one, as far as the server knows."""
    return _runs(client, "RUNNING", "PENDING", "CANCELLING")


def _runs(client: SyncPrefectClient, *states: str, **filters: Any) -> list[FlowRun]:
    """The flow runs in a state of one of these types."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType

    wanted = FlowRunFilterStateType(any_=[StateType(state) for state in states])
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=wanted)), **filters)
