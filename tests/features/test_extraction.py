"""headstart.features: each image and view once, the same rows whatever was there before, and no row of a changed file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart.base import cores
from headstart.base.devices import CPU
from headstart.base.grey import Grey
from headstart.data import images
from headstart.features import engines, extraction, pictures, transforms
from headstart.features.extraction import Frozen
from headstart.features.store import Rows
from headstart.features.streamed import Streamed
from headstart.features.transforms import View
from headstart.indexing import indexer
from headstart.machinery.errors import DataError
from headstart.params import Augmentation
from tests import tiny, toy
from tests.data import deep_files

PLAIN = View(32, "bilinear")
HOW = Augmentation(min_crop_share=0.6, rotation=10.0, colour=0.2, horizontal_flip=False, vertical_flip=False)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    return tiny.table(Path("images"), per_class=4)


@pytest.fixture
def frozen(photos: pd.DataFrame) -> Frozen:
    return Frozen.of(tiny.conv, "a", 32)


def counted(frozen: Frozen, calls: list[bytes]) -> Frozen:
    """The same, noting each image that is computed."""

    def run(given: np.ndarray) -> np.ndarray:
        calls.extend(image.tobytes() for image in given)
        return frozen.engine.run(given)

    return replace(frozen, engine=replace(frozen.engine, run=run))


def batched(frozen: Frozen, size: int = 5) -> Frozen:
    """The same network as a GPU would run it, in batches, on the CPU."""
    made = engines.Batched(tiny.conv(), CPU, on=CPU.all(), batch=size)
    return replace(frozen, engine=engines.batches("batches", made))


def extract(
    frozen: Frozen, table: pd.DataFrame, view: View = PLAIN, dtype: str = "float32", folder: Path = extraction.FOLDER
) -> np.ndarray:
    return extraction.extract(frozen, table, Path("images"), view, dtype=dtype, folder=folder, what="images")[:]


def extract_views(frozen: Frozen, table: pd.DataFrame, views: list[View]) -> list[Rows]:
    return extraction.extract_views(frozen, table, Path("images"), views, dtype="float32", what="images")


def test_rows_are_what_the_network_gives_in_the_order_of_the_table(frozen: Frozen, photos: pd.DataFrame) -> None:
    from PIL import Image

    shuffled = photos.iloc[::-1].reset_index(drop=True)
    rows = extract(frozen, shuffled)
    assert rows.shape == (len(photos), 4, 16, 16)
    for path, row in zip(shuffled["path"], rows, strict=True):
        assert np.array_equal(row, frozen.engine.run(np.asarray(Image.open(Path("images") / path))[None])[0])


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
    monkeypatch.setattr(extraction, "BLOCK", 3)
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
    monkeypatch.setattr(extraction, "BLOCK", 2)
    calls: list[bytes] = []
    counting = counted(frozen, calls)

    def killed(given: np.ndarray) -> np.ndarray:
        if len(calls) == 7:
            raise KeyboardInterrupt
        return counting.engine.run(given)

    monkeypatch.setattr(extraction, "in_order", map)
    with pytest.raises(KeyboardInterrupt):
        extract(replace(frozen, engine=replace(frozen.engine, run=killed)), photos)
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
    assert extraction.extract(frozen, photos, Path("images"), PLAIN, what="images")[:].tobytes() == half.tobytes()


@pytest.mark.parametrize(
    "other",
    [
        lambda frozen, view: (Frozen.of(lambda: tiny.conv(seed=1), "b", 32), view),
        lambda frozen, view: (frozen, replace(view, seed=1)),
        lambda frozen, view: (frozen, replace(view, number=2)),
        lambda frozen, view: (frozen, transforms.views(PLAIN, 0, HOW.model_copy(update={"colour": 0.3}), 1)[0]),
        lambda frozen, view: (frozen, PLAIN),
        lambda frozen, view: (frozen, replace(view, interpolation="bicubic")),
    ],
    ids=["identity", "seed", "number", "augmentation", "plain", "interpolation"],
)
def test_what_differs_shares_no_row(other: Callable[[Frozen, View], tuple[Frozen, View]], frozen: Frozen, photos: pd.DataFrame) -> None:
    view = transforms.views(PLAIN, 0, HOW, 1)[0]
    first = extract(frozen, photos, view)
    calls: list[bytes] = []
    another, other_view = other(frozen, view)
    second = extract(counted(another, calls), photos, other_view)
    assert len(calls) == len(photos)
    assert not np.array_equal(first, second)


def test_an_image_is_read_from_the_disk_once(frozen: Frozen, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hashed is what is decoded, even where somebody writes the file in between."""
    opened: list[str] = []
    really = os.open

    def watch(path: Any, *rest: Any, **more: Any) -> int:
        if str(path).endswith(".png"):
            opened.append(str(path))
        return really(path, *rest, **more)

    monkeypatch.setattr(os, "open", watch)
    extract_views(frozen, photos, [PLAIN, *transforms.views(PLAIN, 0, HOW, 2)])
    assert len(opened) == len(set(opened)) == len(photos)


