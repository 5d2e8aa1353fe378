"""headstart.frozen_head: one head on train and validation to ship, one on train alone to compare with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from headstart import params
from headstart.choice import selection
from headstart.features import of_source, transforms
from headstart.features.transforms import View
from headstart.linear import frozen_head, logistic
from headstart.machinery.errors import HeadstartError
from headstart.networks import model, sources
from headstart.networks.cards import SourceCard
from tests import tiny

SETTINGS: dict[str, Any] = {"penalties": [1.0, 0.1], "folds": 3, "balanced": False, "seed": 0}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    tiny.use(monkeypatch, {"seeing": lambda: tiny.source("seeing", tiny.trunk())})
    return tiny.table(Path("images"), per_class=20)


@pytest.fixture
def card() -> SourceCard:
    return tiny.source("seeing", tiny.trunk()).card()


def test_two_heads_and_what_they_were_chosen_by(photos: pd.DataFrame, card: SourceCard) -> None:
    made, summary = frozen_head.train(photos, Path("images"), card, **SETTINGS)
    sizes = photos["split"].value_counts()
    assert summary["classes"] == ["ant", "bee", "cat"]
    assert summary["final"]["n"] == sizes["train"] + sizes["validation"]
    assert summary["train_only"]["n"] == sizes["train"]
    assert summary["train_only"]["validation_accuracy"] > 0.8
    tried = [row["penalty"] for row in summary["penalties"]]
    assert set(tried) >= {1.0, 0.1}
    assert summary["final"]["penalty"] in tried
    assert tried == sorted(tried, reverse=True)
    chosen = min(summary["penalties"], key=lambda row: row["log_loss"])
    assert summary["final"] == {
        "penalty": chosen["penalty"],
        "cv_log_loss": chosen["log_loss"],
        "cv_accuracy": chosen["accuracy"],
        "n": summary["final"]["n"],
        "class_weights": "none",
    }
    test = photos[photos["split"] == "test"]
    rows = of_source.of_source(card, test, Path("images"))
    right = np.array(summary["classes"])[made["final"].logits(rows).argmax(1)] == test["label"]
    assert right.mean() > 0.8


def test_each_head_sees_its_own_rows_only(photos: pd.DataFrame, card: SourceCard) -> None:
    made, _ = frozen_head.train(photos, Path("images"), card, **SETTINGS)
    seen = photos["split"] == "validation"
    wrong = photos.assign(label=photos["label"].where(~seen, photos["label"].map({"ant": "bee", "bee": "cat", "cat": "ant"})))
    changed, summary = frozen_head.train(wrong, Path("images"), card, **SETTINGS)
    assert np.array_equal(changed["train_only"].weight, made["train_only"].weight)
    assert not np.array_equal(changed["final"].weight, made["final"].weight)
    assert summary["train_only"]["validation_accuracy"] < 0.3
    for path in photos[photos["split"] == "test"]["path"]:
        (Path("images") / path).unlink()
    again, _ = frozen_head.train(photos, Path("images"), card, **SETTINGS)
    assert np.array_equal(again["final"].weight, made["final"].weight)


def test_select_source_left_the_features_that_train_head_needs(photos: pd.DataFrame) -> None:
    block = params.SelectSource(candidates=["toy:seeing"], folds=3, neighbours=3)
    ranking = selection.select(photos, Path("images"), block, seed=0)
    for path in photos[photos["split"] == "train"]["path"]:
        (Path("images") / path).unlink()
    _, summary = frozen_head.train(photos, Path("images"), ranking.chosen, **SETTINGS)
    assert summary["train_only"]["n"] == (photos["split"] == "train").sum()


def test_features_are_those_of_the_source(photos: pd.DataFrame, card: SourceCard) -> None:
    rows = of_source.of_source(card, photos[:2], Path("images"))
    view = View(32, "bilinear")
    images = np.stack([transforms.read(Path("images") / path, [view], "")[0] for path in photos["path"][:2]])
    with torch.inference_mode():
        expected = sources.load("toy:seeing").trunk(model.Normalise(tiny.MEAN, tiny.STD)(torch.from_numpy(images)))
    np.testing.assert_allclose(rows[:], expected.numpy(), rtol=1e-3, atol=1e-5)  # they are kept in half precision


def test_balance_is_passed_on(photos: pd.DataFrame, card: SourceCard, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    weights = logistic.row_weights

    def watch(labels: np.ndarray, classes: int, balanced: bool) -> np.ndarray:
        asked.append(balanced)
        return weights(labels, classes, balanced)

    monkeypatch.setattr(logistic, "row_weights", watch)
    frozen_head.train(photos, Path("images"), card, **{**SETTINGS, "balanced": True})
    assert set(asked) == {True}


def test_weights_that_changed_since_the_choice_are_refused(card: SourceCard, photos: pd.DataFrame) -> None:
    with pytest.raises(HeadstartError, match=r"toy:seeing have changed since it was chosen; run `dvc repro --force select_source`"):
        frozen_head.train(photos, Path("images"), replace(card, weights_sha256="0" * 64), **SETTINGS)
