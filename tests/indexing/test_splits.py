"""headstart.splits: given splits respected, cuts stratified, seeded, by group, and steady."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from headstart.data import sampling
from headstart.indexing import splits


def frame(*parts: tuple[str, str, int]) -> pd.DataFrame:
    """A table from (split, label, number of images), every image of its own."""
    rows = [(split, label) for split, label, count in parts for _ in range(count)]
    table = pd.DataFrame(rows, columns=["split", "label"])
    table["pixels_sha256"] = [f"{number:064x}" for number in range(len(table))]
    table["group"] = np.arange(len(table))
    return table


def assign(table: pd.DataFrame, test: float = 0.2, validation: float = 0.2, seed: int = 0) -> np.ndarray:
    return splits.assign(table, test_share=test, validation_share=validation, seed=seed)


def counts(table: pd.DataFrame, result: np.ndarray) -> dict[tuple[str, str], int]:
    return dict(Counter(zip(table["label"], result, strict=True)))


def test_shares_hold_in_each_class() -> None:
    table = frame(("", "a", 100), ("", "b", 50))
    assert counts(table, assign(table)) == {
        ("a", "test"): 20,
        ("a", "validation"): 16,
        ("a", "train"): 64,
        ("b", "test"): 10,
        ("b", "validation"): 8,
        ("b", "train"): 32,
    }
    assert Counter(assign(table, 0.5, 0.1)) == {"test": 75, "validation": 7, "train": 68}


@pytest.mark.parametrize("given", [("train", "validation", "test"), ("train", "validation"), ("train", "test"), ("train",)])
def test_given_splits(given: tuple[str, ...]) -> None:
    table = frame(*((split, label, 20) for split in given for label in ("a", "b")))
    result = pd.Series(assign(table))
    was = table["split"]
    if given == ("train", "validation", "test"):
        assert (result == was).all()
    elif given == ("train", "validation"):
        assert ((result == "test") == (was == "validation")).all()
        assert result[was == "train"].value_counts().to_dict() == {"train": 32, "validation": 8}
    elif given == ("train", "test"):
        assert ((result == "test") == (was == "test")).all()
        assert result[was == "train"].value_counts().to_dict() == {"train": 32, "validation": 8}
    else:
        assert result.value_counts().to_dict() == {"train": 26, "test": 8, "validation": 6}


def test_independent_of_row_order_and_moved_by_the_seed() -> None:
    table = frame(("", "a", 60), ("", "b", 60))
    table["group"] = np.arange(len(table)) // 3
    result = assign(table)
    order = np.random.default_rng(0).permutation(len(table))
    other = table.iloc[order].reset_index(drop=True)
    other["group"] = pd.factorize(other["group"])[0]
    assert np.array_equal(assign(other), result[order])
    assert np.array_equal(assign(table), result)
    assert not np.array_equal(assign(table, seed=1), result)


def test_most_images_stay_when_photos_are_added() -> None:
    table = frame(("", "a", 500), ("", "b", 500))
    more = frame(("", "a", 500), ("", "b", 500), ("", "a", 10))
    before, after = assign(table), assign(more)[:1000]
    assert (before != after).sum() <= 8


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_on_one_side(seed: int) -> None:
    random = np.random.default_rng(seed)
    table = frame(("", "a", 300), ("", "b", 200))
    table["group"] = np.concatenate([random.integers(0, 60, 300), random.integers(55, 100, 200)])  # some groups carry both labels
    result = pd.Series(assign(table, seed=seed))
    assert (result.groupby(table["group"]).nunique() == 1).all()
    assert abs((result == "test").sum() - 100) <= 12
    assert abs((result == "validation").sum() - 80) <= 12


def test_whole_groups_come_as_near_to_the_share_as_they_can() -> None:
    table = frame(("", "a", 100), ("", "b", 100))
    table["group"] = np.arange(200) // 7
    result = counts(table, assign(table))
    assert abs(result["a", "test"] - 20) <= 3
    assert abs(result["b", "test"] - 20) <= 3


@pytest.mark.parametrize("n", [3, 4, 5])
@pytest.mark.parametrize("seed", range(4))
def test_small_classes_have_an_image_in_each_split(n: int, seed: int) -> None:
    table = frame(("", "a", n), ("", "b", 100))
    result = counts(table, assign(table, seed=seed))
    assert all(result["a", split] >= 1 for split in ("train", "validation", "test"))
    given = frame(("train", "a", 2), ("train", "b", 50), ("test", "a", 1), ("test", "b", 9))
    result = counts(given, assign(given, seed=seed))
    assert (result["a", "train"], result["a", "validation"], result["a", "test"]) == (1, 1, 1)


@pytest.mark.parametrize("sizes", [(1, 1, 10), (10, 10, 10), (5, 1, 1), (30, 2, 30, 2)])
def test_three_groups_fill_three_splits(sizes: tuple[int, ...]) -> None:
    table = frame(("", "a", sum(sizes)), ("", "b", 40))
    table.loc[table["label"] == "a", "group"] = np.repeat(np.arange(1000, 1000 + len(sizes)), sizes)
    result = pd.Series(assign(table))
    assert set(result[table["label"] == "a"]) == {"train", "validation", "test"}
    assert (result.groupby(table["group"]).nunique() == 1).all()


def test_a_class_of_lookalikes_is_broken_up_rather_than_missing_from_a_split() -> None:
    table = frame(("", "a", 20), ("", "b", 40))
    table.loc[table["label"] == "a", "group"] = 999
    table.loc[:4, "pixels_sha256"] = "f" * 64  # five copies of one image stay together
    result = pd.Series(assign(table))
    assert set(result[table["label"] == "a"]) == {"train", "validation", "test"}
    assert result[:5].nunique() == 1
    assert 3 <= (result[table["label"] == "a"] == "test").sum() <= 6


def test_classes_too_small_to_divide_stay_in_training() -> None:
    table = frame(("", "a", 1), ("", "b", 2), ("", "c", 30))
    table.loc[1:2, "pixels_sha256"] = "f" * 64
    table.loc[1:2, "group"] = 1
    result = counts(table, assign(table))
    assert result["a", "train"] == 1
    assert result["b", "train"] == 2


def test_nothing_to_cut() -> None:
    assert assign(frame()).tolist() == []
    assert assign(frame(("validation", "a", 2))).tolist() == ["test"] * 2


def many(counts: dict[str, int]) -> pd.DataFrame:
    labels = [label for label, n in counts.items() for _ in range(n)]
    return pd.DataFrame({"label": labels, "sha256": [f"{i:064x}" for i in range(len(labels))]})


def test_a_sample_keeps_proportions_whatever_the_order() -> None:
    table = many({"a": 600, "b": 300, "c": 100})
    chosen = sampling.sample(table, 100, seed=0)
    assert chosen["label"].value_counts().to_dict() == {"a": 60, "b": 30, "c": 10}
    assert chosen.index.tolist() == list(range(100))
    shuffled = sampling.sample(table.sample(frac=1, random_state=1), 100, seed=0)
    assert set(shuffled["sha256"]) == set(chosen["sha256"])
    assert set(sampling.sample(table, 100, seed=1)["sha256"]) != set(chosen["sha256"])


def test_a_sample_of_few_is_all_of_them() -> None:
    table = many({"a": 60, "b": 30})[::-1]
    for limit in (90, 1000):
        assert sampling.sample(table, limit, seed=0)["sha256"].tolist() == table["sha256"].tolist()
    assert len(sampling.sample(many({}), 10, seed=0)) == 0


def test_a_larger_sample_contains_the_smaller_one() -> None:
    table = many({"a": 600, "b": 300})
    assert set(sampling.sample(table, 90, seed=0)["sha256"]) < set(sampling.sample(table, 300, seed=0)["sha256"])


def test_a_sample_leaves_two_of_a_rare_class() -> None:
    counts = sampling.sample(many({"a": 989, "b": 10, "c": 1}), 50, seed=0)["label"].value_counts()
    assert (counts["b"], counts["c"]) == (2, 1)


def test_the_order_of_files_is_that_of_no_other_seed() -> None:
    files = [f"{i:064x}" for i in range(100)]
    orders = [sorted(files, key=lambda file: sampling.hash_order(file, seed)) for seed in range(3)]
    assert len({tuple(order) for order in [files, *orders]}) == 4
    assert len({sampling.hash_order(file, 0) for file in files}) == 100


def grouped(groups: dict[str, dict[str, int]]) -> pd.DataFrame:
    """A table of images of two classes in groups that the user gave: images of each class by group."""
    rows = [("", label, name) for name, classes in groups.items() for label, count in classes.items() for _ in range(count)]
    table = pd.DataFrame(rows, columns=["split", "label", "together"])
    table["pixels_sha256"] = [f"{number:064x}" for number in range(len(table))]
    table["group"] = pd.factorize(table["together"])[0]
    return table


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("patients", [6, 12, 40])
def test_groups_stay_whole_and_every_split_has_every_class(patients: int, mixed: bool, seed: int) -> None:
    random = np.random.default_rng(seed)

    def images(number: int) -> dict[str, int]:
        count = int(random.integers(1, 9))
        return {"a": count, "b": 9 - count} if mixed else {"ab"[number % 2]: count}

    table = grouped({f"patient {number}": images(number) for number in range(patients)})
    result = assign(table, seed=seed)
    assert (table.assign(result=result).groupby("together")["result"].nunique() == 1).all()
    assert set(zip(table["label"], result, strict=True)) == {(label, split) for label in "ab" for split in ("train", "validation", "test")}
    assert (result == "train").mean() > 0.3


def test_groups_that_are_too_few_are_not_broken_up() -> None:
    table = grouped({"p": {"a": 20}, "q": {"a": 20}, "r": {"b": 30}, "s": {"b": 9}, "t": {"b": 9}})
    result = assign(table)
    assert (table.assign(result=result).groupby("together")["result"].nunique() == 1).all()
