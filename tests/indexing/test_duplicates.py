"""headstart.duplicates: near-duplicate groups, against comparing all with all."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pandas as pd
import pytest

from headstart.indexing import duplicates


def frame(hashes: list[int] | np.ndarray, pixels: list[int] | None = None) -> tuple[pd.Series, pd.Series]:
    pixels = list(range(len(hashes))) if pixels is None else pixels
    return pd.Series([f"{int(value):016x}" for value in hashes]), pd.Series(
        [hashlib.sha256(str(value).encode()).hexdigest() for value in pixels]
    )


def flipped(value: int, *bits: int) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


def partition(groups: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(groups == number).tolist()) for number in set(groups.tolist())}


def brute_force(hashes: np.ndarray, distance: int) -> set[frozenset[int]]:
    """Connected components by comparing every pair."""
    left, right = np.nonzero(np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= distance)
    label = np.arange(len(hashes))
    while True:
        before = label.copy()
        np.minimum.at(label, left, label[right])
        if np.array_equal(before, label):
            return partition(label)


@pytest.mark.parametrize("distance", [0, 1, 2, 4, 7, 10])
def test_the_same_as_all_pairs(distance: int) -> None:
    random = np.random.default_rng(distance)
    hashes = random.integers(2**63, 2**64, 400, dtype=np.uint64)
    near = hashes[random.integers(0, 400, 200)]
    for number in range(200):
        for bit in random.choice(63, random.integers(0, distance + 3), replace=False):
            near[number] ^= np.uint64(1) << np.uint64(bit)
    both = np.concatenate([hashes, near])
    found = partition(duplicates.group(*frame(both), distance, 1000))
    assert found == brute_force(both, distance)
    assert len(found) < 600


def test_every_pair_of_bits_is_found_at_the_default_distance() -> None:
    """Flips spread over any blocks: the pigeonhole argument has no hole."""
    random = np.random.default_rng(0)
    base = random.integers(0, 2**64, 3000, dtype=np.uint64)
    base = base[np.bitwise_count(base) >= 20]
    near = np.array([flipped(int(value), *random.choice(64, 4, replace=False).tolist()) for value in base], np.uint64)
    groups = duplicates.group(*frame(np.concatenate([base, near])), 4, 20)
    assert np.array_equal(groups[: len(base)], groups[len(base) :])


def test_numbers_go_by_first_appearance_and_the_partition_by_content() -> None:
    random = np.random.default_rng(1)
    hashes = np.repeat(random.integers(0, 2**64, 50, dtype=np.uint64), 5)
    hashes[::5] ^= np.uint64(3)
    phash, pixels = frame(hashes)
    groups = duplicates.group(phash, pixels, 4, 3)
    firsts = [int(np.flatnonzero(groups == number)[0]) for number in range(groups.max() + 1)]
    assert firsts == sorted(firsts)
    order = random.permutation(len(hashes))
    shuffled = duplicates.group(phash.iloc[order].reset_index(drop=True), pixels.iloc[order].reset_index(drop=True), 4, 3)
    assert partition(groups) == {frozenset(order[list(part)].tolist()) for part in partition(shuffled)}


def test_a_group_never_grows_beyond_the_limit() -> None:
    base = 0x0F1E2D3C4B5A6978
    chain = [base]
    for bit in range(40):
        chain.append(flipped(chain[-1], bit))
    sizes = np.bincount(duplicates.group(*frame(chain), 4, 7))
    assert sizes.max() <= 7
    assert len(sizes) < 20
    equal = np.bincount(duplicates.group(*frame([base] * 50), 4, 7))
    assert sorted(equal) == [1, 7, 7, 7, 7, 7, 7, 7]
    assert np.bincount(duplicates.group(*frame([base] * 50), 4, 1)).max() == 1


def test_identical_pixels_share_a_group_whatever_the_limit() -> None:
    base = 0x0F1E2D3C4B5A6978
    groups = duplicates.group(*frame([base] * 31, [7] * 30 + [8]), 4, 20)
    assert set(groups[:30]) == {0}
    assert groups[30] == 1
    plain = duplicates.group(*frame([0, 0, 0], [1, 1, 2]), 4, 20)
    assert plain.tolist() == [0, 0, 1]


def test_plain_pictures_are_not_called_alike() -> None:
    assert len(set(duplicates.group(*frame([0, 0, 1, 3, 1 << 63]), 4, 20))) == 5


def test_a_crowd_of_lookalikes_costs_bounded_work() -> None:
    random = np.random.default_rng(2)
    base = np.full(60_000, 0xE6D8CF99198C6466, np.uint64)
    for _ in range(3):
        base ^= np.uint64(1) << random.integers(0, 64, len(base), dtype=np.uint64)
    hashes = np.concatenate([base, np.full(20_000, 0xE6D8CF99198C6466, np.uint64), np.zeros(20_000, np.uint64)])
    started = time.process_time()
    groups = duplicates.group(*frame(hashes), 4, 20)
    assert time.process_time() - started < 15  # all pairs would take minutes; about 1.5 s on two cores
    assert np.bincount(groups).max() == 20


def test_few_rows() -> None:
    assert duplicates.group(*frame([]), 4, 20).tolist() == []
    assert duplicates.group(*frame([5]), 4, 20).tolist() == [0]
    assert duplicates.group(*frame([0x0F1E2D3C4B5A6978, 0x0F1E2D3C4B5A6979]), 4, 20).tolist() == [0, 0]
