"""Stages whose networks are exported already do without PyTorch, whose import takes seconds; and give the same bytes with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headstart import params
from headstart.data import manifest
from headstart.features import engines
from headstart.networks import sources
from tests import ROOT, tiny

# Runs train_head, a baseline that is off, verdict and evaluate as their stages do, into the folder that is named; prints what was imported that takes seconds.
STAGES = """
import json, sys
from pathlib import Path
from headstart import params
from headstart.features import engines
from tasks import baseline, evaluate, train_head, verdict

engines.FEW = 0  # networks are exported for the few images of a test too
given, out = params.check(json.loads(Path("settings.json").read_text())), Path(sys.argv[1])
off = given.baseline.model_copy(update={"epochs": 0})
train_head.train_head(out=out / "head", block=given.train_head, shared=given)
baseline.baseline(out=out / "baseline", curve=out / "baseline.csv", block=off, verdict=given.verdict, shared=given)
verdict.verdict(out=out / "chosen", result=out / "verdict.json", block=given.verdict, shared=given)
plots = {name: out / f"{name}.csv" for name in ("confusion", "reliability")}
written = {"final": out / "final", "predictions": out / "predictions.parquet", "metrics": out / "metrics.json", "compared": out / "compared.json", **plots}
evaluate.evaluate(head=out / "head", **written, block=given.evaluate, shared=given)
print(sorted({"torch", "timm", "torchvision"} & set(sys.modules)))
"""

PREDICT = """
import sys
from pathlib import Path
from headstart.features import predict

for row in predict.predict([Path("data/images")], Path("first/final")):
    print(*row)
print(sorted({"torch", "timm", "torchvision"} & set(sys.modules)))
"""


def run(script: str, *arguments: str, cwd: Path) -> list[str]:
    """The lines that a script prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after its first run, in this process, whose caches are full; the head ships, so evaluate needs the source's weights too."""
    folder = tmp_path_factory.mktemp("project")
    small = {"epochs": 1, "views": 1, "batch_size": 8}
    settings: dict[str, Any] = {
        "device": "cpu",
        "train_head": {"penalties": [1.0, 0.1], "folds": 3},
        "fine_tune": {**small, "depth": 1},
        "baseline": {**small, "max_size": 32},
        "verdict": {"average": False, "remedies": False, "resamples": 100, "seeds": 1},
        "evaluate": {"bootstrap": 100, "calibration_bins": 10},
    }
    given = params.check(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(engines, "FEW", 0)
        from tasks import baseline, fine_tune, train_head, verdict

        manifest.write(tiny.table(Path("data/images"), per_class=10, size=32), Path("data/clean.parquet"))
        Path("models").mkdir()
        card = sources.load(tiny.checkpoint(Path("source"))).card().to_json()
        Path("models/source.json").write_text(json.dumps({**card, "parameters": {}}))
        Path("models/architecture.json").write_text(json.dumps(card))
        Path("models/changes.json").write_text("[]")
        Path("settings.json").write_text(json.dumps(settings))
        train_head.train_head(block=given.train_head, shared=given)
        fine_tune.fine_tune(block=given.fine_tune, shared=given)
        baseline.baseline(block=given.baseline, verdict=given.verdict, shared=given)
        verdict.verdict(block=given.verdict, shared=given)
        summary = Path("models/chosen/summary.json")
        summary.write_text(json.dumps({**json.loads(summary.read_text()), "arm": "head"}))
        patch.setattr(sys, "argv", ["stages", "first"])
        exec(compile(STAGES, "stages", "exec"), {})
    return folder


def test_stages_whose_networks_are_exported_do_without_torch(project: Path) -> None:
    assert run(STAGES, "again", cwd=project)[-1] == "[]"
    assert written(project / "again") == written(project / "first")
    assert len(written(project / "first")) == 15


def test_nor_do_they_need_it_to_compute_features_anew(project: Path) -> None:
    shutil.rmtree(project / ".headstart/features")
    assert run(STAGES, "anew", cwd=project)[-1] == "[]"
    assert written(project / "anew") == written(project / "first")


def test_what_is_lost_is_made_again_with_torch_to_the_same_bytes(project: Path) -> None:
    for name in ("engines", "sources", "features"):
        shutil.rmtree(project / ".headstart" / name)
    assert "'torch'" in run(STAGES, "remade", cwd=project)[-1]
    assert written(project / "remade") == written(project / "first")
    assert run(STAGES, "after", cwd=project)[-1] == "[]"


def test_predict_does_without_torch_once_it_has_run(project: Path) -> None:
    first = run(PREDICT, cwd=project)
    again = run(PREDICT, cwd=project)
    assert again[-1] == "[]"
    assert again[:-1] == first[:-1]
    assert len(again) == 31
