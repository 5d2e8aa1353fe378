"""What the deployments run, called in this process, and prefect.yaml, which declares them. A worker runs them in tests/flows/server/test_operate.py."""

from __future__ import annotations

import csv
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Failed
from ruamel.yaml import YAML

from flows.pipeline import deployments, transfer
from flows.repository import dvc
from flows.repository.dvc import DvcError
from headstart.features.answered import Answer
from headstart.machinery import failure, lock
from headstart.machinery.errors import BusyError, DataError, HeadstartError, ParamsError
from tasks import stage
from tests import ROOT
from tests.flows.cli.test_main import replace_module

DECLARED: list[dict[str, Any]] = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("declared", DECLARED, ids=lambda declared: f"{declared['entrypoint']}-{declared['name']}")
def test_a_declared_deployment_is_a_flow_that_queues(declared: dict[str, Any]) -> None:
    module, _, name = declared["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    assert isinstance(flow, Flow)
    assert flow.name == name
    assert flow.description
    assert set(declared.get("parameters", {})) <= set(flow.parameters.properties)
    assert all("description" in field for key, field in flow.parameters.properties.items())
    assert declared["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    assert declared["work_pool"]["job_variables"] == {"working_dir": "."}, "the checkout of the worker, wherever it is"
    assert not any(schedule["active"] for schedule in declared.get("schedules", []))


def entry(declared: dict[str, Any]) -> tuple[Any, ...]:
    """What a deployment runs, wherever it does so."""
    return (declared["entrypoint"], declared["concurrency_limit"], declared.get("parameters"), declared.get("schedules"))


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_the_templates_for_runners_declare_the_same_deployments(kind: str) -> None:
    content = YAML(typ="safe").load((ROOT / f"runners/{kind}.yaml").read_text())
    assert [entry(declared) for declared in content["deployments"]] == [entry(declared) for declared in DECLARED]
    assert {declared["work_pool"]["name"] for declared in content["deployments"]} == {f"headstart-{kind}"}
    places = [step[key]["directory"] for step in content["pull"] for key in step]
    assert places == ["/headstart"]
    assert f"WORKDIR {places[0]}\n" in (ROOT / "runners/Dockerfile").read_text()


def test_the_work_pool_of_kubernetes_is_one_that_prefect_takes() -> None:
    template = json.loads((ROOT / "runners/kubernetes-pool.json").read_text())
    WorkPoolCreate(name="headstart-kubernetes", type="kubernetes", base_job_template=template)
    named = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert named == set(template["variables"]["properties"])
    content = YAML(typ="safe").load((ROOT / "runners/kubernetes.yaml").read_text())
    assert set(content["deployments"][0]["work_pool"]["job_variables"]) <= named


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectionResetError("peer"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (ValueError("out of range, as if it had failed with MemoryError"), False),
        (HeadstartError("the hub: read timeout"), False),
        (DataError("the data was refused: out of memory of man"), False),
        (ParamsError("params.yaml has 1 problem(s)"), False),
        (BusyError("this checkout is busy"), False),
        (DvcError("stage fine_tune failed", ["ERROR: failed to run: python -m tasks.fine_tune, exited with -9"]), True),
        (DvcError("stage fine_tune failed", ["ERROR: failed to run: python -m tasks.fine_tune, exited with 1"]), False),
        (DvcError("stage fine_tune failed", [], killed=True), True),
    ],
)
def test_only_what_can_pass_is_tried_again_and_only_under_a_deployment(
    error: Exception, again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage notes its error, and the flow reads the note; what dvc itself says of its end, it raises."""
    task: Any = transfer.TASKS["fine_tune"]
    if not isinstance(error, DvcError):
        monkeypatch.chdir(tmp_path)
        stage.note(stage.FAILURE, failure.of("fine_tune", error))
        noted = dvc._reason("fine_tune")
        assert noted is not None
        assert str(error) in str(noted)
        error = noted
    state: Any = Failed(data=error)
    assert not transfer.passing(task, None, state)  # type: ignore[arg-type]
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "some")
    assert transfer.passing(task, None, state) is again  # type: ignore[arg-type]


def test_a_run_waits_for_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(deployments, "PAUSE", 0.05)
    code = "import sys; from headstart.machinery import lock\nwith lock.hold('headstart run'): print('held', flush=True); sys.stdin.read()"
    said: list[str] = []
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin
        assert other.stdout
        assert other.stdout.readline() == "held\n"

        def say(line: str) -> None:
            said.append(line)
            assert other.stdin
            other.stdin.close()  # the other run ends

        with deployments.waiting("flow run a", say):
            assert "flow run a" in lock.PATH.read_text()
    assert len(said) == 1
    assert said[0].startswith("waiting: this checkout is busy: headstart run (process")


@pytest.mark.usefixtures("prefect_server")
def test_predict_writes_a_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(paths: list[Path], folder: Path, **how: object) -> Iterator[Answer]:
        assert (paths, folder) == ([Path("in")], Path("model"))
        yield Answer("in/1.png", "ant", 0.75, "", False, True)
        yield Answer("in/2.png", "", None, "truncated")

    monkeypatch.chdir(tmp_path)
    replace_module(monkeypatch, "features.predict", predict=predict)
    with pytest.raises(HeadstartError, match="there is no model at model"):
        deployments.predict(["in"], model="model", out="out.csv")
    assert list(tmp_path.iterdir()) == []
    Path("model").mkdir()
    Path("model/card.json").write_text("{}")
    assert deployments.predict(["in"], model="model", out="out.csv") == {"ant": 1, "unreadable": 1}
    with Path("out.csv").open() as file:
        assert list(csv.reader(file))[1:] == [["in/1.png", "ant", "0.750000", "", "no", "yes"], ["in/2.png", "", "", "truncated", "", ""]]


@pytest.mark.usefixtures("prefect_server")
def test_predict_does_new_files_alone_as_long_as_the_model_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def predict(paths: list[Path], folder: Path, **how: object) -> Iterator[Answer]:
        asked.append([path.name for path in paths])
        yield from (Answer(str(path), "ant", 0.75, "") for path in paths)

    def walk(paths: list[Path]) -> list[Path]:
        return [path for folder in paths for path in (sorted(folder.iterdir()) if folder.is_dir() else [folder])]

    monkeypatch.chdir(tmp_path)
    replace_module(monkeypatch, "features.predict", predict=lambda paths, folder, **how: predict(walk(paths), folder), walk=walk)
    Path("model").mkdir()
    Path("model/card.json").write_text("{}")
    Path("in").mkdir()
    for name in ("1.png", "2.png"):
        Path("in", name).touch()
        deployments.predict(["in"], model="model", out="out.csv")
    assert deployments.predict(["in"], model="model", out="out.csv") == {}
    assert asked == [["1.png"], ["2.png"]]
    assert deployments.predict(["in"], model="model", out="out.csv", only_new=False) == {"ant": 2}
    Path("model/card.json").write_text("{ }")
    assert deployments.predict(["in"], model="model", out="out.csv") == {"ant": 2}, "another model has other answers"
    with Path("out.csv").open() as file:
        assert [row[0] for row in csv.reader(file)] == ["path", "in/1.png", "in/2.png"]
