"""tasks.adapt: without a second domain it says so; with one it makes a model that gives the labels it told of, or says why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from headstart.base import outputs
from headstart.data import manifest
from headstart.features.predict import predict
from headstart.importing import datasets
from headstart.importing.options import Options
from headstart.params import Adapt, IndexImages, Shared
from tasks.adapt import adapt
from tasks.index_images import index_images
from tests import tiny, toy


@pytest.mark.parametrize("when", ["if_shown", "never"])
def test_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str], when: str) -> None:
    toy.images(tmp_path / "images", per_class=1)
    toy.none_without_labels(tmp_path / "target.parquet")
    given = [tmp_path / name for name in ("images", "clean.parquet", "target.parquet", "ranking.json", "final")]
    made = [tmp_path / name for name in ("adapted", "target", "adapt.json")]
    adapt(*given, *made, block=Adapt(when=when), shared=Shared())  # type: ignore[arg-type]
    assert "nothing to adapt: there is no second domain" in capsys.readouterr().out
    report = json.loads((tmp_path / "adapt.json").read_text())
    assert (report["setting"], report["images"], report["adapted"]) == ("labelled", 0, False)
    assert [path.name for path in (tmp_path / "adapted").iterdir()] == ["README.txt"], "DVC warns of an empty folder"
    assert (tmp_path / "target/predictions.csv").read_text() == "path,label,probability,not_adapted\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stages before would have left: labelled toy photos, others without labels, two untrained sources, and a model of one of them."""
    monkeypatch.chdir(tmp_path)
    toy.images(Path("in"), per_class=10)
    toy.images(Path("other"), per_class=14, seed=1)
    Path("few.csv").write_text("".join(["path,label\n", *(f"{name}/{i:04d}.png,{name}\n" for name in toy.CLASSES for i in range(2))]))
    how = Options(target="other", target_labels="few.csv")
    datasets.import_dataset("in", Path("data/images"), how=how, current=Path("data/none"))
    index_images(block=IndexImages(), shared=Shared())
    manifest.write(manifest.read(Path("data/manifest.parquet")), Path("data/clean.parquet"))
    names = [tiny.checkpoint(Path("source a")), tiny.checkpoint(Path("source b"), seed=1)]
    outputs.write_json(Path("reports/ranking.json"), {"candidates": [{"name": n, "status": "ranked", "input_size": 64} for n in names]})
    shutil.copytree("source a", "models/final")
    card = outputs.read_json(Path("models/final/card.json"))
    outputs.write_json(Path("models/final/card.json"), {**card, "classes": list(toy.CLASSES), "weights_sha256": "0" * 64})
    return tmp_path


@pytest.mark.usefixtures("run")
def test_the_model_that_is_made_gives_the_labels_of_the_table() -> None:
    adapt(block=Adapt(when="always", ask=5), shared=Shared())
    report = json.loads(Path("reports/adapt.json").read_text())
    assert (report["setting"], report["images"], report["adapted"]) == ("two_domains", 42, True)
    assert {one["name"] for one in report["sources"]} == {"checkpoint:source a", "checkpoint:source b"}
    assert report["labelled"]["n"] == 6
    told = pd.read_csv("reports/target/predictions.csv")
    assert len(told) == 42
    again = list(predict([Path("other") / path for path in told["path"]], Path("models/adapted")))
    assert [one.label for one in again] == told["label"].tolist()
    assert [one.probability for one in again] == pytest.approx(told["probability"].tolist(), abs=1e-3)
    assert len(pd.read_csv("reports/target/label_these.csv")) == 5
    drawn = pd.read_parquet("reports/target/map.parquet")
    named = dict(zip(told["path"], told["label"], strict=True))
    target = drawn[drawn["domain"] == "target"]
    assert [named[path.removeprefix(".target/")] for path in target["path"]] == target["after"].tolist()
    assert report["renamed"] == (told["label"] != told["not_adapted"]).sum()
    assert drawn.drop(columns=["path", "domain", "before", "after"]).min().min() == 0


@pytest.mark.usefixtures("run")
def test_the_same_input_gives_the_same_bytes() -> None:
    kept = []
    for _ in range(2):
        adapt(block=Adapt(when="always", mapped=0), shared=Shared())
        kept.append([Path(name).read_bytes() for name in ("models/adapted/model.safetensors", "reports/adapt.json")])
    assert kept[0] == kept[1]


@pytest.mark.usefixtures("run")
def test_a_refusal_gives_the_labels_of_the_model_as_it_is() -> None:
    adapt(block=Adapt(mapped=0), shared=Shared())
    report = json.loads(Path("reports/adapt.json").read_text())
    assert not report["adapted"]
    assert "not shown to agree more than without adapting" in report["reason"], "the model as it is does well on these"
    told = pd.read_csv("reports/target/predictions.csv")
    assert told["label"].tolist() == told["not_adapted"].tolist()
    assert [path.name for path in Path("models/adapted").iterdir()] == ["README.txt"]
