"""`headstart up`, its deployments and `headstart down`, on a project with trivial stages: a real server and a real worker on loopback.

The tests of this file share one server and one project.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from benchmarks import chaos
from flows.projects import generate
from flows.server import neighbours, registration
from flows.server import servers as servers_module
from headstart import params
from headstart.base import outputs
from headstart.machinery import lock
from headstart.machinery.errors import HeadstartError
from headstart.params import STAGES
from tests import PATIENCE, ROOT
from tests.conftest import with_database
from tests.flows.cli.test_main import left
from tests.tasks.test_stage import gone

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

Found = TypeVar("Found")
DEPLOYED = ["develop/headstart-develop", "predict/headstart-predict", "transfer/headstart-nightly", "transfer/headstart-transfer"]
FINISHED = ("Completed", "Failed", "Crashed", "Cancelled")


class Project:
    """A toy project with a server and a worker of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def headstart(self, *arguments: str, expect: int = 0) -> str:
        """What a `headstart` command prints, with the environment of a user who has configured nothing."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_") and name != lock.VARIABLE}
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli.main", *arguments],
            cwd=self.folder,
            env={**environment, "PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def state(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / servers_module.STANDING).read_text())
        return content

    def client(self) -> SyncPrefectClient:
        from prefect.client.orchestration import SyncPrefectClient

        return SyncPrefectClient(servers_module.address(self.state["port"]))

    def start(self, deployment: str, **parameters: Any) -> FlowRun:
        """A new run of a deployment, asked for as the UI asks for it."""
        with self.client() as client:
            return client.create_flow_run_from_deployment(client.read_deployment_by_name(deployment).id, parameters=parameters)

    def scheduled(self, deployment: str) -> FlowRun:
        """A run that the server itself makes as a schedule says, which is given as the UI gives it, and taken away when the run is on its way."""
        from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
        from prefect.client.schemas.schedules import IntervalSchedule

        with self.client() as client:
            known = client.read_deployment_by_name(deployment).id
            soon = datetime.now(UTC) + timedelta(seconds=5)
            again = timedelta(seconds=30)  # should this machine be so busy that the server misses the first
            added = client.create_deployment_schedules(known, [(IntervalSchedule(interval=again, anchor_date=soon), True)])
            try:

                def begun() -> FlowRun | None:
                    runs = client.read_flow_runs(deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[known])))
                    return next((run for run in runs if run.auto_scheduled and run.state and not run.state.is_scheduled()), None)

                return until(begun, f"a scheduled run of {deployment}")
            finally:
                client.delete_deployment_schedule(known, added[0].id)

    def end(self, run: FlowRun) -> FlowRun:
        """The run when it has ended."""
        with self.client() as client:

            def ended() -> FlowRun | None:
                now = client.read_flow_run(run.id)
                return now if now.state and now.state.is_final() else None

            return until(ended, f"the end of {run.name}")

    def log(self, run: FlowRun) -> list[str]:
        from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

        with self.client() as client:
            return [log.message for log in client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])))]

    def stages(self, run: FlowRun) -> dict[str, str]:
        """The names of the states of the stages."""
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        def told() -> dict[str, str] | None:  # states of tasks reach the server a little later than those of the flow
            with self.client() as client:
                tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
            names = {task.name.rpartition("-")[0]: task.state.name or "" for task in tasks if task.state}
            return names if names and set(names.values()) <= {"Cached", *FINISHED} else None

        return until(told, f"the states of the stages of {run.name}")

    def sleeping(self) -> tuple[FlowRun, int]:
        """A run in its first stage, which sleeps, and the process of the stage."""
        started = self.folder / "started"
        started.unlink(missing_ok=True)
        (self.folder / "index_images.sleeps").write_text(str(2 * PATIENCE))
        (self.folder / f"data/images/a/{time.time_ns()}.txt").write_text("new")
        run = self.start("transfer/headstart-transfer")

        def begun() -> int | None:
            return int(started.read_text() or 0) if started.exists() else None

        pid = until(begun, "a stage to begin")
        (self.folder / "index_images.sleeps").unlink()
        return run, pid


def until(found: Callable[[], Found | None], what: str) -> Found:
    """What `found` gives as soon as it is something. Fails where that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.2)
    raise AssertionError(f"waited in vain for {what}")


