"""A stage that has nothing to do leaves each of its outputs, with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from headstart.data import settings
from headstart.data.settings import no_labels
from headstart.params import STAGES, idle
from tasks import stage
from tests import ROOT
from tests.tasks.test_contract import outs

IDLE = settings.SETTINGS["no_labels"].idle


@pytest.mark.parametrize("name", IDLE)
def test_every_output_is_left(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    idle.leave(name, "no reason", ROOT / "dvc.yaml")
    for out in map(Path, outs(name)):
        if out.suffix == ".json":
            assert json.loads(out.read_text()) == {"nothing": "no reason"}
        elif out.suffix == ".parquet":
            assert pd.read_parquet(out).empty
        elif out.suffix == ".csv":
            assert len(out.read_text().splitlines()) == 1
        else:
            assert "no reason" in (out / "README.txt").read_text()


def test_a_plot_keeps_its_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    idle.leave("fine_tune", "no reason", ROOT / "dvc.yaml")
    assert Path("reports/curves/fine_tune.csv").read_text() == "epoch,validation_loss\n"


def test_only_stages_that_the_setting_names_are_idle(tmp_path: Path) -> None:
    assert set(IDLE) < set(STAGES)
    assert stage.idle("train_head", tmp_path) is None
    no_labels.mark(tmp_path)
    found = stage.idle("train_head", tmp_path)
    assert found is not None
    assert found.title == "images without labels"
    assert stage.idle("group_images", tmp_path) is None
