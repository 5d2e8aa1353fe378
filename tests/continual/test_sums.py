"""headstart.continual.sums: exact in any order, kept whole, and a head that knows classes whose images are gone."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.continual import sums
from headstart.continual.sums import Sums
from headstart.data import forgotten
from headstart.machinery.errors import DataError


def features(seed: int, n: int, width: int = 24) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    labels = random.integers(4, size=n)
    centres = np.random.default_rng(0).normal(0, 3, (4, width))
    return (centres[labels] + random.normal(size=(n, width))).astype(np.float16), [f"class {label}" for label in labels]


def of(part: tuple[np.ndarray, list[str]], sha256: str = "0") -> Sums:
    return sums.of("wheel:a", sha256, *part)


def bytes_of(kept: Sums) -> tuple[object, ...]:
    return kept.classes, kept.counts.tobytes(), kept.sums.tobytes(), kept.gram.tobytes()


def test_the_same_bytes_in_any_order() -> None:
    parts = [features(seed, n) for seed, n in ((1, 113), (2, 57), (3, 240))]
    together = np.concatenate([x for x, _ in parts]), [label for _, labels in parts for label in labels]
    once = bytes_of(of(together))
    for order in itertools.permutations(parts):
        first, second, third = (of(part) for part in order)
        assert bytes_of(first + second + third) == bytes_of(first + (second + third)) == once
    shuffled = np.random.default_rng(9).permutation(len(together[1]))
    assert bytes_of(of((together[0][shuffled], [together[1][i] for i in shuffled]))) == once, "nor does the order of images matter"


def test_they_are_the_sums() -> None:
    x, labels = features(1, 300)
    kept = of((x, labels))
    assert kept.counts.sum() == 300
    assert kept.gram / sums.STEP**2 == pytest.approx(x.astype(np.float64).T @ x.astype(np.float64), rel=1e-3, abs=0.1)
    assert kept.sums.sum(0) / sums.STEP == pytest.approx(x.astype(np.float64).sum(0), abs=0.2)
    assert (sums.CUT * sums.STEP) ** 2 * sums.MOST <= 2**53, "what is added stays a whole number that float64 can hold"


def test_they_are_kept_and_added_to_those_of_the_same_source_alone(tmp_path: Path) -> None:
    one, other = of(features(1, 40)), of(features(2, 30), "1")
    for name, kept in (("b", one), ("a", other)):
        sums.write(tmp_path, name, kept)
    read = sums.read(tmp_path)
    assert list(read) == forgotten.names(tmp_path) == ["a", "b"]
    assert bytes_of(read["b"]) == bytes_of(one)
    with pytest.raises(DataError, match="cannot be added"):
        _ = one + other


def test_the_head_knows_what_is_gone() -> None:
    x, labels = features(1, 600)
    gone = np.array(labels) == "class 2"
    kept = of((x[gone], ["class 2"] * int(gone.sum()))) + of((x[~gone], [label for label in labels if label != "class 2"]))
    head = sums.discriminant(kept, 0.1)
    test, actual = features(5, 300)
    assert (np.array(kept.classes)[head.logits(test).argmax(1)] == np.array(actual)).mean() > 0.97


def test_test_images_that_were_forgotten_are_remembered_by_their_hashes(tmp_path: Path) -> None:
    assert forgotten.tested(tmp_path).empty
    rows = pd.DataFrame(
        {"label": ["a", "b"], "split": ["test", "train"], "pixels_sha256": ["1" * 64, "2" * 64], "phash": ["3" * 16] * 2, "together": ""}
    )
    (tmp_path / forgotten.FOLDER).mkdir()
    forgotten.write_tested(tmp_path, "x", rows)
    assert forgotten.tested(tmp_path).to_dict("records") == [
        {"label": "a", "pixels_sha256": "1" * 64, "phash": "3" * 16, "together": "", "split": "test"}
    ]
    (tmp_path / forgotten.FOLDER / "y.tested.csv").write_text("label\n")
    with pytest.raises(DataError, match="damaged"):
        forgotten.tested(tmp_path)