def test_an_identity_tells_weights_architecture_scale_and_part() -> None:
    card = tiny.source("a", tiny.trunk()).card()
    grey = (0.1, 0.1, 0.1)
    others = [replace(card, weights_sha256="0"), replace(card, library="x"), replace(card, architecture="y")]
    others += [replace(card, transform=changed) for changed in (replace(card.transform, mean=grey), replace(card.transform, std=grey))]
    named = [extraction.identity(each, "features") for each in (card, *others)] + [extraction.identity(card, "below 2")]
    assert len(set(named)) == len(named)
    assert extraction.identity(replace(card.at(8), name="of the same weights"), "features") == named[0]


def test_an_image_is_decoded_once_for_all_its_views(frozen: Frozen, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Path | bytes] = []
    open_image = images.open_image

    def watch(source: Path | bytes, *rest: Any, **more: Any) -> Any:
        decoded.append(source)
        return open_image(source, *rest, **more)

    views = [PLAIN, *transforms.views(PLAIN, 0, HOW, 3)]
    apart = [extract(frozen, photos, view, folder=Path("apart")) for view in views]
    monkeypatch.setattr(images, "open_image", watch)
    together = extract_views(frozen, photos, views[:3])
    assert len(decoded) == len(set(decoded)) == len(photos)
    together = extract_views(frozen, photos, views)  # the fourth alone is missing
    assert len(decoded) == 2 * len(photos)
    assert [rows[:].tobytes() for rows in together] == [rows.tobytes() for rows in apart]


@pytest.mark.parametrize("size", [2, 5, 100])
def test_batches_give_every_row_and_view_its_own(size: int, frozen: Frozen, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "BLOCK", 4)
    views = [PLAIN, *transforms.views(PLAIN, 0, HOW, 2)]
    ours, theirs = extract_views(batched(frozen, size), photos, views), extract_views(frozen, photos, views)
    np.testing.assert_allclose(ours[0][:], theirs[0][:], atol=1e-5)
    for given, expected in zip(ours[1:], theirs[1:], strict=True):  # by another arithmetic: looking.TOLERANCE
        assert np.abs(given[:] - expected[:]).mean() < 0.1 * np.abs(given[:] - np.roll(expected[:], 1, axis=0)).mean()


