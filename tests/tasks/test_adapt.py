"""tasks.adapt: without a second domain it says so and writes empty outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from headstart.data import manifest
from headstart.params import Adapt, Shared
from tasks.adapt import adapt
from tests import toy


@pytest.mark.parametrize("when", ["if_shown", "never"])
def test_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str], when: str) -> None:
    toy.images(tmp_path / "images", per_class=1)
    (tmp_path / "target.parquet").touch()
    manifest.write(pd.DataFrame({name: pd.Series(dtype=object) for name in manifest.SCHEMA.names}), tmp_path / "target.parquet")
    given = [tmp_path / name for name in ("images", "clean.parquet", "target.parquet", "ranking.json", "final")]
    made = [tmp_path / name for name in ("adapted", "target", "adapt.json")]
    adapt(*given, *made, block=Adapt(when=when), shared=Shared())  # type: ignore[arg-type]
    assert "nothing to adapt: there is no second domain" in capsys.readouterr().out
    report = json.loads((tmp_path / "adapt.json").read_text())
    assert (report["setting"], report["images"], report["adapted"]) == ("labelled", 0, False)
    assert [path.name for path in (tmp_path / "adapted").iterdir()] == ["README.txt"], "DVC warns of an empty folder"
    assert (tmp_path / "target/predictions.csv").read_text() == "path,label,probability,not_adapted\n"
