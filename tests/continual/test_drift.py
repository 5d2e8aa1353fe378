"""headstart.continual.drift: other looks are found, other shares and new classes are no other looks, and chance is chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headstart.continual import drift

HOW: dict[str, Any] = {"level": 0.05, "permutations": 199, "most": 500, "seed": 0}
CENTRES = np.random.default_rng(99).normal(0, 3, (6, 40))


def images(random: np.random.Generator, counts: list[int], shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Features of classes a, b, ... that lie around centres of their own; `shift` moves all of them one way."""
    labels = np.repeat(np.arange(len(counts)), counts)
    features = CENTRES[labels] + random.normal(size=(len(labels), 40)) + shift * CENTRES[5] / np.linalg.norm(CENTRES[5])
    return features.astype(np.float32), np.array(list("abcdef"))[labels]


def measured(before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], **other: Any) -> Any:
    features, labels = (np.concatenate(both) for both in zip(before, after, strict=True))
    new = np.arange(len(labels)) >= len(before[1])
    groups = other.pop("groups", np.arange(len(labels)))
    return drift.measure("b", features, labels, groups, new, **{**HOW, **other})


def test_other_looks_are_found() -> None:
    random = np.random.default_rng(0)
    found = measured(images(random, [60, 60, 60]), images(random, [10, 10, 10], 3.0))
    assert found["found"] == ["looks"]
    assert found["looks"]["p"] == pytest.approx(1 / 200)
    assert found["looks"]["told_apart"] > 0.9
    assert (found["looks"]["n_new"], found["looks"]["n_before"], found["batch"]) == (30, 180, "b")


def test_chance_is_found_as_often_as_the_level_says() -> None:
    looks, shares = [], []
    for seed in range(120):
        random = np.random.default_rng(seed)
        before, after = (random.multinomial(n, [0.5, 0.3, 0.2]).tolist() for n in (60, 20))
        found = measured(images(random, before), images(random, after), permutations=99, seed=seed)
        looks.append(found["looks"]["p"])
        shares.append(found["shares"]["p"])
    for p in (looks, shares):
        assert np.mean(np.array(p) <= 0.05) <= 0.11, "0.05 in the long run; 0.11 is three standard errors more"
        assert 0.35 < np.mean(p) < 0.75


def test_other_shares_and_new_classes_are_no_other_looks() -> None:
    random = np.random.default_rng(1)
    found = measured(images(random, [60, 60, 10]), images(random, [2, 10, 30, 7]))
    assert found["found"] == ["shares", "classes"]
    assert found["new_classes"] == {"d": 7}
    assert found["looks"]["n_new"] == 42
    assert found["shares"]["of_class"]["c"] == pytest.approx([10 / 130, 30 / 42])
    assert list(found["shares"]["of_class"]) == ["a", "b", "c"]


def test_frames_of_one_video_count_once() -> None:
    """One photo of each kind, many times: no more than one image each."""
    random = np.random.default_rng(2)
    before, one = images(random, [30, 30]), images(random, [1, 1], 1.0)
    after = np.repeat(one[0], 40, 0) + random.normal(0, 0.01, (80, 40)).astype(np.float32), np.repeat(one[1], 40)
    groups = np.concatenate([np.arange(60), np.repeat([60, 61], 40)])
    apart, once = measured(before, after), measured(before, after, groups=groups)
    assert apart["looks"]["p"] < 0.01
    assert (once["looks"]["n_new"], once["shares"]["p"] > 0.05) == (2, True)
    assert once["looks"]["p"] > 0.01


def test_too_few_to_say() -> None:
    random = np.random.default_rng(3)
    found = measured(images(random, [3, 3]), images(random, [1], 9.0), level=0.01)
    assert (found["looks"]["p"], found["looks"]["told_apart"], found["found"]) == (None, None, [])
    assert found["looks"]["least"] == 7, "of 10 images, 7 new ones can lie in 120 ways"
    only_new = measured(images(random, [5, 5]), tuple(part[-4:] for part in images(random, [1, 1, 1, 4])))  # type: ignore[arg-type]
    assert (only_new["looks"]["n_new"], only_new["looks"]["p"], only_new["found"]) == (0, None, ["classes"])
    assert only_new["shares"]["p"] is None


def test_at_most_so_many_are_looked_at_and_all_is_seeded() -> None:
    random = np.random.default_rng(4)
    before, after = images(random, [80, 80]), images(random, [40, 40], 2.0)
    found = measured(before, after, most=30)
    assert (found["looks"]["n_new"], found["looks"]["n_before"]) == (30, 30)
    assert found == measured(before, after, most=30)
    assert found["looks"] != measured(before, after, most=30, seed=1)["looks"]


def test_tall_and_wide_tables_have_the_same_components() -> None:
    random = np.random.default_rng(5)
    x = random.normal(size=(50, 20))
    left, values, _ = drift._by_gram(x)
    expected = np.linalg.svd(x, full_matrices=False)
    assert values == pytest.approx(expected[1])
    assert np.abs((left * expected[0]).sum(0)) == pytest.approx(np.ones(20))
