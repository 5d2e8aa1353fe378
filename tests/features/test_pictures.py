"""headstart.pictures: files are decoded once, kept within their budget, and given in the order in which they are asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from headstart.base import cores, processes
from headstart.features import pictures
from headstart.features.pictures import Pictures, Wanted
from headstart.features.transforms import View
from headstart.machinery.errors import DataError
from tests import toy

SIZES = [(40, 30), (64, 64), (200, 50), (20, 90), (33, 32)]


@pytest.fixture
def wanted(tmp_path: Path) -> list[Wanted]:
    found = []
    for number, size in enumerate(SIZES):
        path = tmp_path / f"{number}.png"
        toy.photo(size=size).save(path)
        found.append(Wanted(path, hashlib.sha256(path.read_bytes()).hexdigest()))
    return found


def of(folder: Path, budget: int = 2**30, pixels: int = 64) -> Pictures:
    return Pictures(pixels, None, len(SIZES), folder / "kept", budget)


@pytest.mark.parametrize("budget", [0, 2**30])
@pytest.mark.parametrize("together", [1, 2, 100])
def test_rows_come_in_order_with_their_sizes(together: int, budget: int, wanted: list[Wanted], tmp_path: Path) -> None:
    order = [wanted[i] for i in (3, 0, 1, 4, 2, 0)]
    for _ in range(2):  # decoded, then as they are kept
        rows = list(of(tmp_path, budget).read(order, together))
        assert max(map(len, rows)) == min(together, 6)
        pixels, sizes, extents = pictures.unpacked(np.concatenate(rows))
        assert sizes.tolist() == [list(SIZES[i]) for i in (3, 0, 1, 4, 2, 0)]
        assert extents.tolist() == [[20, 64], [40, 30], [64, 64], [33, 32], [64, 50], [40, 30]]
        assert np.array_equal(pixels[2], np.asarray(toy.photo(size=(64, 64))))
        assert np.array_equal(pixels[1][:30, :40], np.asarray(toy.photo(size=(40, 30))))
        assert not pixels[1][30:].any()


def test_what_is_kept_is_not_decoded_again_and_what_is_new_alone_is(
    wanted: list[Wanted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    picture = pictures._picture
    monkeypatch.setattr(pictures, "_picture", lambda one, *rest: decoded.append(one.path) or picture(one, *rest))
    list(of(tmp_path).read(wanted[:3], 2))
    list(of(tmp_path).read(wanted, 2))
    assert sorted(decoded) == sorted(one.path for one in wanted)


@pytest.mark.parametrize("budget", [0, 2**30])
def test_a_file_that_changed_is_refused(budget: int, wanted: list[Wanted], tmp_path: Path) -> None:
    toy.photo(size=(9, 9)).save(wanted[3].path)
    with pytest.raises(DataError, match=r"3\.png is not the file that was indexed"):
        list(of(tmp_path, budget).read(wanted, 2))
    wanted[3].path.unlink()
    with pytest.raises(DataError, match=r"3\.png was readable when the images were indexed and is not now"):
        list(of(tmp_path, budget).read(wanted, 2))


@pytest.mark.parametrize(
    ("view", "largest", "pixels"),
    [(View(224, "bilinear", 0.875), None, 384), (View(240, "bilinear", 0.875), None, 384), (View(224, "bilinear", 0.875), 28, 32)]
    + [(View(96, "bilinear"), None, 128), (View(1536, "bilinear"), None, 1536), (View(224, "bilinear", 0.875), 250, 256)],
)
def test_networks_of_like_sizes_share_their_pictures(view: View, largest: int | None, pixels: int) -> None:
    assert pictures.side(view, largest) == pixels


def test_processes_give_the_same_bytes_as_threads(wanted: list[Wanted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = np.concatenate(list(of(tmp_path / "a").read(wanted, 2)))
    monkeypatch.setattr(processes, "FEWEST_CORES", 1)
    monkeypatch.setattr(processes, "FEWEST_ITEMS", 1)
    monkeypatch.setattr(cores, "workers", lambda: 2)
    try:
        for budget in (2**30, 0):
            assert np.array_equal(np.concatenate(list(of(tmp_path / "b", budget).read(wanted, 2))), threads)
        files = [sorted((tmp_path / name).rglob("*.part")) for name in "ab"]
        assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]
    finally:
        processes._pool().shutdown()
        processes._pool.cache_clear()


def test_few_images_or_cores_are_left_to_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "workers", lambda: 16)
    assert processes.pay(1000)
    assert not processes.pay(100)
    monkeypatch.setattr(cores, "workers", lambda: 2)
    assert not processes.pay(1000)
