"""headstart.training.designs: which trainings are compared, and on which images."""

from __future__ import annotations

import pandas as pd

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


def trainings(some: pd.DataFrame, **changes: object) -> list[designs.Training]:
    wanted = {"seeds": 1, "label_curve": False, "images": 1000, "seed": 3}
    return list(designs.trainings(some, **{**wanted, **changes}))  # type: ignore[arg-type]


def test_one_seed_is_one_run_on_the_splits_as_they_are() -> None:
    [one] = trainings(table())
    assert (one.labels, one.number, one.seed) == (0, 0, 3)
    assert one.table["split"].value_counts().to_dict() == {"train": 40, "validation": 20}


def test_few_validation_images_are_held_out_in_folds() -> None:
    made = trainings(table(), seeds=5)
    assert [one.seed for one in made] == [3, 4, 5, 6, 7]
    held = [set(one.table.loc[one.table["split"] == "validation", "path"]) for one in made]
    assert len(set.union(*held)) == sum(map(len, held)) == 60
    assert not any("test" in set(one.table["split"]) for one in made)


def test_many_validation_images_are_held_out_by_every_seed() -> None:
    made = trainings(table(validation=200), seeds=5)
    held = {frozenset(one.table.loc[one.table["split"] == "validation", "path"]) for one in made}
    assert len(held) == 1
    assert len(next(iter(held))) == 200


def test_a_label_curve_has_few_training_labels_and_all_held_out_ones() -> None:
    made = trainings(table(), label_curve=True)
    assert [one.labels for one in made] == [5, 10, 0]
    for one in made[:2]:
        train = one.table[one.table["split"] == "train"]
        assert train["label"].value_counts().to_dict() == {"ant": one.labels, "bee": one.labels}
        assert (one.table["split"] == "validation").sum() == 20
    small, larger = (set(one.table["path"]) for one in made[:2])
    assert small < larger


def test_large_splits_are_sampled() -> None:
    [one] = trainings(table(train=400), images=50)
    assert one.table["split"].value_counts().to_dict() == {"train": 50, "validation": 20}
