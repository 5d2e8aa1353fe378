"""Presets name parameters that there are, give values that they take, and change something."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart import params
from headstart.params.presets import PRESETS
from tests import ROOT


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_taken_and_changes_each_value_that_it_names(name: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    changes = params.write(PRESETS[name], path)
    assert [line.partition(":")[0] for line in changes] == list(PRESETS[name])


def test_fast_trains_a_head_and_nothing_else() -> None:
    values = {key.rpartition(".")[2]: value for key, value in PRESETS["fast"].items()}
    assert (values["strategy"], values["sources"], values["epochs"]) == ("head_only", 1, 0)
