"""`headstart develop` as a person meets it: a source model from images, in a directory of its own, and the main pipeline none the dirtier."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from flows.cli import main
from flows.projects import develop_folder, generate, new
from headstart import params
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.networks import sources
from headstart.params import project_code
from headstart.params.developing import TrainSource
from tasks.stage import wanted
from tests.flows.pipeline.test_pipeline import run
from tests.tasks import test_contract as contract
from tests.training.test_scratch import stripes

GRAPH: dict[str, Any] = YAML(typ="safe").load(generate.develop_graph())["stages"]
OWN = ("train_source", "register_source")
SMALL = ["--architecture", "timm:test_resnet"]
for setting in ("input_size=32", "epochs=8", "views=1", "batch_size=16", "augmentation.min_crop_share=0.8", "augmentation.rotation=5.0"):
    SMALL += ["--set", setting]


def hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def project(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose own pipeline, of one trivial stage, has run, and photos beside it."""
    home = tmp_path_factory.mktemp("develop")
    stripes(home / "photos")
    project = home / "project"
    new.new(project)
    (project / "dvc.yaml").write_text("stages: {one: {cmd: echo 1 > one.txt, deps: [params.yaml], outs: [one.txt]}}\n")
    run("dvc", "repro", cwd=project)
    run("git", "add", "--all", cwd=project)
    run("git", "commit", "--quiet", "--message", "Run", cwd=project)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", prefect_server)
        patch.setenv("OMP_NUM_THREADS", "1")
        yield project


@pytest.fixture(scope="module")
def said(project: Path) -> str:
    """What `headstart develop` says; it has registered a source called stripes."""
    return run("headstart", "develop", "../photos", "--name", "stripes", *SMALL, cwd=project)


