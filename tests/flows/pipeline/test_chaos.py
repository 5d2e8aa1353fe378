"""Kill -9 of a stage and of dvc: nobody goes on writing, nothing half-made counts, and the next run ends with the same bytes.

The kills at random moments are those of benchmarks/chaos.py, on a pipeline that trains for a second or two.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import chaos
from flows.repository import child, dvc, torn
from headstart.params import Seeded
from headstart.training import checkpoints
from tasks import stage
from tests import PATIENCE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")

TRAINS = """
from collections import OrderedDict
from pathlib import Path
import numpy as np
from torch import nn
import torch
from headstart.base import outputs, weights
from headstart.params import Seeded
from headstart.training import checkpoints, loop
from headstart.training.examples import Examples, Recipe
from headstart.training.strategies import Phase
from tasks import stage

def fine_tune(prepared=Path("models/prepared.txt"), out=Path("models/trained"), curve=Path("reports/curve.json"), *, shared: Seeded):
    torch.manual_seed(shared.seed)
    wide = 20_000  # so that writing a checkpoint takes some milliseconds
    one = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, wide))
    tail = nn.Sequential(OrderedDict(one=one, head=nn.Linear(wide, 3))).eval()
    random, labels = np.random.default_rng(int(prepared.read_text())), np.arange(150) % 3
    rows = random.normal(size=(150, 3, 12, 12)).astype(np.float32) + np.eye(3, dtype=np.float32)[labels][:, :, None, None] / 2
    given = Examples([rows], labels, "toy")
    recipe = Recipe(50, 100, 0.01, 0.0, np.ones(3), shared.seed)
    phases = [Phase("head", 6, {"head": 0.01}), Phase("all", 14, {"head": 0.01, "one": 0.01})]
    done = loop.fit(tail, phases, given, given, recipe, keeper=checkpoints.keeper())
    with outputs.folder(out) as folder:
        weights.write(folder / "weights.safetensors", {name: value.numpy() for name, value in tail.state_dict().items()})
        (folder / "right").write_bytes(done.right.tobytes())
    outputs.write_json(curve, [done.curve, done.phases, done.steps, done.best, done.image_passes])

stage.run(fine_tune)
"""
GRAPH = """
stages:
  index_images: {cmd: "mkdir -p models && cp data/images/a/1.txt models/prepared.txt", deps: [data/images], outs: [models/prepared.txt]}
  fine_tune:
    cmd: python toy_stage.py
    deps: [models/prepared.txt]
    params: [seed]
    outs: [models/trained, reports/curve.json: {cache: false}]
