"""The flow, against a real Prefect server and real dvc, on a project with trivial stages."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flows.projects import images
from headstart.machinery import lock
from headstart.machinery.errors import BusyError, DataError, ParamsError
from headstart.params import STAGES
from tests.conftest import chain

pytestmark = pytest.mark.usefixtures("prefect_server")


def transfer(**arguments: Any) -> dict[str, str]:
    from flows.pipeline import transfer as transfer_flow

    return {outcome["stage"]: outcome["outcome"] for outcome in transfer_flow.transfer(**arguments)}


def only(stages: Sequence[str], patch: pytest.MonkeyPatch) -> None:
    """Have the flow, and dvc.yaml, of these stages alone."""
    from flows.pipeline import transfer as transfer_flow

    patch.setattr(transfer_flow, "TASKS", {name: transfer_flow.TASKS[name] for name in stages})
    chain(Path(), stages)


@pytest.fixture
def short_project(toy_project: Path, forked_dvc: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy project and a flow, of two stages."""
    only(STAGES[:2], monkeypatch)
    return toy_project


def dvc_says(*arguments: str) -> str:
    """What `dvc` prints in an activated environment."""
    activated = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(["dvc", *arguments], env=activated, capture_output=True, text=True, check=True).stdout


def test_one_task_a_stage_in_order() -> None:
    from prefect.cache_policies import NO_CACHE

    from flows.pipeline.transfer import TASKS, transfer

    assert transfer.name == "transfer"
    assert tuple(TASKS) == STAGES
    assert [task.name for task in TASKS.values()] == list(STAGES)
    assert all(task.cache_policy == NO_CACHE and task.description for task in TASKS.values())


