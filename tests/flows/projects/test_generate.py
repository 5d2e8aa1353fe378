"""What headstart writes into a project is the checkout's, with fingerprints for folders of code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from flows.projects import generate, new, upgrade
from headstart.params import STAGES, project_code
from tests import ROOT


def loaded(text: str) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(text)
    return content


def without_code(entry: dict[str, Any]) -> dict[str, Any]:
    """A stage without its dependencies on code, in either form."""
    deps = [path for path in entry["deps"] if not generate.code_of(path)]
    return {**entry, "deps": deps, "params": [one for one in entry["params"] if not (isinstance(one, dict) and "code.yaml" in one)]}


def test_both_graphs_are_equal_but_for_the_code() -> None:
    checkout, project = loaded((ROOT / "dvc.yaml").read_text()), loaded(generate.graph())
    assert list(project["stages"]) == list(STAGES)
    assert {name: without_code(entry) for name, entry in project["stages"].items()} == {
        name: without_code(entry) for name, entry in checkout["stages"].items()
    }
    assert project["artifacts"] == checkout["artifacts"]
    assert set(project) == set(checkout)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_fingerprint_of_each_room_and_of_its_own_file(name: str) -> None:
    checkout, project = (loaded(text)["stages"][name] for text in ((ROOT / "dvc.yaml").read_text(), generate.graph()))
    code = {path.removesuffix(".py").replace("/", ".") for path in checkout["deps"] if path.startswith(("headstart/", "tasks/"))}
    assert generate.code_names(project) == code
    assert f"tasks.{name}" in code
    assert not any(generate.code_of(path) for path in project["deps"])
    assert set(project_code.installed(code, {}).fingerprints) == code


def test_the_model_and_the_data_have_names() -> None:
    artifacts = loaded((ROOT / "dvc.yaml").read_text())["artifacts"]
    assert {name: (entry["path"], entry["type"]) for name, entry in artifacts.items()} == {
        "model": ("models/final", "model"),
        "images": ("data/images", "dataset"),
    }
    for entry in artifacts.values():
        assert entry["desc"].endswith(".")


def test_the_deployments_are_those_of_the_checkout_under_the_name_of_the_project() -> None:
    checkout, project = (ROOT / "prefect.yaml").read_text(), generate.deployments("beans")
    assert loaded(project) == loaded(checkout.replace("name: headstart", "name: beans"))
    names = [deployment["name"] for deployment in loaded(project)["deployments"]]
    assert names == ["beans-transfer", "beans-nightly", "beans-predict", "beans-develop"]
    assert {deployment["work_pool"]["name"] for deployment in loaded(project)["deployments"]} == {"beans"}


@pytest.mark.parametrize("name", ["true", "1e5", "no", "0x10"])
def test_a_name_that_yaml_would_read_otherwise_stays_text(name: str) -> None:
    assert loaded(generate.deployments(name))["name"] == name


def test_what_was_shipped_is_used_where_there_is_no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert generate.source("dvc.yaml").resolve() == ROOT / "dvc.yaml"
    monkeypatch.setattr(generate, "_SHIPPED", tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    assert generate.source("dvc.yaml") == tmp_path / "dvc.yaml"
    assert loaded(generate.graph())["stages"] == {}


def test_byte_code_dirties_no_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages of the checkout depend on rooms, where Python puts byte code; .dvcignore leaves that out."""
    monkeypatch.chdir(tmp_path)
    new._fill(tmp_path, "toy")
    Path(".dvc/config").write_text(f"{new.DVC}    no_scm = true\n")
    Path(".dvcignore").write_bytes((ROOT / ".dvcignore").read_bytes())
    Path("dvc.yaml").write_text("stages: {one: {cmd: 'true', deps: [room]}}\n")
    compiled = Path("room/__pycache__/a.pyc")
    compiled.parent.mkdir(parents=True)
    for path in (compiled, Path("room/a.py")):
        path.write_text("before")
    with Repo() as repo:
        repo.commit(force=True)
        assert repo.status() == {}
    compiled.write_text("after")
    with Repo() as repo:
        assert repo.status() == {}
    Path("room/a.py").write_text("after")
    with Repo() as repo:
        assert list(repo.status()) == ["one"]


def test_what_dvc_ignores_is_said_once() -> None:
    lines = [line for line in (ROOT / ".dvcignore").read_text().splitlines() if not line.startswith("#")]
    assert sorted(lines) == ["/develop/", "__pycache__/"]


def test_the_files_that_are_kept_up_to_date_name_their_own_code() -> None:
    files = upgrade.contents("beans")
    code = upgrade.code_of(files)
    assert set(code.written) == {"dvc.yaml", "prefect.yaml"}
    assert set(code.fingerprints) == set().union(*(generate.code_names(entry) for entry in generate.stages(files["dvc.yaml"]).values()))
