"""The whole line on toy photos with a real pretrained network at a small size, through both doors, in a project of its own."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.workspace import Workspace, environment
from headstart.params import STAGES
from tests import toy

SMALL = [
    "select_source.candidates=[wheel:efficientnet_lite0, checkpoint:absent]",
    "select_source.input_size=64",
    "fine_tune.epochs=2",
    "fine_tune.views=2",
    "baseline.epochs=2",
    "baseline.views=1",
    "baseline.max_size=32",
    "verdict.seeds=1",
    "evaluate.bootstrap=100",
]
ROW = 2 * (32 + 16 + 24 + 40 + 80 + 112 + 192 + 320 + 1280)  # bytes per image: what Lite0's stages give, averaged, in half precision


def run(*command: str, cwd: Path, expect: int = 0) -> str:
    """Run a command of the environment in a project and return its standard output."""
    done = subprocess.run(command, cwd=cwd, env=environment(cwd), capture_output=True, text=True)
    assert done.returncode == expect, f"{command} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    return done.stdout if expect == 0 else done.stdout + done.stderr


def states(output: str) -> dict[str, str]:
    """What became of each stage, from the last lines of `headstart run`."""
    words = [line.split() for line in output.splitlines()]
    return {w[0]: w[1] for w in words if len(w) == 3 and w[0] in STAGES}


def results(project: Path) -> dict[str, str]:
    """A hash of every file that must not depend on when, where or in which state of the caches a run was made."""
    files = [p for p in (project / "models").rglob("*") if p.is_file() and p.name != ".gitignore"]
    files += [
        project / "reports" / name
        for name in (
            "metrics.json",
            "compared.json",
            "ranking.json",
            "validation.json",
            "verdict.json",
            "predictions.parquet",
            "curves/fine_tune.csv",
            "curves/baseline.csv",
        )
    ]
    return {str(p.relative_to(project)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files)}


@pytest.fixture(scope="module", autouse=True)
def _server(prefect_server: str) -> Iterator[None]:
    """Have every run here use the server of this session; tests/flows/cli/test_main.py has runs with one of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", prefect_server)
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    toy.images(folder, classes=("ant", "bee", "cat"), per_class=20, size=48)
    (folder / "ant" / "broken file 'ü'.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def project(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after `headstart run`, whose frozen head was trained before the last six photos came."""
    workspace = Workspace(tmp_path_factory.mktemp("project") / "a project with spaces")
    workspace.set(*SMALL)
    project = workspace.folder
    fewer = tmp_path_factory.mktemp("fewer") / "photos"
    shutil.copytree(photos, fewer, ignore=shutil.ignore_patterns("*9.png"))
    run("headstart", "import", str(fewer), cwd=project)
    run("dvc", "repro", "train_head", cwd=project)
    stores = {path: path.read_bytes() for path in (project / ".headstart/features").glob("*.rows")}
    features, before = max(stores.items(), key=lambda store: len(store[1]))  # the others are of mirrored and turned pictures
    assert 0 < len(before) < 54 * ROW, "the test images wait until the end"
    run("headstart", "import", str(photos), cwd=project)
    assert states(run("headstart", "run", cwd=project)) == dict.fromkeys(STAGES, "ran")
    after = features.read_bytes()
    assert (after[: len(before)], len(after)) == (before, 60 * ROW), "more photos cost their own forward passes"
    return project


def test_a_run_leaves_a_model_a_report_and_metrics(project: Path) -> None:
    metrics = json.loads(run("headstart", "show", "--json", cwd=project))
    assert metrics["classes"] == ["ant", "bee", "cat"]
    assert (metrics["n_train"], metrics["n_validation"], metrics["n_test"]) == (39, 9, 12)
    assert metrics["test"]["accuracy"] >= 0.9
    assert set(metrics["head"]) >= {"accuracy", "balanced_accuracy", "macro_f1", "ece"}
    ranking = json.loads((project / "reports/ranking.json").read_text())
    assert [row["status"] for row in ranking["candidates"]] == ["ranked", "skipped"]
    validation = json.loads((project / "reports/validation.json").read_text())
    assert validation["success"]
    assert [Path(row["path"]).name for row in validation["quarantined"]] == ["broken file 'ü'.png"]
    card = json.loads((project / "models/final/card.json").read_text())
    assert card["classes"] == metrics["classes"]
    assert card["metrics"]["accuracy"] == metrics["test"]["accuracy"]
    verdict = json.loads((project / "reports/verdict.json").read_text())
    assert verdict["standing"] == "indicative"
    assert verdict["ships"] == metrics["shipped"]
    tuned = json.loads((project / "models/fine_tuned/summary.json").read_text())
    changed = {"fine_tuned", "average", "both"} if tuned["changed"] else set()
    assert {arm["name"] for arm in verdict["arms"]} == {"head", "scratch", *changed}
    assert set(metrics) >= {"head", "scratch", metrics["shipped"]}
    assert ("fine_tuned" in metrics) is tuned["changed"]
    assert metrics["transfer"]["verdict"] == verdict["answer"]
    page = (project / "reports/report.html").read_text()
    assert "broken file" in page
    assert str(project) not in page


def test_nothing_made_names_a_machine_or_a_moment(project: Path) -> None:
    for path in [*(project / "models").rglob("*.json"), project / "reports/metrics.json"]:
        text = path.read_text()
        assert str(project) not in text
        assert "seconds" not in text
        assert "2026-" not in text


def test_both_doors_agree(project: Path) -> None:
    assert json.loads(run("dvc", "status", "--json", cwd=project)) == {}
    assert "Running stage" not in run("dvc", "repro", cwd=project)
    assert states(run("headstart", "run", cwd=project)) == dict.fromkeys(STAGES, "cached")


def test_a_second_clone_has_the_same_from_a_remote(project: Path, photos: Path, tmp_path: Path) -> None:
    [name] = [entry["name"] for entry in json.loads(run("headstart", "runs", "--json", cwd=project))]
    for add in (("remote", "add", "--local", "--default", "store", str(tmp_path / "store")), ("push", "--quiet")):
        run("dvc", *add, cwd=project)
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", str(project), str(clone), cwd=tmp_path)
    run("git", "fetch", "--quiet", "origin", "refs/exps/*:refs/exps/*", cwd=clone)
    run("dvc", "remote", "add", "--local", "--default", "store", str(tmp_path / "store"), cwd=clone)
    assert name in run("headstart", "restore", name, cwd=clone)
    assert results(clone) == results(project)
    assert states(run("headstart", "run", cwd=clone)) == dict.fromkeys(STAGES, "cached")
    predictions = [run("headstart", "predict", str(photos / "bee"), cwd=folder) for folder in (project, clone)]
    assert predictions[0] == predictions[1]
    assert [entry["name"] for entry in json.loads(run("headstart", "runs", "--json", cwd=clone)) if entry["state"] == "completed"] == [name]
    run("dvc", "remote", "remove", "--local", "store", cwd=project)


def test_predict_needs_the_model_alone(project: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "models/final", tmp_path / "model")
    shutil.copy(project / "params.yaml", tmp_path)
    output = run("headstart", "predict", "--model", "model", str(photos / "bee"), str(photos / "ant/broken file 'ü'.png"), cwd=tmp_path)
    rows = list(csv.DictReader(io.StringIO(output)))
    assert len(rows) == 21
    assert sum(row["label"] == "bee" for row in rows) >= 18
    assert rows[-1]["label"] == ""
    assert rows[-1]["error"]
    run("headstart", "predict", "--model", "model", str(photos / "ant/broken file 'ü'.png"), cwd=tmp_path, expect=1)


def test_a_changed_parameter_reruns_what_follows(project: Path) -> None:
    became = states(run("headstart", "run", "--set", "fine_tune.epochs=1", cwd=project))
    assert became.pop("compare_batches") in ("ran", "cached"), "it reads the predictions, and the frozen head may ship as before"
    again = ("fine_tune", "verdict", "evaluate", "adapt", "report")
    assert became == {name: "ran" if name in again else "cached" for name in STAGES if name != "compare_batches"}
    assert json.loads(run("dvc", "status", "--json", cwd=project)) == {}


def test_everything_anew_gives_the_same_bytes(project: Path) -> None:
    """What is here is of several runs of the flow, with what they left in .headstart; made anew it is of dvc alone, with nothing."""
    warm = results(project)
    shutil.rmtree(project / ".headstart")
    run("dvc", "repro", "--force", cwd=project)
    assert results(project) == warm


def test_refused_data_stops_either_door_after_the_result_is_written(photos: Path, tmp_path: Path) -> None:
    project = Workspace(tmp_path / "refused").folder
    twins = tmp_path / "twins"
    shutil.copytree(photos, twins)
    shutil.copy(twins / "ant/0000.png", twins / "bee/twin.png")
    run("headstart", "import", str(twins), cwd=project)
    output = run("headstart", "run", cwd=project, expect=3)
    assert "twin.png" in output
    validation = json.loads((project / "reports/validation.json").read_text())
    assert not validation["success"]
    assert "bee/twin.png" in validation["critical"][0]["files"]
    (project / "reports/validation.json").unlink()
    failed = subprocess.run(["dvc", "repro"], cwd=project, env=environment(project), capture_output=True)
    assert failed.returncode != 0
    assert not json.loads((project / "reports/validation.json").read_text())["success"]
    assert not (project / "models").exists()