"""


def test_five_kills(toy_project: Path) -> None:
    Path("toy_stage.py").write_text(TRAINS)
    Path("dvc.yaml").write_text(GRAPH)
    dvc.add(Path("data/images"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        done = chaos.Chaos(toy_project.resolve(), random.Random(3), results=("models", "reports"))
        done.undisturbed()
        assert sorted(done.expected) == [
            "models/prepared.txt",
            "models/trained/right",
            "models/trained/weights.safetensors",
            "reports/curve.json",
        ]
        done.of_stages(5, 1)
    found = done.figures()
    assert (found["kills_recovered"], found["kills_lost"], found["kills_different"]) == (found["kills"], 0, 0), found
    assert found["kills"] >= 5
    assert found["of"]["write"] == 1
    assert chaos.working(toy_project.resolve()) == {}


def started(path: Path, patience: float = PATIENCE) -> int:
    """The process id that a stage notes as it begins."""
    deadline = time.monotonic() + patience
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, "the stage did not begin"
        time.sleep(0.02)
    return int(path.read_text())


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_stage_does_not_outlive_dvc(shell: str, toy_project: Path) -> None:
    """Whether or not a shell stays between them."""
    if not Path(shell).exists():
        pytest.skip(f"there is no {shell}")
    Path("index_images.sleeps").write_text(str(2 * PATIENCE))
    environment = {**os.environ, "SHELL": shell, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen([sys.executable, "-m", "dvc", "repro", "index_images"], env=environment, stdout=subprocess.DEVNULL) as run:
        pid = started(Path("started"))
        assert dvc.MARKS.exists(), "the stage works under the lock"
        os.kill(run.pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while (chaos.working(toy_project.resolve()) or child.alive(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)  # a process that ends is in no folder any more a moment before it is gone
    assert not chaos.working(toy_project.resolve())
    assert not child.alive(pid)
    Path("index_images.sleeps").unlink()
    dvc.forget_dead()
    assert dvc.repro("index_images")["outcome"] == "ran"


def test_what_a_killed_stage_had_begun_to_write_is_removed(toy_project: Path) -> None:
    def report(out: Path = Path("models/final"), figures: Path = Path("reports/a [1].json"), *, shared: Seeded) -> None:
        assert sorted(path.name for path in out.parent.iterdir()) == [".final.txt", ".finals.12", ".gitignore"]
        assert list(figures.parent.iterdir()) == []

    for folder in ("models/.final.123", "models/.finals.12", "models/.final.txt"):
        Path(folder).mkdir(parents=True)
        Path(folder, "card.json").write_text("{")
    Path("models/.gitignore").write_text("/final\n")
    Path("reports").mkdir()
    Path("reports/.a [1].json.77").write_text("{")
    stage.run(report)


@pytest.mark.parametrize("fails", [False, True])
def test_a_stage_keeps_checkpoints_until_it_has_ended_well(fails: bool, toy_project: Path) -> None:
    def report(*, shared: Seeded) -> None:
        keeper = checkpoints.keeper()
        assert keeper
        keeper.write("a", lambda: ({}, {}))
        if fails:
            raise RuntimeError

    if fails:
        with pytest.raises(RuntimeError):
            stage.run(report)
    else:
        stage.run(report)
    assert [path.name for path in Path(".headstart/checkpoints").glob("*")] == (["a.safetensors"] if fails else [])


@pytest.mark.usefixtures("forked_dvc")
@pytest.mark.parametrize("torn_at", [0.0, 0.3, 0.6, 0.9])
def test_a_torn_lock_file_is_made_anew(torn_at: float, toy_project: Path) -> None:
    said: list[str] = []
    dvc.repro("index_images")
    whole = torn.LOCK.read_bytes()
    torn.forget(said.append)
    assert torn.LOCK.read_bytes() == whole
    torn.LOCK.write_bytes(whole[: int(torn_at * len(whole))])
    torn.forget(said.append)
    assert dvc.repro("index_images")["outcome"] == "cached", "from the run cache"
    assert torn.LOCK.read_bytes() == whole
    assert all("dvc.lock was half written" in line for line in said)
    assert len(said) <= 1


@pytest.mark.usefixtures("forked_dvc")
@pytest.mark.parametrize("tear", [lambda content: b"", lambda content: content[:20], lambda content: content[:-20]])
def test_a_torn_record_of_images_is_made_anew_where_they_are(tear: Callable[[bytes], bytes], toy_project: Path) -> None:
    said: list[str] = []
    dvc.add(torn.IMAGES)
    whole = torn.RECORD.read_bytes()
    torn.forget(said.append)
    assert (said, torn.RECORD.read_bytes()) == ([], whole)
    torn.RECORD.write_bytes(tear(whole))
    torn.forget(said.append)
    dvc.add(torn.IMAGES)
    assert torn.RECORD.read_bytes() == whole
    shutil.rmtree(torn.IMAGES)
    torn.RECORD.write_bytes(b"outs:\n- md5: b7")
    torn.forget(said.append)
    assert torn.RECORD.exists(), "nothing else says which images they were"


@pytest.mark.usefixtures("forked_dvc")
def test_what_dvc_can_read_is_not_torn(toy_project: Path) -> None:
    """As where a remote keeps versions: hashes of files instead of one."""
    dvc.repro("index_images")
    torn.LOCK.write_text(torn.LOCK.read_text().replace("hash: md5", "hash: md5\n      cloud: {}").replace("size: ", "size:  "))
    before = torn.LOCK.read_bytes()
    assert not torn._lock(json.loads("{}"))
    torn.forget(lambda line: pytest.fail(line))
    assert torn.LOCK.read_bytes() == before
