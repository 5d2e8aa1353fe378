"""tasks.compare_batches: without batches it says so; with some it tells accuracy, forgetting and drift, the same in every run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.base import outputs
from headstart.continual import comparing, sums
from headstart.data import manifest
from headstart.features import of_source
from headstart.features.predict import predict
from headstart.importing import datasets, joining
from headstart.importing.joining import Indexing
from headstart.importing.options import Options
from headstart.indexing.arrivals import Cut
from headstart.networks import cards, sources
from headstart.params import Aimed, CompareBatches, IndexImages, Shared, TrainHead
from headstart.statistics.goals import ACCURACY
from tasks.compare_batches import compare_batches
from tasks.index_images import index_images
from tasks.train_head import train_head
from tests import tiny, toy

HOW = Indexing(Cut(0.2, 0.2, 4, 20, 0), 100_000_000)


def test_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    toy.images(Path("data/images"), per_class=4)
    index_images(block=IndexImages(), shared=Shared())
    shutil.copy("data/manifest.parquet", "data/clean.parquet")
    compare_batches(block=CompareBatches(), shared=Shared())
    assert "nothing to compare: all images came at once" in capsys.readouterr().out
    assert outputs.read_json(Path("reports/batches.json")) == {"batches": [], "forgetting": [], "drift": None, "remembered": None}
    assert [path.name for path in Path("models/remembered").iterdir()] == ["README.txt"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stages before would have left of two batches, the second of other photos, with a class of its own."""
    monkeypatch.chdir(tmp_path)
    toy.images(Path("first"), ("ant", "bee"), per_class=25)
    toy.images(Path("second"), ("ant", "bee", "cat"), per_class=12, seed=5)
    datasets.import_dataset("first", Path("data/was"), how=Options(), current=Path("data/none"))
    joining.add("second", Path("data/images"), Path("data/was"), Path("none"), HOW, batch="later", options=Options(fewest=1))
    index_images(block=IndexImages(), shared=Shared())
    shutil.copy("data/manifest.parquet", "data/clean.parquet")
    tiny.checkpoint(Path("a source"))
    outputs.write_json(Path("models/source.json"), sources.load("checkpoint:a source").card().to_json())
    train_head(block=TrainHead(folds=3), shared=Aimed())
    table = manifest.read(Path("data/clean.parquet"))
    test = table.loc[table["split"] == "test", ["path"]]
    Path("reports").mkdir()
    test.assign(correct=[number % 5 > 0 for number in range(len(test))]).to_parquet("reports/predictions.parquet")
    return tmp_path


@pytest.mark.usefixtures("run")
def test_what_is_told_of_batches(capsys: pytest.CaptureFixture[str]) -> None:
    compare_batches(block=CompareBatches(permutations=199), shared=Shared())
    out = Path("reports/batches.json")
    report, first = outputs.read_json(out), out.read_bytes()
    assert [(one["name"], one["images"], one["new_classes"]) for one in report["batches"]] == [("batch-1", 50, []), ("later", 36, ["cat"])]
    table = manifest.read(Path("data/clean.parquet"))
    answers = pd.read_parquet("reports/predictions.parquet").set_index("path")["correct"]
    for one in report["batches"]:
        paths = table.loc[(table["batch"] == one["name"]) & (table["split"] == "test"), "path"]
        assert (one["n_test"], one["accuracy"]) == (len(paths), pytest.approx(answers[paths].mean()))
        assert one["interval"][0] <= one["accuracy"] <= one["interval"][1]
    (forgotten,) = report["forgetting"]
    assert (forgotten["name"], forgotten["n"]) == ("batch-1", 10)
    assert forgotten["difference"] == pytest.approx(forgotten["after"] - forgotten["before"])
    drift = report["drift"]
    assert (drift["batch"], drift["level"], set(drift["new_classes"])) == ("later", 0.01, {"cat"})
    assert "classes" in drift["found"]
    rows = table[(table["split"] != "test") & (table["label"] != "cat")].drop_duplicates(["group", "batch"])
    assert (drift["looks"]["n_new"], drift["looks"]["n_before"]) == ((rows["batch"] == "later").sum(), (rows["batch"] != "later").sum())
    assert "batch later: " in capsys.readouterr().out
    compare_batches(block=CompareBatches(permutations=199), shared=Shared())
    assert out.read_bytes() == first
    json.loads(first)


def test_without_two_classes_before_nothing_is_said_of_forgetting(run: Path) -> None:
    table = manifest.read(Path("data/clean.parquet"))
    only = table.assign(batch=["later" if label != "ant" else "batch-1" for label in table["label"]])
    how: dict[str, Any] = {"penalty": 1.0, "balanced": False, "goal": ACCURACY}
    assert comparing.without_newest(only, np.zeros((len(table), 3), np.float32), ["ant", "bee", "cat"], "later", **how) is None


@pytest.mark.usefixtures("run")
def test_a_model_remembers_what_was_forgotten() -> None:
    """The batch with the only cats is forgotten; a model from its sums still names cats."""
    card = cards.read_source(Path("models/source.json"))
    table = manifest.read(Path("data/clean.parquet"))
    gone = table[(table["batch"] == "later") & (table["split"] != "test")].reset_index(drop=True)
    kept = sums.of(card.name, card.weights_sha256, of_source.of_source(card, gone, Path("data/images")), gone["label"])
    joining.forget(Path("next"), Path("data/images"), "later")
    sums.write(Path("next"), "later", kept)
    cats = [Path("data/images") / path for path in table.loc[table["label"] == "cat", "path"]]
    Path("data/images").rename("with cats")
    Path("next").rename("data/images")
    index_images(block=IndexImages(), shared=Shared())
    shutil.copy("data/manifest.parquet", "data/clean.parquet")
    compare_batches(block=CompareBatches(), shared=Shared())
    report = outputs.read_json(Path("reports/batches.json"))
    assert (report["batches"], report["drift"]) == ([], None)
    remembered = report["remembered"]
    assert (remembered["batches"], remembered["unusable"], remembered["gone_classes"]) == (["later"], [], ["cat"])
    assert (remembered["images"], remembered["n_test"], remembered["classes"]) == (len(gone), 10, ["ant", "bee", "cat"])
    answers = [one.label for one in predict([Path("with cats", *path.parts[2:]) for path in cats], Path("models/remembered"))]
    assert answers.count("cat") > len(cats) * 0.8
    other = outputs.read_json(Path("data/images/.forgotten/later.json"))
    outputs.write_json(Path("data/images/.forgotten/later.json"), {**other, "weights_sha256": "1" * 64})
    compare_batches(block=CompareBatches(), shared=Shared())
    assert outputs.read_json(Path("reports/batches.json"))["remembered"]["unusable"] == ["later"]
    assert [path.name for path in Path("models/remembered").iterdir()] == ["README.txt"]
