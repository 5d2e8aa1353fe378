"""flows.results.features: what the head of a model sees of images, as Parquet and as a NumPy array."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import headstart
from flows.results import features
from headstart.machinery.errors import HeadstartError, ParamsError
from tests import toy
from tests.exporting.test_onnx_folder import made


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, and five files beside it of which one is no image."""
    monkeypatch.chdir(tmp_path)
    Path("inbox").mkdir()
    for number in range(4):
        toy.photo(number % 3, number, size=(70, 50)).save(f"inbox/{number}.png")
    Path("inbox/2b.png").write_bytes(b"no image")
    return made(tmp_path)


@pytest.mark.parametrize("rows", [2, 1024])
def test_both_kinds_hold_what_the_library_embeds(model: Path, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "ROWS", rows)
    names = [f"inbox/{name}.png" for name in ("0", "1", "2", "2b", "3")]
    expected = headstart.load(model).embed([name for name in names if "b.png" not in name])
    assert features.write([Path("inbox")], model, Path("a.parquet")) == (4, expected.shape[1], 1)
    table = pd.read_parquet("a.parquet")
    assert list(table["path"]) == names
    np.testing.assert_allclose(np.stack(list(table["features"].dropna())), expected, atol=1e-5)
    assert table["features"].isna().tolist() == table["error"].notna().tolist() == [False, False, False, True, False]
    assert features.write([Path("inbox")], model, Path("a.npy")) == (4, expected.shape[1], 1)
    array = np.load("a.npy")
    assert array.dtype == np.float32
    np.testing.assert_allclose(array[[0, 1, 2, 4]], expected, atol=1e-5)
    assert np.isnan(array[3]).all()
    written = list(csv.DictReader(io.StringIO(Path("a.csv").read_text())))
    assert [row["path"] for row in written] == names
    assert [bool(row["error"]) for row in written] == [False, False, False, True, False]


def test_what_cannot_be_done_is_said_and_leaves_nothing(model: Path) -> None:
    with pytest.raises(ParamsError, match=r"--out a\.csv: features are written as \.parquet or \.npy"):
        features.write([Path("inbox")], model, Path("a.csv"))
    with pytest.raises(HeadstartError, match="no file could be read as an image"):
        features.write([Path("inbox/2b.png")], model, Path("a.npy"))
    with pytest.raises(HeadstartError, match="there is no model at elsewhere"):
        features.write([Path("inbox")], Path("elsewhere"), Path("a.npy"))
    assert not list(Path().glob("a.*"))
