"""What the server has to know: a project's work pool and deployments, and when a run has crashed."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flows.repository import child
from flows.server import internals, servers
from headstart.base.code import fingerprint
from headstart.machinery.errors import HeadstartError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

DECLARED = Path("prefect.yaml")
ZOMBIES = "headstart: crash runs without a heartbeat"
UNHEARD = 90  # seconds without a heartbeat (one every 30) after which a run counts as crashed
_OWNER = "Made by `headstart up` for the project in "
_RETIRED = ("on-demand", "nightly")  # what deployments were called before they were named by their project


@contextlib.contextmanager
def client() -> Iterator[SyncPrefectClient]:
    """A client of the server that the environment names."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as made:
        yield made


def pool() -> str:
    """The name of this project's work pool, which is that of the project: as prefect.yaml gives it.

    Raises HeadstartError.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        return str(YAML(typ="safe").load(DECLARED.read_text(encoding="utf-8"))["deployments"][0]["work_pool"]["name"])
    except FileNotFoundError:
        raise HeadstartError(f"there is no {DECLARED} here, which declares the deployments; get it back from git") from None
    except (YAMLError, UnicodeDecodeError, LookupError, TypeError) as error:
        raise HeadstartError(f"{DECLARED} declares no deployment with a work pool ({error})") from None


def declared(server: servers.Mark) -> str:
    """A hash of what deployments are made from, prefect.yaml and code, and of the server's process."""
    code = fingerprint("flows.pipeline.deployments", "flows.forms", "headstart.params")
    return hashlib.sha256(DECLARED.read_bytes() + code.encode() + repr(sorted(server.items())).encode()).hexdigest()


def make_pool(server: SyncPrefectClient, name: str) -> None:
    """Make the work pool if it is missing, and have its runs started through flows/server/patient.py.

    Raises HeadstartError if another project has it: one of that name, on a server that both share.
    """
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectNotFound
    from prefect.utilities.processutils import command_to_string
    from prefect.workers.process import ProcessWorker

    command = command_to_string([sys.executable, "-m", "flows.server.patient", internals.ENGINE])
    description = f"{_OWNER}{Path.cwd()}"
    try:
        known = server.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        template["variables"]["properties"]["command"]["default"] = command
        server.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template, description=description))
        return
    owner = Path((known.description or "").removeprefix(_OWNER))
    if known.description and known.description.startswith(_OWNER) and owner != Path.cwd() and (owner / DECLARED).exists():
        raise HeadstartError(
            f"the project in {owner}, which this server knows, is called {name} too, and its deployments would become ours; "
            f"give this one another name: replace {name} in {DECLARED}"
        )
    template = known.base_job_template
    if template["variables"]["properties"]["command"].get("default") != command or known.description != description:
        template["variables"]["properties"]["command"]["default"] = command
        server.update_work_pool(name, WorkPoolUpdate(base_job_template=template, description=description))


def register(server: SyncPrefectClient, name: str) -> None:
    """Register the deployments of prefect.yaml, of the project `name`.

    Whether a schedule was switched on in the UI stays as it was.

    Raises HeadstartError with what Prefect says if that fails.
    """
    known = {f"{name}-{d.name}" if d.name in _RETIRED and d.work_pool_name == name else d.name: d for d in server.read_deployments()}
    before = {(called, s.slug): s.active for called, d in known.items() for s in d.schedules}
    process = child.start("prefect", "--no-prompt", "deploy", "--all", output=subprocess.PIPE)
    try:
        said, _ = process.communicate(timeout=300)
    finally:
        child.stop(process)
    if process.returncode:
        raise HeadstartError(f"`prefect --no-prompt deploy --all` failed; it said:\n{said.strip()}")
    for deployment in server.read_deployments():
        if deployment.name in _RETIRED and deployment.work_pool_name == name:
            server.delete_deployment(deployment.id)
            continue
        for schedule in deployment.schedules:
            wanted = before.get((deployment.name, schedule.slug), schedule.active)
            if wanted != schedule.active:
                server.update_deployment_schedule(deployment.id, schedule.id, active=wanted)


def crash_zombies(server: SyncPrefectClient) -> None:
    """Have the server call a run crashed whose heartbeat stops.

    Its process is gone, and nobody was left to say so.
    """
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.states import StateType

    if server.read_automations_by_name(ZOMBIES):
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
    server.create_automation(AutomationCore(name=ZOMBIES, description=description, trigger=trigger, actions=[crash]))


def ask_for_life(server: SyncPrefectClient) -> None:
    """Have the runs that an earlier server left as running crash too, unless they are heard of.

    They may have died with it. A heartbeat in their name starts the clock of `crash_zombies`; the server that got their own is gone.
    """
    _beat(server, [(str(run.id), run.name) for run in busy(server)])


def be_heard() -> None:
    """Have the server hear of this flow run before it begins to work.

    Its own heartbeats go out beside its work: one that is killed before the first would be called running for good.
    """
    import httpx
    from prefect import get_client, runtime

    with contextlib.suppress(httpx.HTTPError), get_client(sync_client=True) as server:
        _beat(server, [(str(runtime.flow_run.id), str(runtime.flow_run.name))])


def _beat(server: SyncPrefectClient, runs: list[tuple[str, str]]) -> None:
    """A heartbeat in the name of each flow run, given by its id and its name."""
    from prefect.events import Event

    beats = [
        Event(
            event="prefect.flow-run.heartbeat",
            resource={"prefect.resource.id": f"prefect.flow-run.{number}", "prefect.resource.name": name},  # type: ignore[arg-type]
        )
        for number, name in runs
    ]
    if beats:
        server.request("POST", "/events", json=[beat.model_dump(mode="json") for beat in beats])


def crash_unbegun(server: SyncPrefectClient, pool: str) -> None:
    """Have the runs crash that a worker of a pool, now dead, had taken and not begun.

    They have no heartbeat to be missed, and the next run of their deployment would wait for them.
    """
    from prefect.states import Crashed

    for run in _runs(server, "PENDING", pool=pool):
        server.set_flow_run_state(run.id, Crashed(message="its worker died before it began"))


def busy(server: SyncPrefectClient, pool: str | None = None) -> list[FlowRun]:
    """The flow runs that have a process, or are about to get one: all, or those of a work pool."""
    return _runs(server, "RUNNING", "PENDING", "CANCELLING", pool=pool)


def _runs(server: SyncPrefectClient, *states: str, pool: str | None = None) -> list[FlowRun]:
    """The flow runs in a state of one of these types."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        WorkPoolFilter,
        WorkPoolFilterName,
    )
    from prefect.client.schemas.objects import StateType

    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType(state) for state in states])))
    pools = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])) if pool else None
    return server.read_flow_runs(flow_run_filter=wanted, work_pool_filter=pools)
