"""headstart.store: rows by key, appended, and whole after a writer was killed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.store import Store

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
