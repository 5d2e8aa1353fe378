"""A stage has one name and one signature everywhere: tasks/, dvc.yaml, params.yaml, its schema and the flow agree."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grimp
import pytest
from ruamel.yaml import YAML

from headstart import params
from headstart.params import STAGES
from tasks import stage
from tests import ROOT

GRAPH: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
DEVELOP: dict[str, Any] = YAML(typ="safe").load((ROOT / "flows/projects/develop.dvc.yaml").read_text())["stages"]
FREE = {"machinery", "params"}  # rooms that move results from place to place but cannot change them; a change of them reruns nothing
SHARED = tuple(params.Aimed.model_fields)  # parameters that belong to no stage alone


def function(name: str) -> Callable[..., None]:
    found: Callable[..., None] = getattr(importlib.import_module(f"tasks.{name}"), name)
    return found


def paths(entries: list[Any]) -> list[str]:
    """The paths of a list of outs or deps, whether or not they have options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def outs(name: str) -> list[str]:
    return [path for kind in ("outs", "metrics", "plots") for path in paths(GRAPH[name].get(kind, []))]


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    """Which module imports which, at its top or inside functions; how a stage starts is left out."""
    graph = grimp.build_graph("headstart", "tasks", exclude_type_checking_imports=True, cache_dir=None)
    for runner in ("tasks.stage", "tasks.develop_stage"):
        graph.remove_module(runner)
    return graph


def reached(imports: grimp.ImportGraph, name: str) -> set[str]:
    """The modules that a stage imports, directly or not."""
    return imports.find_upstream_modules(f"tasks.{name}")


def rooms(imports: grimp.ImportGraph, name: str) -> set[str]:
    """The rooms in which they are, less those that are FREE."""
    return {module.split(".")[1] for module in reached(imports, name) if module.startswith("headstart.")} - FREE


def test_every_list_of_stages_is_the_same() -> None:
    from flows.pipeline import transfer

    given = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    files = {path.stem for path in (ROOT / "tasks").glob("*.py")} - {"__init__", "stage", "develop_stage"}
    assert tuple(GRAPH) == STAGES
    assert tuple(given) == (*SHARED, "executor", *STAGES) == tuple(params.Params.model_fields)
    assert SHARED == ("seed", "device", "precision", "aim")
    assert files == set(STAGES) | set(DEVELOP)
    assert tuple(transfer.TASKS) == STAGES
    assert [task.name for task in transfer.TASKS.values()] == list(STAGES)


def test_params_yaml_holds_the_defaults() -> None:
    assert params.load(ROOT / "params.yaml") == params.Params()


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_what_dvc_yaml_says(name: str) -> None:
    signature = inspect.signature(function(name)).parameters.values()
    positional = [str(p.default) for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD]
    data = [path for path in GRAPH[name]["deps"] if not path.startswith(("headstart/", "tasks/"))]
    assert sorted(positional) == sorted(data + outs(name))
    assert GRAPH[name]["cmd"] == f"python -m tasks.{name}"
    assert GRAPH[name]["params"] == parameters(name)


def parameters(name: str) -> list[str]:
    """What a stage reads of params.yaml, by the types in its signature: the shared ones, its own block, and what it borrows of another's.

    A stage that reads less of a block names a type with fewer fields, whose subclass the block is.
    """
    kinds = stage.wanted(function(name))
    shared, own = kinds.pop("shared", None), kinds.pop("block")
    assert params.Params.model_fields[name].annotation is own
    assert shared in (None, *params.Aimed.mro())
    for block, kind in kinds.items():
        assert isinstance(getattr(params.Params(), block), kind)
    beside = [f"{block}.{parameter}" for block, kind in kinds.items() for parameter in kind.model_fields]
    return [*(shared.model_fields if shared else ()), name, *beside]


def test_what_a_stage_names_beside_its_block_is_all_that_it_reads() -> None:
    assert parameters("index_images") == ["seed", "index_images"]
    assert parameters("baseline") == [*params.Shared.model_fields, "baseline", "verdict.seeds", "verdict.label_curve"]
    assert parameters("report") == ["report"]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_its_rooms(name: str, imports: grimp.ImportGraph) -> None:
    listed = [path for path in GRAPH[name]["deps"] if path.startswith(("headstart/", "tasks/"))]
    needed = [*(f"headstart/{room}" for room in sorted(rooms(imports, name))), f"tasks/{name}.py"]
    assert listed == needed, f"{name} in dvc.yaml: its code is {needed}"


