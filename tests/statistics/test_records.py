"""headstart.statistics.records: what is kept of a training, and what is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.statistics import records
from headstart.statistics.records import Record


def table(train: int = 40, validation: int = 20, test: int = 10) -> pd.DataFrame:
    """Rows of two classes in turn, every one its own group."""
    splits = ["train"] * train + ["validation"] * validation + ["test"] * test
    return pd.DataFrame(
        {
            "path": [f"{i:04d}.png" for i in range(len(splits))],
            "label": ["ant", "bee"] * (len(splits) // 2),
            "split": splits,
            "sha256": [f"{i * 7919:064x}" for i in range(len(splits))],
            "group": range(len(splits)),
        }
    )


@dataclass(frozen=True)
class Done:
    right: np.ndarray
    steps: list[int]
    best: int


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    some = table()
    right = np.random.default_rng(0).random((4, 20)) < 0.5
    one = records.of_run(some, Done(right, [0, 5, 10, 15], 2))
    records.write(tmp_path / "a", {(0, 0): one, (10, 3): records.before(one)})
    read = records.read(tmp_path / "a")
    assert set(read) == {(0, 0), (10, 3)}
    assert read[0, 0].images.tolist() == some.loc[some["split"] == "validation", "sha256"].tolist()
    assert (read[0, 0].right == right).all()
    assert (read[0, 0].steps.tolist(), read[0, 0].best) == ([0, 5, 10, 15], 2)
    assert read[10, 3].right.tolist() == right[:1].tolist()
    records.write(tmp_path / "b", read)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_trials_are_none(tmp_path: Path) -> None:
    records.write(tmp_path / "a", {})
    assert records.read(tmp_path / "a") == {}


def test_only_takes_the_images_that_are_asked_for_in_their_order() -> None:
    one = Record(np.array(["a", "b", "c"]), np.array([[True, False, True], [False, False, True]]), np.array([0, 1]), 1)
    part = records.only(one, np.array(["c", "x", "a"]))
    assert part.images.tolist() == ["c", "a"]
    assert part.right.tolist() == [[True, True], [True, False]]
    with pytest.raises(IndexError):
        records.only(one, np.array(["a"])).right[2]