@pytest.fixture(scope="module")
def project(_toy_template: Path, prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A committed toy project that is up; down afterwards, with nothing left. Only its first stage is a stage of Python."""
    folder = tmp_path_factory.mktemp("operate") / "project"
    shutil.copytree(_toy_template, folder)
    shutil.copy(ROOT / "prefect.yaml", folder)
    graph = folder / "dvc.yaml"
    first, rest = graph.read_text().split("  validate_data:\n")
    graph.write_text(f"{first}  validate_data:\n{re.sub(r'python toy_stage.py [a-z_]+', 'cp', rest)}")
    with_database(folder / ".headstart", prefect_database)
    (folder / ".gitignore").write_text("/.headstart/\n/data/images/\n/out/\n/started\n*.sleeps\n")
    for command in (("add", "--all"), ("commit", "--quiet", "--message", "Begin")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    project = Project(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        said = project.headstart("up", "--port", str(port))
        assert "up: started the server and the worker" in said
        assert f"http://127.0.0.1:{port}" in said
        assert f"reports     http://127.0.0.1:{project.state['reports_port']}/" in said
        yield project
        if (folder / servers_module.STANDING).exists():
            assert project.headstart("down", "--force").splitlines()[-1] == "stopped the worker and the server"
    finally:
        with contextlib.chdir(folder):
            for name in ("worker", "server", "reports"):
                if servers_module.alive(mark := servers_module.standing().get(name)):
                    os.kill(mark["pid"], signal.SIGKILL)
    assert left(folder / ".headstart/prefect") == []


def test_the_deployments_are_there_and_the_schedule_is_off(project: Project) -> None:
    with project.client() as client:
        found = {f"{client.read_flow(d.flow_id).name}/{d.name}": d for d in client.read_deployments()}
        pool = client.read_work_pool("headstart")
    assert sorted(found) == DEPLOYED
    assert pool.type == "process"
    nightly = found.pop("transfer/headstart-nightly")
    assert [(s.slug, s.active) for s in nightly.schedules] == [("nightly", False)]
    assert nightly.parameters == {"start_from": "committed", "inbox": "inbox", "promote": True}
    for deployment in found.values():
        assert deployment.schedules == []
        assert deployment.parameters == {}
    assert str(project.folder) not in (ROOT / "prefect.yaml").read_text()


def test_the_reports_are_served(project: Project) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{project.state['reports_port']}/", timeout=20) as reply:
        assert f"Reports of {project.folder.name}" in reply.read().decode()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fine_tune": {"epochs": 0}}, "parameters.fine_tune.epochs.*0 is less than the minimum of 1"),
        ({"fine_tune": {"strategy": "wild"}}, "'wild' is not one of .*'last_stages'"),
        ({"fine_tune": {"epoch": 3}}, "parameters.fine_tune.*'epoch' was unexpected"),
        ({"seed": "many"}, "'many' is not"),
    ],
)
def test_wrong_values_are_refused_when_they_are_submitted(project: Project, given: dict[str, Any], message: str) -> None:
    from prefect.exceptions import PrefectHTTPStatusError

    with pytest.raises(PrefectHTTPStatusError, match=message) as refused:
        project.start("transfer/headstart-transfer", parameters=given)
    assert refused.value.response.status_code == 409


def test_values_of_a_form_are_for_one_run(project: Project) -> None:
    """The run has them, and can be repeated; a scheduled run has neither them nor an edit that is not committed."""
    path = project.folder / "params.yaml"
    before = path.read_text()
    run = project.end(project.start("transfer/headstart-transfer", parameters={"report": {"mistakes": 3}, "fine_tune": {"epochs": None}}))
    assert run.state is not None
    assert run.state.name == "Completed", project.log(run)
    version = (project.folder / "data/images.dvc").read_text().split("md5: ")[1][:8]
    assert run.name.startswith(f"{version}-")
    assert project.stages(run) == dict.fromkeys(STAGES, "Completed")
    assert "report.mistakes: 24 -> 3 (for this run)" in project.log(run)
    assert path.read_text() == before.replace("mistakes: 24", "mistakes: 3")
    status = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"], cwd=project.folder, capture_output=True, text=True, check=True
    )
    assert status.stdout.strip() == "{}", "`dvc repro` alone repeats the run"
    with project.client() as client:
        found = client.request("POST", "/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [str(run.id)]}}}).json()
    assert "| report | ran |" in {artifact["key"]: artifact for artifact in found}["summary"]["data"]

    edited = path.read_text().replace("seed: 0", "seed: 5")
    path.write_text(edited)
    run = project.end(project.scheduled("transfer/headstart-nightly"))
    assert run.parameters == {"start_from": "committed", "inbox": "inbox", "promote": True}
    log = project.log(run)
    assert project.stages(run) == {**dict.fromkeys(STAGES, "Cached"), "report": "Completed"}, log
    assert any("report.mistakes: 3 -> 24 (taken back" in line for line in log)
    assert any("differs from the committed one, which is used" in line and "seed: 5 -> 0" in line for line in log)
    assert path.read_text() == edited.replace("mistakes: 3", "mistakes: 24"), "what a person wrote is back"
    path.write_text(before)


def test_cancel_stops_the_stage_and_down_waits_for_the_end(project: Project) -> None:
    from prefect.states import Cancelling

    run, pid = project.sleeping()
    assert "still running" in project.headstart("down", expect=4)
    with project.client() as client:
        client.set_flow_run_state(run.id, Cancelling())
    until(lambda: gone(pid), "the end of the stage, which is not by itself: that takes twenty minutes")
    run = project.end(run)
    assert run.state is not None
    assert run.state.name == "Cancelled"
    assert not (project.folder / "out/index_images.txt").exists(), "no output of a stage that did not end"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.folder)
        until(free, "the end of the flow's process, which comes after the state")
        assert params.load().report.mistakes == 24


def free() -> bool:
    """Whether nobody holds the run lock of this folder."""
    try:
        with lock.hold("test"):
            return True
    except HeadstartError:
        return False


def test_a_killed_flow_crashes_and_takes_its_stage_along(project: Project) -> None:
    run, pid = project.sleeping()
    os.kill(flow_of(pid), signal.SIGKILL)
    run = project.end(run)
    assert run.state is not None
    assert run.state.name == "Crashed"
    until(lambda: gone(pid), "the end of the stage")


def flow_of(stage: int) -> int:
    """The process of the flow above a stage: stage, shell or none, dvc, flow."""
    pid = stage
    while b"prefect.engine" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        assert pid > 1
    return pid


def test_a_killed_worker_ends_its_run_and_up_repairs(project: Project) -> None:
    """A run that it had taken and not begun crashes too.

    A schedule that was switched on meanwhile stays on, though the deployments are registered anew.
    """
    from prefect.states import Pending

    run, pid = project.sleeping()
    with project.client() as client:
        nightly = client.read_deployment_by_name("transfer/headstart-nightly")
        client.update_deployment_schedule(nightly.id, nightly.schedules[0].id, active=True)
    os.kill(project.state["worker"]["pid"], signal.SIGKILL)
    run = project.end(run)
    assert run.state is not None
    assert run.state.name == "Crashed"
    until(lambda: gone(pid), "the end of the stage")
    with (project.folder / "prefect.yaml").open("a") as file:
        file.write("# changed\n")
    before = project.state
    taken = project.start("transfer/headstart-transfer")
    with project.client() as client:
        client.set_flow_run_state(taken.id, Pending())  # as a worker does that takes a run, and then dies
    assert "up: started the worker" in project.headstart("up")
    crashed = project.end(taken).state
    assert crashed is not None
    assert (crashed.name, crashed.message) == ("Crashed", "its worker died before it began")
    assert project.state["server"] == before["server"]
    assert project.state["worker"] != before["worker"]
    with project.client() as client:
        assert [s.active for s in client.read_deployment_by_name("transfer/headstart-nightly").schedules] == [True]
    assert "up already" in project.headstart("up")


def test_a_run_completes_though_the_server_dies_as_it_begins(project: Project) -> None:
    """Its process asks again until the server is back, which still knows that the run has the only slot of its deployment."""
    run = project.start("transfer/headstart-transfer")
    until(lambda: "flow" in chaos.working(project.folder.resolve()).values(), "a process of the run")
    os.kill(project.state["server"]["pid"], signal.SIGKILL)
    assert "up: started the server\n" in project.headstart("up")
    run = project.end(run)
    assert run.state is not None
    assert run.state.name == "Completed", project.log(run)


def test_the_clock_runs_for_what_an_earlier_server_left_as_running(project: Project) -> None:
    from prefect import flow
    from prefect.states import Completed, Running

    with project.client() as client:
        run = client.create_flow_run(flow(len, name="left"), state=Running())
        registration.ask_for_life(client)
        resource = {"id": [f"prefect.flow-run.{run.id}"]}
        wanted = {"filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": resource}}
        until(lambda: client.request("POST", "/events/filter", json=wanted).json()["total"], "a heartbeat")
        client.set_flow_run_state(run.id, Completed())


def test_a_run_by_hand_talks_to_this_server_while_it_lives(project: Project) -> None:
    told = "from flows.server import servers; import os; servers.configure(); print(os.environ.get('PREFECT_API_URL'))"

    def address() -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        command = [sys.executable, "-c", told]
        return subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    assert address() == servers_module.address(project.state["port"])
    state = project.state
    try:
        outputs.write_json(project.folder / servers_module.STANDING, {**state, "server": {**state["server"], "born": "another process"}})
        assert address() == "None"
    finally:
        outputs.write_json(project.folder / servers_module.STANDING, state)


def test_a_second_project_shares_the_server(project: Project, toy_project: Path) -> None:
    """Deployments, worker and runs are its own; the server stays when it is down."""
    folder, port = toy_project, project.state["port"]
    (folder / "prefect.yaml").write_text(generate.deployments("beans"))
    second = Project(folder)
    said = second.headstart("up", "--port", str(port), expect=1)
    assert f"taken by the Prefect server of the project {project.folder}; share it with `headstart up --join {project.folder}`" in said
    before = sorted(path for path in project.folder.rglob("*") if ".headstart" not in path.parts)
    said = second.headstart("up", "--join", str(project.folder))
    assert "up: started the worker\n" in said
    assert f"server      that of {project.folder}" in said
    try:
        with project.client() as client:
            found = {f"{client.read_flow(d.flow_id).name}/{d.name}" for d in client.read_deployments()}
        assert found == {*DEPLOYED, *(name.replace("headstart", "beans") for name in DEPLOYED)}
        run = project.end(project.start("transfer/beans-transfer"))
        assert run.state is not None
        assert run.state.name == "Completed", project.log(run)
        assert (folder / "dvc.lock").exists()
        assert before == sorted(path for path in project.folder.rglob("*") if ".headstart" not in path.parts)
        assert "up already" in second.headstart("up")
    finally:
        assert second.headstart("down").splitlines()[-1] == "stopped the worker"
    assert "up already" in project.headstart("up")


def test_two_projects_of_one_name_do_not_take_each_others_deployments(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with project.client() as client:
        with pytest.raises(
            HeadstartError, match=f"the project in {project.folder}.* is called headstart too.* replace headstart in prefect.yaml"
        ):
            registration.make_pool(client, "headstart")
        registration.make_pool(client, "mine")
        (tmp_path / "moved").mkdir()
        monkeypatch.chdir(tmp_path / "moved")  # as if the folder had been renamed: what it was has no prefect.yaml
        registration.make_pool(client, "mine")
        assert client.read_work_pool("mine").description == f"Made by `headstart up` for the project in {tmp_path / 'moved'}"


def test_deployments_of_an_older_version_go_and_their_schedule_stays_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("PREFECT_API_URL", servers_module.address(project.state["port"]))
    off = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 2 * * *"), active=True, slug="nightly")
    with project.client() as client:
        now = client.read_deployment_by_name("transfer/headstart-nightly")
        client.update_deployment_schedule(now.id, now.schedules[0].id, active=False)
        client.delete_deployment(now.id)  # which an older version did not know
        client.create_deployment(now.flow_id, "nightly", work_pool_name="headstart", schedules=[off])
        registration.register(client, "headstart")
        found = {f"{client.read_flow(d.flow_id).name}/{d.name}": d for d in client.read_deployments()}
        assert set(DEPLOYED) <= set(found)
        assert not {"transfer/nightly", "transfer/on-demand"} & set(found)
        assert [s.active for s in found["transfer/headstart-nightly"].schedules] == [True]


def test_a_server_that_is_not_up_cannot_be_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other"
    with pytest.raises(HeadstartError, match=r"no Prefect server is up in .*other: `headstart up` there first"):
        neighbours.joined({}, other)
    me = servers_module.mark(os.getpid())
    outputs.write_json(other / servers_module.STANDING, {"port": 1, "server": me})
    assert neighbours.joined({}, other) == {"joined": str(other), "port": 1, "server": me}
    with pytest.raises(HeadstartError, match="has a server already, on port 2"):
        neighbours.joined({"port": 2, "server": me}, other)
    with pytest.raises(HeadstartError, match="of this very project"):
        neighbours.joined({}, tmp_path)
    outputs.write_json(servers_module.STANDING, {"joined": str(other), "port": 3, "worker": me})
    assert servers_module.standing() == {"joined": str(other), "port": 1, "server": me, "worker": me}, "where it is now"
    (other / servers_module.STANDING).unlink()
    with pytest.raises(HeadstartError, match=r"of .*other, which this project shares, is not up"):
        neighbours.refuse_absent(servers_module.standing())


def test_down_where_nothing_is_up(toy_project: Path) -> None:
    assert Project(toy_project).headstart("down").splitlines()[-1] == "was not up"


def test_a_port_that_is_taken_is_named(toy_project: Path) -> None:
    shutil.copy(ROOT / "prefect.yaml", toy_project)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"port {port} of 127.0.0.1 is taken" in Project(toy_project).headstart("up", "--port", str(port), expect=1)
    assert not servers_module.STANDING.exists()
