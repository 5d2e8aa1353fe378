"""headstart.features: each image and view once, the same rows whatever was there before, and no row of a changed file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import nn

from headstart import cores, engines, features
from headstart.errors import DataError
from headstart.features import Frozen
from headstart.transforms import View
from tests import networks

PLAIN = View(32, "bilinear")
HOW = {"min_crop_share": 0.6, "rotation": 10.0, "colour": 0.2, "horizontal_flip": False, "vertical_flip": False}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    return networks.table(Path("images"), per_class=4)


@pytest.fixture
def frozen(photos: pd.DataFrame) -> Frozen:
    return Frozen.of(lambda: networks.conv(), "a", 32)


def counted(frozen: Frozen, calls: list[bytes]) -> Frozen:
    def engine(image: np.ndarray) -> np.ndarray:
        calls.append(image.tobytes())
        return frozen.engine(image)

    return replace(frozen, engine=engine)


def extract(frozen: Frozen, table: pd.DataFrame, view: View = PLAIN, dtype: str = "float32", folder: Path = features.FOLDER) -> np.ndarray:
    return features.extract(frozen, table, Path("images"), view, dtype=dtype, folder=folder, what="images")[:]


def test_rows_are_what_the_network_gives_in_the_order_of_the_table(frozen: Frozen, photos: pd.DataFrame) -> None:
    from PIL import Image

    shuffled = photos.iloc[::-1].reset_index(drop=True)
    rows = extract(frozen, shuffled)
    assert rows.shape == (len(photos), 4, 16, 16)
    for path, row in zip(shuffled["path"], rows, strict=True):
        assert np.array_equal(row, frozen.engine(np.asarray(Image.open(Path("images") / path))))


def test_only_what_is_missing_is_computed(frozen: Frozen, photos: pd.DataFrame) -> None:
    calls: list[bytes] = []
    extract(counted(frozen, calls), photos[:5])
    assert len(calls) == 5
    extract(counted(frozen, calls), photos)
    assert len(calls) == len(photos)
    assert len(set(calls)) == len(photos)
    extract(counted(frozen, calls), photos[3:8])
    assert len(calls) == len(photos)


def test_cold_warm_and_grown_stores_hold_the_same_bytes(frozen: Frozen, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "BLOCK", 3)
    cold = extract(frozen, photos, folder=Path("one"))
    warm = extract(frozen, photos, folder=Path("one"))
    extract(frozen, photos[6:8], folder=Path("two"))
    extract(frozen, photos[2:7], folder=Path("two"))
    grown = extract(frozen, photos, folder=Path("two"))
    assert cold.tobytes() == warm.tobytes() == grown.tobytes()


def test_the_number_of_cores_does_not_matter(frozen: Frozen, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = []
    for count in (1, 4):
        with monkeypatch.context() as patch:
            patch.setattr(cores, "workers", lambda count=count: count)
            cores._pool.cache_clear()
            stores.append(extract(frozen, photos, folder=Path(str(count))).tobytes())
    cores._pool.cache_clear()
    assert stores[0] == stores[1]


def test_a_run_that_was_killed_loses_little(frozen: Frozen, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "BLOCK", 2)
    calls: list[bytes] = []
    counting = counted(frozen, calls)

    def killed(image: np.ndarray) -> np.ndarray:
        if len(calls) == 7:
            raise KeyboardInterrupt
        return counting.engine(image)

    monkeypatch.setattr(cores, "in_order", map)
    monkeypatch.setattr(features, "in_order", map)
    with pytest.raises(KeyboardInterrupt):
        extract(replace(frozen, engine=killed), photos)
    calls.clear()
    rows = extract(counting, photos)
    assert len(calls) == len(photos) - 6
    assert rows.tobytes() == extract(frozen, photos, folder=Path("other")).tobytes()


def test_twins_share_a_row(frozen: Frozen, photos: pd.DataFrame) -> None:
    twin = Path("images") / "ant" / "twin.png"
    shutil.copy(Path("images") / photos["path"][0], twin)
    both = pd.concat([photos, photos[:1].assign(path="ant/twin.png")], ignore_index=True)
    calls: list[bytes] = []
    rows = extract(counted(frozen, calls), both)
    assert len(calls) == len(photos)
    assert np.array_equal(rows[0], rows[-1])


def test_half_precision_rounds_and_keeps_apart(frozen: Frozen, photos: pd.DataFrame) -> None:
    exact, half = extract(frozen, photos), extract(frozen, photos, dtype="float16")
    assert half.dtype == np.float16
    assert np.array_equal(half, exact.astype(np.float16))
    assert np.array_equal(extract(frozen, photos), exact)


def other_mean() -> nn.Module:
    network = networks.conv()
    network[0] = model.Normalise((0.1, 0.1, 0.1), networks.STD)
    return network


def other_layer() -> nn.Module:
    network = networks.conv()
    network[3] = nn.GELU()
    return network


@pytest.mark.parametrize(
    "other",
    [
        lambda frozen, view: (Frozen.of(lambda: networks.conv(seed=1), "b", 32), view),
        lambda frozen, view: (Frozen.of(lambda: other_mean(), "a", 32), view),
        lambda frozen, view: (Frozen.of(lambda: other_layer(), "a", 32), view),
        lambda frozen, view: (frozen, replace(view, seed=1)),
        lambda frozen, view: (frozen, replace(view, number=2)),
        lambda frozen, view: (frozen, features.views(PLAIN, 0, {**HOW, "colour": 0.3}, 1)[0]),
        lambda frozen, view: (frozen, PLAIN),
        lambda frozen, view: (frozen, replace(view, interpolation="bicubic")),
    ],
    ids=["weights", "mean", "layer", "seed", "number", "augmentation", "plain", "interpolation"],
)
def test_what_differs_shares_no_row(other: Callable[[Frozen, View], tuple[Frozen, View]], frozen: Frozen, photos: pd.DataFrame) -> None:
    view = features.views(PLAIN, 0, HOW, 1)[0]
    first = extract(frozen, photos, view)
    calls: list[bytes] = []
    another, other_view = other(frozen, view)
    second = extract(counted(another, calls), photos, other_view)
    assert len(calls) == len(photos)
    assert not np.array_equal(first, second)


def test_views_are_numbered_from_one_and_plain_is_none_of_them() -> None:
    views = features.views(replace(PLAIN, crop=0.9), 7, HOW, 3)
    assert [v.number for v in views] == [1, 2, 3]
    assert {v.seed for v in views} == {7}
    assert all(v.augmentation is not None and v.augmentation.rotation == 10 and v.size == 32 and v.crop == 0.9 for v in views)


def gone(path: Path) -> None:
    path.unlink()


def broken(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def another(path: Path) -> None:
    shutil.copy(path.with_name("0001.png"), path)


@pytest.mark.parametrize("change", [gone, broken, another])
def test_a_changed_file_is_refused_and_leaves_no_row(change: Callable[[Path], None], frozen: Frozen, photos: pd.DataFrame) -> None:
    path = Path("images/ant/0000.png")
    original = path.read_bytes()
    change(path)
    with pytest.raises(DataError, match=r"0000\.png.*run again"):
        extract(frozen, photos)
    path.write_bytes(original)
    assert extract(frozen, photos).tobytes() == extract(frozen, photos, folder=Path("clean")).tobytes()