def test_both_doors_agree_on_what_is_up_to_date(toy_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three stages show it as well as nine: one that reads images, one with a parameter that changes, one that follows."""
    three = ("index_images", "fine_tune", "report")
    only(three, monkeypatch)
    assert transfer() == dict.fromkeys(three, "ran")
    assert dvc_says("status", "--json").strip() == "{}"
    assert "Running stage" not in dvc_says("repro")

    Path("data/images/a/by hand.txt").write_text("3")
    assert transfer(parameters={"fine_tune.epochs": 5}) == dict.fromkeys(three, "ran"), "a file dropped into the folder counts"
    assert "by hand.txt" in Path("out/report.txt").read_text()
    assert "  epochs: 5" in Path("params.yaml").read_text()
    assert dvc_says("status", "--json").strip() == "{}"

    assert "Running stage" in dvc_says("repro", "--force")
    assert transfer(parameters={"fine_tune.epochs": 5}) == dict.fromkeys(three, "cached")
    assert transfer() == {"index_images": "cached", "fine_tune": "ran", "report": "cached"}, "the value was for that run alone"
    assert "  epochs: 10" in Path("params.yaml").read_text()
    assert transfer(parameters={"fine_tune.epochs": 5}, keep=True) == dict.fromkeys(three, "cached"), "from DVC's cache of runs"
    assert transfer() == dict.fromkeys(three, "cached"), "it was kept"
    assert "  epochs: 5" in Path("params.yaml").read_text()


def test_what_did_not_change_is_skipped_unless_forced(short_project: Path) -> None:
    first, second = STAGES[:2]
    assert transfer() == {first: "ran", second: "ran"}
    assert transfer(parameters={"validate_data.min_side": 20}) == {first: "cached", second: "ran"}
    assert transfer(force=True) == {first: "ran", second: "ran"}


def test_a_refusal_stops_the_line_and_keeps_its_kind(short_project: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.logging.handlers import APILogHandler

    Path("validate_data.fails").write_text("3")
    with pytest.raises(DataError, match="validate_data does not like it"):
        transfer()
    assert sorted(path.name for path in Path("out").iterdir() if path.suffix == ".txt") == ["index_images.txt"]
    assert lock.VARIABLE not in os.environ
    APILogHandler().flush()
    with get_client(sync_client=True) as client:
        stored = [log.message for log in client.read_logs(sort="TIMESTAMP_DESC")]  # type: ignore[arg-type]
    assert stored.count("validate_data does not like it") == 1


def test_bad_parameters_write_nothing(short_project: Path) -> None:
    before = Path("params.yaml").read_bytes()
    with pytest.raises(ParamsError, match=r"fine_tune\.epochs: 0 is wrong"):
        transfer(parameters={"fine_tune.epochs": 0})
    assert Path("params.yaml").read_bytes() == before


def test_a_second_run_is_refused_before_it_writes_parameters(short_project: Path) -> None:
    before = Path("params.yaml").read_bytes()
    code = "import sys; from headstart.machinery import lock\nwith lock.hold('headstart run'): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BusyError):
            transfer(parameters={"fine_tune.epochs": 5})
        other.kill()
    assert Path("params.yaml").read_bytes() == before


def test_images_are_fetched_or_missed_clearly(short_project: Path) -> None:
    shutil.move("data/images", "elsewhere")
    with pytest.raises(DataError, match="headstart import PATH"):
        transfer()
    shutil.move("elsewhere", "data/images")
    images.record()
    shutil.rmtree("data/images")
    assert transfer() == dict.fromkeys(STAGES[:2], "ran")
    shutil.rmtree("data/images")
    shutil.rmtree(".dvc/cache")
    with pytest.raises(DataError, match=r"neither in the DVC cache nor could they be pulled"):
        transfer()


def test_under_a_deployment_a_remote_that_is_away_is_waited_for(
    short_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.pipeline import transfer as transfer_flow
    from flows.repository import dvc

    store, away = tmp_path / "store", tmp_path / "away"
    dvc.call("remote", "add", "--default", "store", str(store))
    images.record()
    dvc.call("push")
    store.rename(away)
    for folder in ("data/images", ".dvc/cache"):
        shutil.rmtree(folder)
    with pytest.raises(DataError, match=r"could they be pulled \(the DVC remote store .* does not answer\)"):
        transfer()
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "some")
    monkeypatch.setattr(transfer_flow, "BACKOFF", [0.01])
    looked = dvc._away
    monkeypatch.setattr(dvc, "_away", lambda error: (looked(error), away.rename(store))[0])  # it comes back as soon as it was missed
    assert transfer() == dict.fromkeys(STAGES[:2], "ran")


def test_images_that_change_between_stages_are_noticed(short_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.repository import dvc

    real = dvc.repro

    def repro(name: str, **more: Any) -> dvc.Outcome:
        if name == STAGES[1]:
            Path("data/images/a/late.txt").write_text("late")
        return real(name, **more)

    monkeypatch.setattr(dvc, "repro", repro)
    with pytest.raises(DataError, match="changed during the run"):
        transfer()


def test_progress_of_a_stage_reaches_the_server(short_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the stage, through dvc, to an artifact: by events in a file, for whose sake a line is read."""
    from prefect.client.orchestration import get_client

    from flows.pipeline import artifacts
    from flows.pipeline import transfer as transfer_flow

    monkeypatch.setattr(transfer_flow, "TASKS", {STAGES[0]: transfer_flow.TASKS[STAGES[0]]})
    code = "from headstart.machinery.progress import Progress\n    with Progress(4, 'Reading (all)') as bar:\n        bar._due = 0\n        bar.step(4)\n"
    body = Path("toy_stage.py").read_text().replace('    print(f"{name} begins", flush=True)\n', f"    {code}")
    Path("toy_stage.py").write_text(body)
    assert transfer() == {STAGES[0]: "ran"}
    assert artifacts.EVENTS.read_text().count("\n") == 2
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/filter", json={"artifacts": {"key": {"any_": ["index-images-reading-all"]}}}).json()
    assert [(artifact["type"], artifact["data"]) for artifact in found] == [("progress", 100.0)]
    assert found[0]["description"] == "Reading (all): 4/4 in 0 s"


def test_the_lines_of_a_run_reach_its_log(short_project: Path, prefect_server: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.logging.handlers import APILogHandler

    seen: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "headstart", False):
                seen.append(record.getMessage())

    loggers = [logging.getLogger(f"prefect.{kind}_runs") for kind in ("flow", "task")]
    collect = Collect()
    for logger in loggers:
        logger.addHandler(collect)
    try:
        transfer(parameters={"seed": 3})
    finally:
        for logger in loggers:
            logger.removeHandler(collect)
    expected = ["seed: 0 -> 3 (for this run)", "2 stages; how long they take is not known before they ran once"]
    for number, name in enumerate(STAGES[:2], 1):
        expected += [f"[{number}/2] {name}", f"{name} begins"]
    expected.append("this run is not kept for `headstart runs`: nothing is committed yet; `git add --all` and `git commit` once")
    assert seen == expected

    APILogHandler().flush()
    with get_client(sync_client=True) as client:
        run = client.read_flow_runs(limit=1, sort="START_TIME_DESC")[0]  # type: ignore[arg-type]
        assert run.state is not None
        assert run.state.is_completed()
        assert run.parameters == {"parameters": {"seed": 3}, "force": False, "keep": False}
        of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))
        stored = [log.message for log in client.read_logs(log_filter=of_run)]
    assert set(expected) <= set(stored)
