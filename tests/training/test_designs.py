"""headstart.trials: which runs are compared, on which images, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.statistics import records
from headstart.statistics.records import Record
from headstart.training import designs


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


def cells(some: pd.DataFrame, **changes: object) -> list[designs.Cell]:
    wanted = {"seeds": 1, "label_curve": False, "images": 1000, "seed": 3}
    return list(designs.cells(some, **{**wanted, **changes}))  # type: ignore[arg-type]


def test_one_seed_is_one_run_on_the_splits_as_they_are() -> None:
    [cell] = cells(table())
    assert (cell.labels, cell.number, cell.seed) == (0, 0, 3)
    assert cell.table["split"].value_counts().to_dict() == {"train": 40, "validation": 20}


def test_few_validation_images_are_held_out_in_folds() -> None:
    made = cells(table(), seeds=5)
    assert [cell.seed for cell in made] == [3, 4, 5, 6, 7]
    held = [set(cell.table.loc[cell.table["split"] == "validation", "path"]) for cell in made]
    assert len(set.union(*held)) == sum(map(len, held)) == 60
    assert not any("test" in set(cell.table["split"]) for cell in made)


def test_many_validation_images_are_held_out_by_every_seed() -> None:
    made = cells(table(validation=200), seeds=5)
    held = {frozenset(cell.table.loc[cell.table["split"] == "validation", "path"]) for cell in made}
    assert len(held) == 1
    assert len(next(iter(held))) == 200


def test_a_label_curve_has_few_training_labels_and_all_held_out_ones() -> None:
    made = cells(table(), label_curve=True)
    assert [cell.labels for cell in made] == [5, 10, 0]
    for cell in made[:2]:
        train = cell.table[cell.table["split"] == "train"]
        assert train["label"].value_counts().to_dict() == {"ant": cell.labels, "bee": cell.labels}
        assert (cell.table["split"] == "validation").sum() == 20
    small, larger = (set(cell.table["path"]) for cell in made[:2])
    assert small < larger


def test_large_splits_are_sampled() -> None:
    [cell] = cells(table(train=400), images=50)
    assert cell.table["split"].value_counts().to_dict() == {"train": 50, "validation": 20}


def test_trials_are_read_as_they_were_written(tmp_path: Path) -> None:
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
