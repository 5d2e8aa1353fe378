"""headstart.labels.doubtful: labels that were changed come first, a block is named, and a clean set is left alone."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.data import encoding, folding
from headstart.labels import doubtful, lists
from headstart.labels.doubtful import Doubts
from headstart.linear import logistic

CLASSES = ["ant", "bee", "cat"]


def table(of: list[str], names: list[str] | None = None) -> tuple[pd.DataFrame, np.ndarray]:
    """Files that show these classes, 40 of each or so, in order, and their features; every fifth is for the test."""
    random = np.random.default_rng(0)
    truth = np.array([CLASSES.index(name) for name in of])
    features = random.normal(0, 1, (len(of), 12)).astype(np.float32)
    features[np.arange(len(of)), truth] += 10
    splits = np.where(np.arange(len(of)) % 5 == 0, "test", "train")
    paths = names or [f"{label}/{number}.png" for number, label in enumerate(of)]
    return pd.DataFrame({"path": paths, "label": of, "split": splits, "group": np.arange(len(of)), "origin": paths}), features


def found(rows: pd.DataFrame, features: np.ndarray) -> Doubts:
    labels, seen = encoding.encode(rows["label"], CLASSES), (rows["split"] != "test").to_numpy()
    parts = folding.split_folds(labels[seen], rows["group"].to_numpy()[seen], 3, 0)
    head, validated = logistic.fit(features[seen], labels[seen], parts, classes=3, penalties=[1.0], what="head")
    return doubtful.find(rows, features, replace(head, held_out=validated.held_out), CLASSES, penalty=1.0, balanced=False)


def relabelled(rows: pd.DataFrame, changes: dict[int, str]) -> pd.DataFrame:
    return rows.assign(label=[changes.get(number, label) for number, label in enumerate(rows["label"])])


def test_a_clean_set_is_left_alone() -> None:
    told = found(*table([*["ant"] * 40, *["bee"] * 40, *["cat"] * 40]))
    assert (told["images"], told["singles"], told["labels"], told["blocks"]) == (120, 0, [], [])
    assert told["expected"] == [0, 0, 0]


def test_changed_labels_come_with_what_was_there_before_in_every_split() -> None:
    rows, features = table([*["ant"] * 40, *["bee"] * 40, *["cat"] * 40])
    changes = {5: "bee", 33: "cat", 50: "ant", 91: "bee"}  # 5 and 50 are test images
    told = found(relabelled(rows, changes), features)
    assert {one["path"] for one in told["labels"]} == {rows["path"][row] for row in changes}
    assert told["singles"] == 4
    assert told["blocks"] == []
    for one in told["labels"]:
        row = rows.index[rows["path"] == one["path"]][0]
        assert (one["label"], one["suggested"], one["split"]) == (changes[row], rows["label"][row], rows["split"][row])
        assert one["probability"] < 0.5 < one["suggested_probability"]
        assert [near["path"] for near in one["neighbours"]].count(one["path"]) == 0
        assert len({near["path"] for near in one["neighbours"]}) == 5
    assert told["expected"][0] == pytest.approx(4, abs=1)


def test_a_block_of_consecutive_files_is_named_in_the_order_of_numbers() -> None:
    """Eight of 28 bees show ants; as text, 100 comes before 92."""
    of = [*["ant"] * 40, *["bee"] * 10, *["ant"] * 8, *["bee"] * 10, *["cat"] * 40]
    names = [f"x/IMG_{number}.png" for number in range(80, 80 + len(of))]
    rows, features = table(of, names)
    order = np.random.default_rng(1).permutation(len(rows))
    mixed = relabelled(rows, dict.fromkeys(range(50, 58), "bee")).iloc[order].reset_index(drop=True)
    told = found(mixed, features[order])
    (block,) = told["blocks"]
    assert (block["label"], block["suggested"], block["files"]) == ("bee", "ant", 8)
    assert (block["first"], block["last"]) == ("x/IMG_130.png", "x/IMG_137.png")
    assert block["chance"] < 0.01
    assert [one["path"] for one in told["labels"][:8]] == [f"x/IMG_{number}.png" for number in range(130, 138)]
    assert {one["block"] for one in told["labels"][:8]} == {1}
    assert told["singles"] == len(told["labels"]) - 8


@pytest.mark.parametrize("seed", range(4))
def test_a_block_may_be_consecutive_as_text_and_two_small_classes_that_overlap_are_enough(seed: int) -> None:
    """Eight of 28 ants show bees: so many wrong ones that heads of all images hardly tell the classes apart."""
    random = np.random.default_rng(seed)
    of = np.array(["ant"] * 28 + ["bee"] * 28)
    names = sorted(f"{number}.png" for number in random.choice(10**6, 28, replace=False) // 10 ** random.integers(0, 4, 28))
    paths = [f"{label}/{name}" for label in ("ant", "bee") for name in names]
    shown = (of == "bee") | np.isin(np.arange(56), range(9, 17))
    features = random.normal(0, 1, (56, 30)).astype(np.float32)
    features[:, :6] += np.where(shown, 1, -1)[:, None]
    splits = np.where(np.arange(56) % 5 == 0, "test", "train")
    rows = pd.DataFrame({"path": paths, "label": of, "split": splits, "group": np.arange(56), "origin": paths})
    (block,) = found(rows, features)["blocks"]
    assert (block["label"], block["suggested"]) == ("ant", "bee")
    assert 6 <= block["files"] <= 9


@pytest.mark.parametrize("modules", [80, 110, 140])
def test_files_that_look_alike_because_they_were_made_together_are_no_blocks(modules: int) -> None:
    """Both classes come in the same modules of twenty, by number; of the first ones the module shows more than the class."""
    random = np.random.default_rng(0)
    numbers, labels = np.arange(240), random.choice(["ant", "bee"], 240)
    features = random.normal(0, 1, (240, 40)).astype(np.float32)
    features[numbers, (labels == "ant").astype(int)] += np.where(numbers < modules, 1.5, 12)
    features[numbers, 2 + numbers // 20] += np.where(numbers < modules, 30, 0)
    rows, _ = table(list(labels), [f"{label}/{number}.png" for number, label in zip(numbers, labels, strict=True)])
    assert found(rows, features)["blocks"] == []


@pytest.mark.parametrize("seed", range(3))
def test_a_stretch_that_looks_like_the_other_class_of_the_same_session_is_no_block(seed: int) -> None:
    """By number, ants and bees come in turn; in one session the ants do not show what they are, and share the light with the bees of that session."""
    random = np.random.default_rng(seed)
    numbers, labels = np.arange(240), np.array(["ant", "bee"] * 120)
    session = (numbers >= 40) & (numbers < 70)
    features = random.normal(0, 1, (240, 40)).astype(np.float32)
    features[numbers, (labels == "ant").astype(int)] += np.where(session & (labels == "ant"), 0, 8)
    features[session, 2] += 12
    rows, _ = table(list(labels), [f"{label}/{number}.png" for number, label in zip(numbers, labels, strict=True)])
    assert found(rows, features)["blocks"] == []


def test_what_is_written(tmp_path: Path) -> None:
    rows, features = table([*["ant"] * 40, *["bee"] * 40, *["cat"] * 40])
    told = found(relabelled(rows, {5: "bee"}), features)
    lists.write(tmp_path / "labels", told)
    assert json.loads((tmp_path / "labels" / lists.JSON).read_text()) == told
    with (tmp_path / "labels/labels.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["path"], row["label"], row["suggested"], row["block"]) == ("ant/5.png", "bee", "ant", "0")
    assert (tmp_path / "labels/blocks.csv").read_text() == "number,label,suggested,files,first,last,chance\n"


def test_two_images_of_two_classes_are_enough() -> None:
    rows, features = table(["ant", "bee", "cat"] * 3)
    assert found(rows.assign(split="train"), features)["images"] == 9