def test_a_source_is_registered_and_said(said: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    stages, summary = said.split("\n\n")
    assert [line.split()[:2] for line in stages.splitlines()] == [[name, "ran"] for name in develop_folder.STAGES]
    assert "test_resnet (timm) from random weights, 32 pixels" in summary
    assert "3 classes (leaning, lying, standing)" in summary
    assert summary.count("beaten") == 2
    assert "NOT" not in summary
    assert "add checkpoint:registry/sources/stripes to select_source.candidates" in summary
    source = sources.load("checkpoint:registry/sources/stripes")
    assert (source.architecture, source.transform.input_size) == ("test_resnet", 32)
    made = "develop/stripes/models/source"
    assert hashes(Path("registry/sources/stripes")) == hashes(Path(made))
    card = Path(made, "card.json").read_text()
    assert str(project) not in card
    assert json.loads(card)["metrics"] == json.loads(Path("develop/stripes/reports/metrics.json").read_text())


def test_both_pipelines_are_clean(said: str, project: Path) -> None:
    folder = project / "develop/stripes"
    for place in (project, folder):
        assert json.loads(run("dvc", "status", "--json", cwd=place)) == {}, place
    assert "Running stage" not in run("dvc", "repro", cwd=folder)
    untracked = run("git", "status", "--short", "-uall", cwd=project).splitlines()
    assert all(line.startswith("?? ") for line in untracked), untracked
    paths = [line.removeprefix("?? ") for line in untracked]
    assert {"develop/stripes/dvc.lock", "develop/stripes/source.yaml", "registry/sources/stripes/card.json"} <= set(paths)
    assert sum((project / path).stat().st_size for path in paths) < 200_000, f"neither images nor weights belong into git: {paths}"


def test_anew_it_gives_the_same_bytes(said: str, project: Path) -> None:
    folder = project / "develop/stripes"
    before = hashes(folder / "models")
    shutil.rmtree(folder / ".headstart")
    for name in OWN:
        run("dvc", "repro", "--force", "--single-item", name, cwd=folder)
    assert hashes(folder / "models") == before


def test_what_is_no_better_than_naive_is_not_registered(said: str, project: Path) -> None:
    """At a rate of next to nothing a network learns nothing. Runs last: it changes what was developed."""
    before = hashes(project / "registry")
    nothing = ["--name", "stripes", "--set", "epochs=1", "--set", "rate=1e-9"]
    output = run("headstart", "develop", "../photos", *nothing, cwd=project, expect=1)
    last = output.strip().splitlines()[-1]
    assert re.match(r"error: not registered: \d+\.\d% of 12 test images right, which does not beat the naive baselines", last)
    assert re.search(r"majority 33\.3% \([+-]\d+\.\d points, 90% interval ", last)
    assert "validate_data" in output
    assert "[0/4] import" in output
    assert hashes(project / "registry") == before
    output = run("headstart", "develop", "../photos", *nothing, "--force", cwd=project)
    assert [line.split()[1] for line in output.splitlines()[:4]] == ["cached"] * 4
    assert "NOT beaten" in output
    assert hashes(project / "registry") != before
    assert json.loads(run("dvc", "status", "--json", cwd=project / "develop/stripes")) == {}


# Usage


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 3, "there is no nowhere"),
        (["demo", "--set", "epochz=1"], 2, "epochz"),
        (["demo", "--set", "fine_tune.epochs=1"], 2, "fine_tune"),
        (["demo", "--set", "index_images.test_share=2"], 2, "test_share"),
        (["demo", "--architecture", "resnet18"], 2, "timm:NAME or torchvision:NAME"),
        (["demo", "--from", "wheel:efficientnet_lite0", "--architecture", "timm:resnet18"], 2, "leave it out"),
        (["demo", "--from", "checkpoint:gone"], 2, "gone does not exist"),
        (["demo", "--name", "../up"], 2, "no name"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_made(
    toy_project: Path, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["develop", *arguments]) == code
    assert words in capsys.readouterr().err
    assert not Path("develop").exists()


@pytest.mark.parametrize(
    ("source", "name"),
    [("demo", "demo"), ("torchvision:eurosat", "eurosat"), ("photos/My Cats/", "my-cats"), ("a/pets.tar.gz", "pets"), ("photos", "photos")],
)
def test_a_source_has_the_name_of_its_data(source: str, name: str) -> None:
    assert develop_folder.name_of(source) == name
    assert develop_folder.name_of(source, "Mine-2.0") == "Mine-2.0"
    with pytest.raises(ParamsError, match="--name"):
        develop_folder.name_of(source, ".hidden")


# The directory


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_directory_is_made_once_and_keeps_what_was_set(empty: Path) -> None:
    folder = develop_folder.prepare("mine")
    (empty / "own").mkdir()
    said = develop_folder.change("mine", {"epochs": 3, "seed": 5, "index_images.test_share": 0.3, "start": "checkpoint:own"})
    assert set(said) >= {"epochs: 30 -> 3", "seed: 0 -> 5", "index_images.test_share: 0.2 -> 0.3"}
    assert "start: random -> checkpoint:../../own" in said, "as it is seen from there"
    for name in ("dvc.yaml", "code.yaml"):
        (folder / name).write_text("of an older version")
    assert develop_folder.prepare("mine") == folder
    assert (folder / "dvc.yaml").read_text() == generate.develop_graph()
    assert project_code.changed(project_code.read(folder / "code.yaml")) == []
    assert params.load(folder / "params.yaml").seed == 5
    assert develop_folder.change("mine", {"epochs": 3}) == []
    assert run("dvc", "root", cwd=folder).strip() == "."


@pytest.fixture
def developed(empty: Path) -> Path:
    """What the stages leave of a source that is no better than the most frequent class."""
    made = develop_folder.prepare("mine") / develop_folder.SOURCE
    made.mkdir(parents=True)
    (made / "model.safetensors").write_text("weights")
    figures = {"beats": False, "reason": "33% right", "accuracy": 1 / 3, "n_test": 12}
    (made / "card.json").write_text(json.dumps({"metrics": figures}))
    return empty


def test_a_refused_source_leaves_the_registry_as_it_was(developed: Path) -> None:
    with pytest.raises(HeadstartError, match="33% right") as caught:
        develop_folder.register("mine")
    assert caught.value.exit_code == 1
    assert not develop_folder.REGISTRY.exists()
    develop_folder.register("mine", force=True)
    assert hashes(develop_folder.REGISTRY / "mine") == hashes(Path("develop/mine/models/source"))


# The graph


def test_the_graph_is_what_the_flow_runs() -> None:
    from flows.pipeline.develop import TASKS

    assert tuple(GRAPH) == develop_folder.STAGES == tuple(TASKS)
    assert not set(develop_folder.SHARED) & set(TrainSource.model_fields)


def test_its_parameters_are_the_shared_ones_as_they_are_by_default(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(generate.develop_settings())
    assert params.load(path) == params.Params()
    assert tuple(YAML(typ="safe").load(path.read_text())) == develop_folder.SHARED
    assert "source.yaml" in path.read_text().splitlines()[0]


@pytest.mark.parametrize("name", develop_folder.STAGES)
def test_a_stage_is_what_the_graph_says(name: str) -> None:
    function = getattr(import_module(f"tasks.{name}"), name)
    positional = [str(p.default) for p in inspect.signature(function).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    kinds, stage = wanted(function), GRAPH[name]
    assert stage["cmd"] == f"python -m tasks.{name}"
    outs = [path for kind in ("outs", "metrics", "plots") for path in contract.paths(stage.get(kind, []))]
    assert sorted(positional) == sorted(stage["deps"] + outs)
    *given, code = stage["params"]
    assert set(code) == {"code.yaml"}
    if name in contract.STAGES:
        assert (given, stage["outs"]) == (contract.GRAPH[name]["params"], contract.GRAPH[name]["outs"])
        return
    assert given == [*kinds["shared"].model_fields, *([{"source.yaml": None}] if "block" in kinds else [])]
    assert kinds.get("block", TrainSource) is TrainSource


@pytest.mark.parametrize("name", develop_folder.STAGES)
def test_a_stage_depends_on_its_code(name: str) -> None:
    """On the fingerprints of what the graphs of the checkout name; tests/tasks/test_contract.py compares these with the imports."""
    graph = {**contract.GRAPH, **contract.DEVELOP}
    code = [generate.code_of(path) for path in graph[name]["deps"]]
    assert generate.code_names(GRAPH[name]) == {name for name in code if name}