def test_an_image_is_decoded_once_for_all_that_a_card_runs(photos: pd.DataFrame, frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Views that are wanted later are served from the pictures that are kept, whatever network they are for."""
    decoded: list[Path] = []
    picture = pictures._picture
    monkeypatch.setattr(pictures, "_picture", lambda wanted, *rest: decoded.append(wanted.path) or picture(wanted, *rest))
    card = batched(frozen)
    extract_views(card, photos, [PLAIN])
    assert len(decoded) == photos["sha256"].nunique()
    extract_views(card, photos, transforms.views(PLAIN, 0, HOW, 2))
    small = extract_views(replace(card, identity="b"), photos, [replace(PLAIN, crop=0.8)])
    assert len(decoded) == photos["sha256"].nunique()
    assert small[0][:].any()


@pytest.mark.parametrize("gib", [1.0, 0.0])
def test_pictures_that_do_not_fit_are_decoded_anew(gib: float, photos: pd.DataFrame, frozen: Frozen) -> None:
    rows = Streamed(batched(frozen), photos, Path("images"), PLAIN, cache_gib=gib)
    np.testing.assert_allclose(rows[:], extract(frozen, photos, folder=Path("other")), atol=1e-5)
    kept = sum(file.stat().st_size for file in extraction.FOLDER.rglob("*.part"))
    assert kept == (photos["sha256"].nunique() * (pictures.row_bytes(32) + 32) if gib else 0)


def test_a_batch_of_a_broken_file_is_refused_too(frozen: Frozen, photos: pd.DataFrame) -> None:
    broken(Path("images") / photos["path"][7])
    with pytest.raises(DataError, match="run again"):
        extract(batched(frozen), photos)


def streamed(frozen: Frozen, table: pd.DataFrame, view: View = PLAIN) -> Streamed:
    return Streamed(frozen, table, Path("images"), view)


@pytest.mark.parametrize("view", [PLAIN, transforms.views(PLAIN, 3, HOW, 1)[0]], ids=["plain", "random"])
def test_streamed_rows_are_those_that_would_be_cached(view: View, frozen: Frozen, photos: pd.DataFrame) -> None:
    kept, computed = extract(frozen, photos, view), streamed(frozen, photos, view)
    assert (len(computed), computed.shape) == (len(photos), kept.shape)
    for index in (slice(None), slice(2, 7), slice(5, 1000), np.array([3, 0, 3]), np.array([], dtype=np.int64), slice(4, 4)):
        assert computed[index].dtype == np.float32
        assert computed[index].shape == kept[index].shape
        assert computed[index].tobytes() == kept[index].tobytes()


def test_streamed_batches_are_those_that_would_be_cached(frozen: Frozen, photos: pd.DataFrame) -> None:
    kept, computed = extract(frozen, photos), streamed(batched(frozen), photos)
    for index in (slice(None), np.array([3, 0, 3]), np.array([], dtype=np.int64)):
        assert computed[index].shape == kept[index].shape
        np.testing.assert_allclose(computed[index], kept[index], atol=1e-5)


def test_streaming_keeps_nothing_and_computes_each_time(frozen: Frozen, photos: pd.DataFrame) -> None:
    calls: list[bytes] = []
    rows = streamed(counted(frozen, calls), photos)
    assert not calls
    rows[:3]
    rows[:3]
    assert len(calls) == 6
    assert not extraction.FOLDER.exists()


def test_streaming_refuses_a_file_that_changed(frozen: Frozen, photos: pd.DataFrame) -> None:
    rows = streamed(frozen, photos)
    another(Path("images/ant/0000.png"))
    with pytest.raises(DataError, match=r"0000\.png.*run again"):
        rows[:]


def test_views_are_numbered_from_one_and_plain_is_none_of_them() -> None:
    views = transforms.views(replace(PLAIN, crop=0.9), 7, HOW, 3)
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


@pytest.mark.parametrize("colour", [False, True])
def test_deep_images_are_read_on_the_scale_of_their_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, colour: bool) -> None:
    """Brightness survives, and rows on another scale are other rows."""
    monkeypatch.chdir(tmp_path)
    toy.deep(Path("images"), {"dim": 219, "bright": 900}, per_class=4)
    if colour:
        for path in Path("images").glob("*/*.png"):
            path.write_bytes(deep_files.png(np.asarray(Image.open(path))[..., None].repeat(3, 2)))
    table = indexer.index(Path("images"), **toy.INDEX)
    pixels_of = Frozen("pixels", 32, engines.Engine("pixels", 1, lambda given: given), (32, 32, 3))
    rows = extract(pixels_of, table, dtype="uint8")
    means = dict(zip(table["path"], rows.mean(axis=(1, 2, 3)), strict=True))
    assert all(abs(mean - (219 if "dim" in path else 900) * 255 / 1023) < 3 for path, mean in means.items())
    assert np.array_equal(Streamed(pixels_of, table, Path("images"), PLAIN)[:], rows)
    wider = table.assign(white=2046.0)
    assert np.allclose(extract(pixels_of, wider, dtype="uint8"), rows / 2, atol=1)
    own = replace(PLAIN, grey=Grey((0.0, 2046.0)))
    assert np.array_equal(extract(pixels_of, table, own, dtype="uint8"), extract(pixels_of, wider, dtype="uint8")), (
        "a model keeps its scale"
    )
