"""tasks.train_head with images without labels: what they came to, and the label that the head gives each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from headstart.base import outputs
from headstart.importing import datasets
from headstart.importing.options import Options
from headstart.networks import sources
from headstart.params import Aimed, IndexImages, Shared, TrainHead
from tasks.index_images import index_images
from tasks.train_head import train_head
from tests import tiny, toy


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stages before leave of thirty labelled images and twelve others."""
    monkeypatch.chdir(tmp_path)
    toy.images(Path("in"), per_class=10)
    toy.images(Path("in"), ("unlabelled",), per_class=12, seed=5)
    datasets.import_dataset("in", Path("data/images"), how=Options(unlabelled=True), current=Path("data/none"))
    index_images(block=IndexImages(), shared=Shared())
    shutil.copy("data/manifest.parquet", "data/clean.parquet")
    tiny.checkpoint(Path("a source"))
    outputs.write_json(Path("models/source.json"), sources.load("checkpoint:a source").card().to_json())
    return tmp_path


@pytest.mark.usefixtures("project")
def test_each_image_without_a_label_gets_one(capsys: pytest.CaptureFixture[str]) -> None:
    train_head(block=TrainHead(folds=3, self_training="always"), shared=Aimed())
    told = outputs.read_json(Path("models/head/summary.json"))["self_training"]
    assert (told["joined"], told["images"]) == (True, 12)
    table = pd.read_csv("models/head/unlabelled.csv")
    assert table["path"].tolist() == [f"unlabelled/{number:04d}.png" for number in range(12)]
    assert set(table["label"]) <= set(toy.CLASSES)
    assert table["probability"].between(0, 1).all()
    assert f"{told['learned']} images without labels joined: train_head.self_training is always" in capsys.readouterr().out


@pytest.mark.usefixtures("project")
def test_the_same_images_give_the_same_bytes() -> None:
    made = []
    for _ in range(2):
        train_head(block=TrainHead(folds=3, self_training="always"), shared=Aimed())
        made.append({path.name: path.read_bytes() for path in Path("models/head").iterdir()})
        shutil.rmtree("models/head")
    assert made[0] == made[1]


@pytest.mark.usefixtures("project")
def test_never(capsys: pytest.CaptureFixture[str]) -> None:
    train_head(block=TrainHead(folds=3, self_training="never"), shared=Aimed())
    assert "labels alone: train_head.self_training is never" in capsys.readouterr().out
    assert len(pd.read_csv("models/head/unlabelled.csv")) == 12