@pytest.mark.parametrize("name", DEVELOP)
def test_so_does_a_stage_that_develops_a_source(name: str, imports: grimp.ImportGraph) -> None:
    listed = [path for path in DEVELOP[name]["deps"] if path.startswith(("headstart/", "tasks/"))]
    assert listed == [*(f"headstart/{room}" for room in sorted(rooms(imports, name))), f"tasks/{name}.py"]


def test_the_graph_can_be_read() -> None:
    """At most eight lines of code per stage."""
    assert sum(path.startswith(("headstart/", "tasks/")) for entry in GRAPH.values() for path in entry["deps"]) <= 8 * len(GRAPH)


def test_rewording_the_verdict_retrains_nothing(imports: grimp.ImportGraph) -> None:
    for name in ("index_images", "validate_data", "select_source", "train_head", "fine_tune", "baseline"):
        assert "proof" not in rooms(imports, name)
    for name in ("select_source", "train_head", "fine_tune", "baseline"):
        assert not {"words", "report", "indexing", "checks", "importing"} & rooms(imports, name)


@pytest.mark.parametrize("name", ["train_head", "baseline", "verdict", "evaluate"])
def test_what_is_imported_only_when_needed_is_a_dependency_all_the_same(name: str) -> None:
    assert "headstart/networks" in GRAPH[name]["deps"]


# Imports each stage in a process of its own, forked from one that has what many of them import; prints what it brings along that takes seconds.
IMPORTS = """
import importlib, os, sys
import PIL.Image, numpy, pandas, pydantic, pyarrow
from headstart import params
heavy = ("torch", "torchvision", "timm", "prefect", "dvc", "great_expectations", "onnxruntime")
assert not {*heavy, "tasks"} & set(sys.modules)
for name in sys.argv[1:]:
    if not os.fork():
        importlib.import_module(f"tasks.{name}")
        print(name, *sorted(set(heavy) & set(sys.modules)), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, name
"""
LIGHT, LAZY = ("index_images", "validate_data", "report"), ("train_head", "baseline", "verdict", "evaluate", "adapt", "compare_batches")


@pytest.fixture(scope="module")
def brought() -> dict[str, set[str]]:
    """What takes seconds and is imported with a stage at once, for stages that need no torch, or not always."""
    done = subprocess.run([sys.executable, "-c", IMPORTS, *LIGHT, *LAZY], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return {name: set(modules) for name, *modules in lines}


@pytest.mark.parametrize("name", LIGHT)
def test_light_stages_do_not_import_torch(name: str, imports: grimp.ImportGraph, brought: dict[str, set[str]]) -> None:
    allowed = {"headstart.base.cores", "headstart.base.devices"}  # in functions for those who compute with torch
    files = {module: ROOT / f"{module.replace('.', '/')}.py" for module in reached(imports, name) - allowed}
    lazily = {module for module, file in files.items() if file.exists() and "torch" in imported(file)}
    assert not lazily, f"{name} imports torch in {lazily}"
    assert brought[name] == set()


@pytest.mark.parametrize("name", LAZY)
def test_stages_that_may_do_without_torch_do_not_import_it_at_once(name: str, brought: dict[str, set[str]]) -> None:
    assert brought[name] == set()


def imported(path: Path) -> set[str]:
    """First names of all modules that a file imports, at its top or inside functions."""
    tree = ast.parse(path.read_text())
    plain = {alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


def test_importing_does_nothing(tmp_path: Path) -> None:
    modules = [str(p.relative_to(ROOT).with_suffix("")).replace("/", ".") for f in ("headstart", "tasks") for p in (ROOT / f).rglob("*.py")]
    script = "import importlib, sys; sys.path.insert(0, sys.argv[1])\nfor name in sys.argv[2:]: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", script, str(ROOT), *modules], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
