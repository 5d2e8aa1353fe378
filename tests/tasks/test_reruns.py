"""What a change of code has DVC run again: the real graph over a copy of the real code, each stage's command replaced by one that writes its outputs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests import ROOT
from tests.tasks.test_contract import paths

STAGES = {
    "index_images",
    "validate_data",
    "select_source",
    "train_head",
    "fine_tune",
    "baseline",
    "verdict",
    "evaluate",
    "adapt",
    "compare_batches",
    "group_images",
    "report",
}


def dvc(*arguments: str) -> str:
    """What a dvc command writes."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rerun() -> set[str]:
    """The stages that `dvc repro` runs."""
    return {line.split("'")[1] for line in dvc("repro").splitlines() if line.startswith("Running stage '")}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkout's graph and code, run once; a stage writes its name into each of its outputs."""
    monkeypatch.chdir(tmp_path)
    for folder in ("headstart", "tasks"):
        shutil.copytree(ROOT / folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("params.yaml", ".dvcignore"):
        shutil.copy(ROOT / file, file)
    graph: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
    for name, stage in graph["stages"].items():
        outs = [path for kind in ("outs", "metrics", "plots") for path in paths(stage.get(kind, []))]
        stage["cmd"] = " && ".join(f"mkdir -p {Path(out).parent} && echo {name} > {out}" for out in outs)
    with Path("dvc.yaml").open("w") as file:
        YAML().dump(graph, file)
    (tmp_path / "data/images").mkdir(parents=True)
    (tmp_path / "data/images/1.txt").write_text("1")
    dvc("init", "--no-scm", "--quiet")
    assert rerun() == STAGES
    assert rerun() == set()
    return tmp_path


def append(file: str, line: str) -> None:
    path = Path(file)
    path.write_text(path.read_text() + f"\n{line}\n")


def test_code_reruns_the_stages_of_its_room_and_what_their_outputs_change(project: Path) -> None:
    append("headstart/indexing/duplicates.py", "MORE = 1")
    assert rerun() == {"index_images"}, "the manifest has the same bytes"
    append("headstart/proof/comparison.py", "SENTENCE = 'Transfer helped a lot.'")
    assert rerun() == {"verdict", "evaluate"}, "and nothing is trained"
    append("headstart/machinery/progress.py", "FASTER = True")
    assert rerun() == set()
    append("headstart/training/loop.py", "SLOWER = True")
    assert rerun() == {"select_source", "fine_tune", "baseline", "verdict"}
