"""headstart.store: rows by key, appended, whole after a writer was killed, and deleted where room is needed."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.features.store import Store, prune

IDENTITY: dict[str, Any] = {"network": "a", "view": {"size": 8}}
SHAPE = (2, 3)


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def row(number: int) -> np.ndarray:
    return np.arange(6, dtype=np.float32).reshape(SHAPE) + 10 * number


def store(folder: Path, identity: dict[str, Any] = IDENTITY, dtype: str = "float32") -> Store:
    return Store(folder, identity, SHAPE, dtype)


def filled(folder: Path, *numbers: int) -> Store:
    made = store(folder)
    for number in numbers:
        made.append([key(number)], row(number)[None])
    return made


def test_rows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    filled(tmp_path, 1, 2, 3)
    rows = store(tmp_path).rows([key(3), key(1), key(3)])
    assert rows.shape == (3, *SHAPE)
    assert len(rows) == 3
    assert np.array_equal(rows[:], [row(3), row(1), row(3)])
    assert np.array_equal(rows[np.array([1, 0])], [row(1), row(3)])
    assert np.array_equal(rows.take(np.array([2, 1]))[:], [row(3), row(1)])


def test_missing_are_named_once_in_order(tmp_path: Path) -> None:
    made = filled(tmp_path, 1)
    assert made.missing([key(5), key(1), key(4), key(5)]) == [key(5), key(4)]
    assert len(made) == 1


def test_an_unknown_key_is_no_row(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        filled(tmp_path, 1).rows([key(2)])


def test_rows_are_kept_in_the_type_asked_for(tmp_path: Path) -> None:
    made = store(tmp_path, dtype="float16")
    made.append([key(1)], row(1)[None])
    rows = store(tmp_path, dtype="float16").rows([key(1)])
    assert rows[:].dtype == np.float16
    assert np.array_equal(rows[:], row(1)[None])


def test_what_half_precision_cannot_hold_is_held_at_its_largest(tmp_path: Path) -> None:
    values = np.array([1e6, -1e6, 65504, -70000, 1e-9, 1], np.float32).reshape(SHAPE)
    made = store(tmp_path, dtype="float16")
    made.append([key(1)], values[None])
    assert made.rows([key(1)])[:].ravel().tolist() == [65504, -65504, 65504, -65504, 0, 1]
    exact = store(tmp_path)
    exact.append([key(1)], values[None])
    assert np.array_equal(exact.rows([key(1)])[:], values[None])


@pytest.mark.parametrize(
    "other",
    [{"network": "b", "view": {"size": 8}}, {"network": "a", "view": {"size": 9}}, {"network": "a", "view": {"size": 8}, "seed": 1}],
)
def test_another_identity_is_another_store(other: dict[str, Any], tmp_path: Path) -> None:
    filled(tmp_path, 1)
    assert len(store(tmp_path, other)) == 0
    assert len(store(tmp_path, dtype="float16")) == 0
    assert len(Store(tmp_path, IDENTITY, (3, 2), "float32")) == 0
    assert len(store(tmp_path)) == 1


@pytest.mark.parametrize("suffix", ["rows", "keys"])
@pytest.mark.parametrize("cut", [1, 31, 23, 24, 32])
def test_a_killed_writer_costs_its_last_rows_only(suffix: str, cut: int, tmp_path: Path) -> None:
    filled(tmp_path, 1, 2, 3)
    [path] = tmp_path.glob(f"*.{suffix}")
    path.write_bytes(path.read_bytes()[:-cut])
    again = store(tmp_path)
    missing = again.missing([key(n) for n in (1, 2, 3)])
    assert missing[-1] == key(3)
    assert key(1) not in missing
    for number in (4, 3):
        again.append([key(number)], row(number)[None])
    for opened in (again, store(tmp_path)):
        assert np.array_equal(opened.rows([key(1), key(3), key(4)])[:], [row(1), row(3), row(4)])


@pytest.mark.parametrize("suffix", ["rows", "keys"])
def test_half_a_store_is_none(suffix: str, tmp_path: Path) -> None:
    filled(tmp_path, 1, 2)
    [path] = tmp_path.glob(f"*.{suffix}")
    path.unlink()
    again = store(tmp_path)
    assert len(again) == 0
    again.append([key(2)], row(2)[None])
    assert np.array_equal(store(tmp_path).rows([key(2)])[:], row(2)[None])


def test_rows_taken_before_an_append_stay_right(tmp_path: Path) -> None:
    made = filled(tmp_path, 1, 2)
    rows = made.rows([key(2)])
    made.append([key(3)], row(3)[None])
    assert np.array_equal(rows[:], row(2)[None])


BYTES = 2 * (24 + 32)  # of a store of two rows, with their keys


def opened(folder: Path, *names: str) -> list[Store]:
    """A store of two rows for each name, opened in this order, a second apart."""
    made = []
    for moment, name in enumerate(names):
        one = store(folder, {"network": name})
        if len(one) == 0:
            one.append([key(1), key(2)], np.stack([row(1), row(2)]))
        os.utime(folder / f"{one.stem}.json", (1_000_000 + moment, 1_000_000 + moment))
        made.append(one)
    return made


def left(folder: Path, *names: str) -> list[str]:
    """Those of the stores that are still there, in full."""
    there = []
    for name in names:
        files = sorted(path.suffix for path in folder.glob(f"{stem(name)}.*"))
        assert files in ([], [".json", ".keys", ".rows"]), (name, files)
        if files:
            there.append(name)
    return there


def stem(name: str) -> str:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return store(Path(folder), {"network": name}).stem


@pytest.mark.parametrize(
    ("room", "stay"),
    [(100, "abcd"), (4, "abcd"), (3.99, "bcd"), (3, "bcd"), (2.5, "cd"), (1, "d"), (0.5, ""), (0, "")],
)
def test_the_stores_opened_least_recently_are_deleted(room: float, stay: str, tmp_path: Path) -> None:
    opened(tmp_path, *"abcd")
    prune(tmp_path, [], needed=1000, budget=1000 + int(room * BYTES))
    assert left(tmp_path, *"abcd") == list(stay)


def test_opening_a_store_makes_it_recent(tmp_path: Path) -> None:
    opened(tmp_path, *"abc")
    store(tmp_path, {"network": "a"})
    prune(tmp_path, [], needed=0, budget=2 * BYTES)
    assert left(tmp_path, *"abc") == ["a", "c"]


def test_stores_in_use_stay_whatever_their_age_and_size(tmp_path: Path) -> None:
    oldest, *_ = opened(tmp_path, *"abc")
    prune(tmp_path, [oldest], needed=10**6, budget=1)
    assert left(tmp_path, *"abc") == ["a"]
    assert np.array_equal(oldest.rows([key(2)])[:], row(2)[None])


def test_where_all_fits_nothing_goes(tmp_path: Path) -> None:
    before, kept = {}, opened(tmp_path, *"abc")
    for path in tmp_path.iterdir():
        before[path] = path.read_bytes()
    prune(tmp_path, kept[:1], needed=BYTES, budget=3 * BYTES)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    prune(tmp_path / "nothing yet", [], needed=5, budget=1)


def test_a_store_that_was_deleted_is_filled_again(tmp_path: Path) -> None:
    opened(tmp_path, "a")
    prune(tmp_path, [], needed=0, budget=0)
    [again] = opened(tmp_path, "a")
    assert np.array_equal(again.rows([key(2)])[:], row(2)[None])


def test_two_writers_at_once_share_a_store(tmp_path: Path) -> None:
    one, other = store(tmp_path), store(tmp_path)
    one.append([key(1), key(2)], np.stack([row(1), row(2)]))
    other.append([key(3), key(2)], np.stack([row(3), row(2)]))
    one.append([key(4)], row(4)[None])
    for opened in (one, store(tmp_path)):
        assert len(opened) == 4
        assert np.array_equal(opened.rows([key(n) for n in (1, 2, 3, 4)])[:], [row(n) for n in (1, 2, 3, 4)])


def test_many_writers_at_once_leave_every_row_right(tmp_path: Path) -> None:
    def write(first: int) -> None:
        made = store(tmp_path)
        for number in range(first, first + 40, 4):
            made.append([key(n) for n in range(number, number + 4)], np.stack([row(n) for n in range(number, number + 4)]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, (0, 10, 20, 30)))
    numbers = list(range(70))
    assert len(store(tmp_path)) == 70
    assert np.array_equal(store(tmp_path).rows(map(key, numbers))[:], np.stack([row(n) for n in numbers]))
