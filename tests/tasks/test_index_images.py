"""tasks.index_images: the stage as a function and as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headstart.data import manifest
from headstart.indexing import indexer
from headstart.machinery.errors import DataError
from headstart.params import IndexImages, Seeded
from tasks.index_images import index_images
from tests import ROOT, toy

PARAMETERS: dict[str, Any] = {"block": IndexImages(), "shared": Seeded()}


def test_writes_the_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy.images(tmp_path / "images", per_class=10)
    (tmp_path / "images/ant/broken.jpg").touch()
    index_images(tmp_path / "images", tmp_path / "out/manifest.parquet", tmp_path / "out/target.parquet", **PARAMETERS)
    table = manifest.read(tmp_path / "out/manifest.parquet")
    assert table.equals(indexer.index(tmp_path / "images", **toy.INDEX))
    assert capsys.readouterr().out == "31 files, 1 of them unreadable; 3 classes; 18 train, 6 validation, 6 test\n"


def test_a_refusal_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        index_images(tmp_path / "images", tmp_path / "manifest.parquet", tmp_path / "target.parquet", **PARAMETERS)
    assert list(tmp_path.iterdir()) == []


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tasks.index_images"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_as_a_process(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("seed: 3\nindex_images:\n  test_share: 0.5\n")
    refused = run(tmp_path)
    assert refused.returncode == 3
    assert refused.stderr == "error: there is no folder data/images; import images with `headstart import PATH`\n"
    assert json.loads((tmp_path / ".headstart/failure.json").read_text())["stage"] == "index_images"
    toy.images(tmp_path / "data/images", per_class=10)
    done = run(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    table = manifest.read(tmp_path / "data/manifest.parquet")
    assert table.equals(indexer.index(tmp_path / "data/images", **(toy.INDEX | {"seed": 3, "test_share": 0.5})))
    assert (table["split"] == "test").sum() == 15
