"""headstart.developing and its parameters: a source of one's own, the baselines that it must beat, its card."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.base import outputs
from headstart.developing import develop as develop_module
from headstart.developing import judging
from headstart.indexing import indexer
from headstart.machinery.errors import ParamsError
from headstart.networks import cards, model, sources
from headstart.networks.cards import ModelCard
from headstart.params import developing
from headstart.params.developing import TrainSource
from tests import tiny, toy
from tests.training.test_scratch import AUGMENTATION, CLASSES, striped

__all__ = ["striped"]

SMALL: dict[str, Any] = {"input_size": 32, "epochs": 8, "views": 1, "batch_size": 16, "augmentation": AUGMENTATION}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def develop(striped: tuple[Path, pd.DataFrame], folder: Path = Path("made"), **other: Any) -> ModelCard:
    """Train and evaluate; what came of it lies in `folder` as register_source writes it. Returns the card."""
    plan = TrainSource.model_validate({"architecture": "timm:test_resnet", **SMALL, **other})
    done = develop_module.train(striped[1], striped[0], plan, seed=0)
    with outputs.folder(folder) as new:
        model.save(new / cards.WEIGHTS, done.network)
        card = judging.evaluate(striped[1], striped[0], new / cards.WEIGHTS, done.summary, seed=0)
        outputs.write_json(new / cards.CARD, card.to_json())
    return card


def test_a_source_from_random_weights_is_a_checkpoint_with_a_classifier(striped: tuple[Path, pd.DataFrame]) -> None:
    card = develop(striped)
    source = sources.load("checkpoint:made")
    assert source.weights_sha256 == card.weights_sha256
    assert (source.architecture, source.transform.input_size, source.licence) == ("test_resnet", 32, "own")
    network, read = model.load(Path("made"))
    assert list(read.classes) == CLASSES
    assert network.head.out_features == 3, "LEEP and `headstart predict` need it"
    figures = card.to_json()["metrics"]
    assert figures["beats"], figures["reason"]
    assert figures["accuracy"] > figures["baselines"]["thumbnails"]["accuracy"] + 0.2
    assert figures["baselines"]["majority"]["accuracy"] == pytest.approx(1 / 3)
    assert card.started_from == {"name": "random", "weights_sha256": None, "licence": None}
    assert card.parameters["train_source"]["epochs"] == 8


def test_the_same_bytes_each_time(striped: tuple[Path, pd.DataFrame]) -> None:
    for name in ("one", "two"):
        develop(striped, Path(name), epochs=1)
    one, two = ([hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path(name).iterdir())] for name in ("one", "two"))
    assert one == two


def test_a_source_from_a_candidate_trains_all_of_it_from_a_converged_head(striped: tuple[Path, pd.DataFrame]) -> None:
    start = tiny.checkpoint(Path("start"), size=32)
    plan = TrainSource.model_validate({**SMALL, "start": start, "rate": 3e-3, "epochs": 2, "decay": 0.5})
    done = develop_module.train(striped[1], striped[0], plan, seed=0)
    rates = done.summary["phases"][0]["rates"]
    assert list(rates) == ["head", "layer4", "layer3", "layer2", "layer1", "conv1"]
    assert list(rates.values()) == pytest.approx([3e-3 / 2**i for i in range(6)])
    assert len(done.curve) == 3
    assert done.curve[0]["validation_accuracy"] > 0.5, "it starts from a head that was trained"
    assert done.summary["started_from"] == {"name": start, "weights_sha256": sources.load(start).weights_sha256, "licence": None}
    assert done.summary["architecture"] == "test_resnet"
    assert done.network.head.out_features == 3


@pytest.mark.parametrize("name", ["timm:no_such_network", "torchvision:resnet_and_a_half"])
def test_an_unknown_architecture_is_named(striped: tuple[Path, pd.DataFrame], name: str) -> None:
    with pytest.raises(ParamsError, match=name.partition(":")[2]):
        develop(striped, architecture=name)


# Baselines


def test_naive_baselines(tmp_path: Path) -> None:
    toy.images(tmp_path / "photos", per_class=10)
    for extra in range(10, 20):
        toy.photo(1, extra).save(tmp_path / "photos" / "bee" / f"{extra:04d}.png")
    table = indexer.index(tmp_path / "photos", **toy.INDEX)
    held = table[table["split"] == "test"]
    answers = judging.naive(table, tmp_path / "photos", seed=0)
    assert answers["majority"].tolist() == ["bee"] * len(held)
    assert (answers["thumbnails"] == held["label"].to_numpy()).mean() > 0.8, "toy classes have colours of their own"
    blind = table.assign(label=table["label"].where(table["split"] != "test", "ant"))
    for name, theirs in judging.naive(blind, tmp_path / "photos", seed=0).items():
        assert (theirs == answers[name]).all(), "labels of test images change nothing"


def right(share: float, n: int = 100) -> np.ndarray:
    return np.arange(n) < share * n


@pytest.mark.parametrize(
    ("ours", "majority", "thumbnails", "beats"),
    [(0.9, 0.3, 0.7, True), (0.9, 0.3, 0.9, False), (0.9, 0.95, 0.3, False), (0.71, 0.3, 0.7, False), (0.72, 0.3, 0.7, True)],
)
def test_each_baseline_is_to_be_beaten_by_a_standard_error(ours: float, majority: float, thumbnails: float, beats: bool) -> None:
    figures = judging.against_baselines(right(ours), {"majority": right(majority), "thumbnails": right(thumbnails)})
    assert figures["beats"] is beats
    row = figures["baselines"]["thumbnails"]
    assert row["difference"] == pytest.approx(ours - thumbnails)
    assert row["standard_error"] == pytest.approx((right(ours).astype(float) - right(thumbnails)).std(ddof=1) / 10)
    assert ("does not beat" in figures["reason"]) is not beats
    assert "of 100 test images right" in figures["reason"]


@pytest.mark.parametrize(("side", "expected"), [(8, (32, 64)), (100, (128, 224)), (5000, (224, 224))])
def test_the_input_size_follows_the_images(side: int, expected: tuple[int, int]) -> None:
    table = pd.DataFrame({"width": [side, side, 9000], "height": [side, side + 5, 9000]})
    assert (develop_module.choose_size("auto", 224, 1, table), develop_module.choose_size("auto", 224, 8, table)) == expected
    assert develop_module.choose_size(96, 224, 1, table) == 96


# Parameters


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochz": 3}, "epochz"),
        ({"epochs": 0}, "epochs: .*greater than or equal to 1"),
        ({"architecture": "resnet18"}, "timm:NAME or torchvision:NAME"),
        ({"start": "wheel:efficientnet_lite0", "architecture": "timm:resnet18"}, "leave it out"),
        ({"input_size": 8}, "here has 1 problem.*\n.*input_size: 8 is wrong: give a whole number from 32 to 1,024 or auto$"),
        ({"rate": -1.0}, "above 0 to 1"),
        ({"epochs.more": 1}, "epochs is a value"),
    ],
)
def test_wrong_parameters_are_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        developing.changed(TrainSource(), values, "here")


def test_parameters_stay_what_they_are() -> None:
    plan = developing.changed(TrainSource(), {"epochs": 5, "augmentation.rotation": 0.0, "architecture": "torchvision:resnet18"}, "here")
    developing.write(plan)
    assert developing.read() == plan
    assert (plan.epochs, plan.augmentation.rotation, plan.architecture) == (5, 0.0, "torchvision:resnet18")
    other = developing.changed(plan, {"start": "wheel:efficientnet_lite0"}, "here")
    assert (other.start, other.architecture, other.epochs) == ("wheel:efficientnet_lite0", None, 5)
    assert developing.changed(other, {"start": "random"}, "here").architecture == developing.ARCHITECTURE
    Path("source.yaml").write_text("epochs: [")
    with pytest.raises(ParamsError, match="not valid YAML"):
        developing.read()
    Path("source.yaml").unlink()
    with pytest.raises(ParamsError, match="headstart develop"):
        developing.read()
