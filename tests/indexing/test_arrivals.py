"""headstart.indexing.arrivals: whatever comes, what was there keeps its split, and what looks like a test image is no training image."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from headstart.indexing import arrivals
from headstart.indexing.arrivals import Cut

CUT = Cut(0.2, 0.2, 4, 20, 0)
_COLUMNS = ["label", "split", "pixels_sha256", "phash", "together"]


def row(label: str, number: object, phash: int, together: str = "", split: str = "") -> tuple[str, ...]:
    return label, split, hashlib.sha256(str(number).encode()).hexdigest(), f"{phash:016x}", together


def frame(rows: list[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=_COLUMNS).astype(object)


def images(random: np.random.Generator, label: str, count: int) -> list[tuple[str, ...]]:
    return [row(label, random.integers(2**62), int(random.integers(2**63))) for _ in range(count)]


def draw(random: np.random.Generator, known: pd.DataFrame) -> pd.DataFrame:
    """A batch: images of some classes, near-duplicates of known ones and of each other, and members of known groups."""
    rows = [one for label in "abcd" if random.random() < 0.7 for one in images(random, label, int(random.integers(1, 12)))]
    rows = rows or images(random, "a", 1)
    for _ in range(int(random.integers(0, 6))):
        pool = known if len(known) and random.random() < 0.7 else frame(rows)
        twin = pool.iloc[int(random.integers(len(pool)))]
        bits = int(twin["phash"], 16)
        for bit in random.choice(64, int(random.integers(0, 3)), replace=False):
            bits ^= 1 << int(bit)
        rows.append(row(twin["label"] if random.random() < 0.8 else "a", random.integers(2**62), bits))
    for _ in range(int(random.integers(0, 4))):
        rows.append(row(str(random.choice(list("abcd"))), random.integers(2**62), int(random.integers(2**63)), f"p{random.integers(5)}"))
    return frame(rows)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_comes_what_looks_like_a_test_image_never_trains(seed: int) -> None:
    random = np.random.default_rng(seed)
    known = frame([])
    for _ in range(int(random.integers(2, 7))):
        new = draw(random, known)
        before = known.copy()
        found = arrivals.settle(known, new, CUT)
        assert set(found) <= {"train", "validation", "test"}
        assert known.equals(before)
        both = pd.concat([known, new.assign(split=found)], ignore_index=True)
        groups = CUT.groups(both)
        tested = set(groups[: len(known)][(known["split"] == "test").to_numpy(bool)].tolist())
        assert not [split for group, split in zip(groups[len(known) :].tolist(), found, strict=True) if group in tested and split != "test"]
        known = both


def test_a_batch_is_cut_by_itself_so_order_does_not_matter() -> None:
    random = np.random.default_rng(0)
    parts = {name: frame(images(random, "a", 23) + images(random, "b", 11)) for name in "xyz"}
    told = []
    for order in ("xyz", "zyx", "yxz"):
        known, splits = frame([]), {}
        for name in order:
            found = arrivals.settle(known, parts[name], CUT)
            splits[name] = found.tolist()
            known = pd.concat([known, parts[name].assign(split=found)], ignore_index=True)
        told.append(splits)
    assert told[0] == told[1] == told[2]
    once = [arrivals.settle(frame([]), frame(parts["x"].to_numpy().tolist()[::-1]), CUT)[::-1].tolist()]
    assert once == [told[0]["x"]], "nor does the order of the rows"


def test_few_images_a_day_come_to_the_shares() -> None:
    random = np.random.default_rng(0)
    known = frame(images(random, "a", 5) + images(random, "b", 5))
    known["split"] = arrivals.settle(frame([]), known, CUT)
    assert known.groupby("label")["split"].value_counts().to_dict() == {
        (label, split): number for label in "ab" for split, number in (("train", 3), ("test", 1), ("validation", 1))
    }
    for _ in range(300):
        new = frame(images(random, "a", 1))
        known = pd.concat([known, new.assign(split=arrivals.settle(known, new, CUT))], ignore_index=True)
    shares = known["split"].value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.2, abs=0.06)
    assert shares["validation"] == pytest.approx(0.16, abs=0.06)


def test_a_class_that_comes_in_parts_gets_every_split() -> None:
    for seed in range(20):
        random = np.random.default_rng(seed)
        known = frame(images(random, "a", 20))
        known["split"] = arrivals.settle(frame([]), known, CUT)
        for _ in range(3):
            new = frame(images(random, "rare", 1))
            known = pd.concat([known, new.assign(split=arrivals.settle(known, new, CUT))], ignore_index=True)
        assert set(known.loc[known["label"] == "rare", "split"]) == {"train", "test", "validation"}


def test_a_given_split_gives_way_only_to_a_known_twin() -> None:
    random = np.random.default_rng(3)
    known = frame(images(random, "a", 20) + images(random, "b", 20))
    known["split"] = arrivals.settle(frame([]), known, CUT)
    held_out = known[known["split"] == "test"].iloc[0]
    twin = row(held_out["label"], "other pixels", int(held_out["phash"], 16) ^ 1, split="train")
    new = frame([twin, *[(*one[:1], split, *one[2:]) for one in images(random, "a", 4) for split in ("train",)]])
    new.loc[4, "split"] = "test"
    found = arrivals.settle(known, new, CUT).tolist()
    assert (found[0], found[4]) == ("test", "test")
    assert sorted(found[1:4]) == ["train", "train", "validation"], "folders that give no validation have it drawn"
