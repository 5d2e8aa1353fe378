"""headstart.heads: the solution is the minimum, the penalty is chosen sensibly, and nothing depends on cores or blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.special import log_softmax, softmax

from headstart.base import cores, reading
from headstart.data import folding
from headstart.features.store import Store
from headstart.linear import logistic, standardised
from headstart.networks import heads

PENALTIES = [100.0, 10.0, 1.0, 0.1]


def blobs(n: int = 120, d: int = 10, classes: int = 3, spread: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Clouds around a random centre a class, with features of very different scale and offset."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    clouds = random.normal(size=(classes, d))[labels] + random.normal(size=(n, d)) * spread
    return (clouds * np.logspace(-2, 2, d) + 5 * np.arange(d)).astype(np.float32), labels


def folds(n: int, count: int = 4) -> np.ndarray:
    return np.arange(n) // 3 % count


def solve(x: np.ndarray, y: np.ndarray, penalty: float, weights: np.ndarray | None = None) -> heads.Head:
    weights = np.ones(len(y)) if weights is None else weights
    return next(logistic._path(x, y, int(y.max()) + 1, [penalty], weights))


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("penalty", [10.0, 0.3])
def test_the_solution_is_that_of_scikit_learn(penalty: float, balanced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn minimises C * sum of losses + |W|^2 / 2; ours is the mean loss + penalty / (2 d) |W|^2: C = d / (n penalty)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    monkeypatch.setattr(logistic, "GRADIENT_TOLERANCE", 1e-8)
    monkeypatch.setattr(logistic, "LOSS_TOLERANCE", 1e-14)
    monkeypatch.setattr(standardised, "LEAST_SCALE", 0.0)  # the features differ in scale by decades
    x, y = blobs(150)
    keep = np.flatnonzero((y != 2) | (np.arange(len(y)) % 4 == 0))  # one class is rare
    x, y = x[keep], y[keep]
    n, d = x.shape
    head = solve(x, y, penalty, logistic.row_weights(y, 3, balanced))
    scaler = StandardScaler().fit(x)
    theirs = LogisticRegression(C=d / (n * penalty), tol=1e-10, max_iter=10_000, class_weight="balanced" if balanced else None)
    theirs.fit(scaler.transform(x), y)
    ours = head.weight * scaler.scale_
    np.testing.assert_allclose(ours, theirs.coef_, atol=2e-3 * np.abs(theirs.coef_).max())
    np.testing.assert_allclose(softmax(head.logits(x), axis=1), theirs.predict_proba(scaler.transform(x)), atol=2e-3)


def test_the_gradient_is_that_of_the_loss() -> None:
    x, y = blobs(30, 4)
    x = (x - x.mean(0)) / x.std(0) + 0.3
    mean, scale = logistic.moments(x)
    weights = np.random.default_rng(1).uniform(0.5, 2, 30)
    arguments = (x, y, mean, scale, 0.7, weights / weights.sum())
    for seed in range(3):
        start = np.random.default_rng(seed).normal(size=3 * 5)
        error = check_grad(
            lambda p: logistic._objective(p, *arguments)[0], lambda p: logistic._objective(p, *arguments)[1], start, epsilon=1e-3
        )
        assert error < 2e-3 * np.linalg.norm(logistic._objective(start, *arguments)[1])


def test_the_objective_is_the_one_its_docstring_states() -> None:
    x, y = blobs(20, 5)
    mean, scale = logistic.moments(x)
    share = np.full(20, 1 / 20)
    parameters = np.random.default_rng(0).normal(size=(3, 6))
    logits = ((x - mean) / scale) @ parameters[:, :-1].T + parameters[:, -1]
    stated = -log_softmax(logits, axis=1)[np.arange(20), y].mean() + 0.4 / (2 * 5) * (parameters[:, :-1] ** 2).sum()
    assert logistic._objective(parameters.ravel(), x, y, mean, scale, 0.4, share)[0] == pytest.approx(stated, rel=1e-4)


def test_moments_by_block_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading.blocks, "__defaults__", (7,))
    x = np.column_stack([blobs()[0], np.full(120, 3.0)]).astype(np.float32)
    mean, scale = logistic.moments(x)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(scale, np.maximum(x.std(0), 0.1 * np.median(x.std(0))), rtol=1e-4)


def test_a_feature_that_hardly_varies_does_not_throw_off_the_image_in_which_it_does() -> None:
    random = np.random.default_rng(0)
    x = np.column_stack([random.normal(size=(100, 4)), np.zeros(100)]).astype(np.float32)
    x[:50, 4] = random.normal(size=50) * 1e-5
    mean, scale = logistic.moments(x)
    assert abs((0.5 - mean[4]) / scale[4]) < 10
    assert logistic.moments(np.zeros((5, 3), np.float32))[1].tolist() == [1, 1, 1]


def test_noise_asks_for_a_strong_penalty_and_signal_for_a_weak_one() -> None:
    random = np.random.default_rng(0)
    y = np.arange(200) % 2
    noise = random.normal(size=(200, 60)).astype(np.float32)
    noisy = logistic.cross_validate(noise, y, folds(200), classes=2, penalties=PENALTIES, what="x")
    assert noisy.penalty == 100
    assert noisy.figures["log_loss"] == pytest.approx(np.log(2), abs=0.08)
    signal = (noise[:, :5] * 0.1 + np.where(y, 1, -1)[:, None]).astype(np.float32)
    clear = logistic.cross_validate(signal, y, folds(200), classes=2, penalties=PENALTIES, what="x")
    assert clear.penalty == 0.1
    assert clear.figures["accuracy"] == 1


def test_the_path_runs_from_strong_to_weak_and_stops_when_it_gets_worse() -> None:
    x = np.random.default_rng(0).normal(size=(60, 40)).astype(np.float32)
    found = logistic.cross_validate(x, np.arange(60) % 2, folds(60), classes=2, penalties=[0.1, 10.0, 1.0, 100.0, 0.01, 10.0], what="x")
    walked = [row["penalty"] for row in found.path]
    losses = [row["log_loss"] for row in found.path]
    assert walked == [100, 10, 1]
    assert losses[0] < losses[1] < losses[2]
    assert found.penalty == 100


def test_held_out_logits_come_from_heads_that_did_not_see_the_row() -> None:
    x, y = blobs(60, 4)
    parts = folds(60)
    found = logistic.cross_validate(x, y, parts, classes=3, penalties=[1.0], what="x")
    for fold in range(4):
        seen = parts != fold
        head = solve(x[seen], y[seen], 1.0)
        np.testing.assert_allclose(found.held_out[~seen], head.logits(x[~seen]), atol=1e-4)
    losses = -log_softmax(found.held_out.astype(float), axis=1)[np.arange(60), y]
    assert found.figures["log_loss"] == pytest.approx(losses.mean())
    assert found.figures["accuracy"] == pytest.approx((found.held_out.argmax(1) == y).mean())


def test_fit_refits_on_every_row_at_the_chosen_penalty() -> None:
    x, y = blobs()
    head, found = logistic.fit(x, y, folds(120), classes=3, penalties=PENALTIES, what="x")
    direct = solve(x, y, found.penalty)
    assert head.weight.shape == (3, 10)
    assert head.weight.dtype == head.bias.dtype == np.float32
    np.testing.assert_allclose(head.logits(x), direct.logits(x), atol=0.02)


def outcome(x: reading.Features, y: np.ndarray) -> bytes:
    head, found = logistic.fit(x, y, folds(len(y)), classes=3, penalties=PENALTIES, what="x")
    return head.weight.tobytes() + head.bias.tobytes() + found.held_out.tobytes()


@pytest.mark.parametrize("small", [0, 10**6])
def test_the_same_bytes_each_time_and_on_any_number_of_cores(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic.row_space, "SMALL", small)
    x, y = blobs()
    results = [outcome(x, y)]
    try:
        for count in (1, 3):
            monkeypatch.setattr(cores, "workers", lambda count=count: count)
            cores._pool.cache_clear()
            results.append(outcome(x, y))
    finally:
        cores._pool.cache_clear()
    assert results[0] == results[1] == results[2]


def test_rows_read_from_disk_in_blocks_give_the_same_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs()
    store = Store(tmp_path, {}, (10,), "float32")
    keys = [f"{i:064x}" for i in range(120)]
    store.append(keys, x)
    monkeypatch.setattr(reading.blocks, "__defaults__", (17,))
    monkeypatch.setattr(logistic.row_space, "SMALL", 0)
    in_memory = outcome(x, y)
    monkeypatch.setattr(logistic, "IN_MEMORY", 0)
    assert outcome(store.rows(keys), y) == in_memory


def test_another_size_of_block_gives_the_same_head(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs()
    monkeypatch.setattr(logistic.row_space, "SMALL", 0)
    whole, _ = logistic.fit(x, y, folds(120), classes=3, penalties=PENALTIES, what="x")
    monkeypatch.setattr(reading.blocks, "__defaults__", (17,))
    parts, _ = logistic.fit(x, y, folds(120), classes=3, penalties=PENALTIES, what="x")
    np.testing.assert_allclose(parts.logits(x), whole.logits(x), atol=0.05)


def test_a_fit_reads_the_disk_in_blocks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs()
    sizes = []

    class Watched:
        shape = x.shape

        def __len__(self) -> int:
            return len(x)

        def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
            sizes.append(len(x[index]))
            return x[index]

    monkeypatch.setattr(logistic, "IN_MEMORY", 0)
    monkeypatch.setattr(reading.blocks, "__defaults__", (16,))
    outcome(Watched(), y)
    assert max(sizes) == 16


def test_folds_are_stratified_and_even() -> None:
    labels = np.repeat([0, 1, 2], [50, 25, 10])
    parts = folding.split_folds(labels, np.arange(85), 5, seed=0)
    for label, each in ((0, 10), (1, 5), (2, 2)):
        assert np.bincount(parts[labels == label], minlength=5).tolist() == [each] * 5
    assert np.array_equal(parts, folding.split_folds(labels, np.arange(85), 5, seed=0))
    assert not np.array_equal(parts, folding.split_folds(labels, np.arange(85), 5, seed=1))


def test_folds_keep_groups_together() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    groups = random.integers(0, 60, 200)  # across labels too
    parts = folding.split_folds(labels, groups, 4, seed=0)
    assert set(parts) == {0, 1, 2, 3}
    assert all(len(set(parts[groups == group])) == 1 for group in groups)


def test_few_groups_make_few_folds_without_gaps() -> None:
    parts = folding.split_folds(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 2]), 5, seed=0)
    assert sorted(set(parts)) == list(range(len(set(parts))))
    assert len(set(parts)) >= 2


def test_balanced_weights_give_each_class_the_same_say() -> None:
    labels = np.repeat([0, 1, 3], [6, 3, 1])
    weights = logistic.row_weights(labels, 4, balanced=True)
    assert weights.mean() == pytest.approx(1)
    assert [weights[labels == label].sum() for label in (0, 1, 3)] == pytest.approx([10 / 3] * 3)
    assert logistic.row_weights(labels, 4, balanced=False).tolist() == [1] * 10


def test_balance_lifts_the_rare_class() -> None:
    random = np.random.default_rng(0)
    y = np.repeat([0, 1], [90, 10])
    x = (random.normal(size=(100, 3)) + y[:, None]).astype(np.float32)
    recalls = []
    for balanced in (False, True):
        head, _ = logistic.fit(x, y, np.arange(100) % 5, classes=2, penalties=[1.0], balanced=balanced, what="x")
        recalls.append((head.logits(x)[y == 1].argmax(1) == 1).mean())
    assert recalls[1] > recalls[0] + 0.2


def test_blocks_cover_all_rows_once() -> None:
    covered = [row for part in reading.blocks(10, 4) for row in range(part.start, part.stop)]
    assert covered == list(range(10))
    assert reading.blocks(0) == []


def test_the_head_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs()
    whole = solve(x, y, 1.0)
    monkeypatch.setattr(reading, "BLOCK", 7)
    assert len(reading.blocks(len(x))) == 18
    parts = solve(x, y, 1.0)
    np.testing.assert_allclose(parts.logits(x), whole.logits(x), atol=1e-3)


def test_heads_are_saved_by_name_and_read_back(tmp_path: Path) -> None:
    x, y = blobs()
    made = {"final": solve(x, y, 1.0), "train_only": solve(x[:90], y[:90], 0.1)}
    heads.save(tmp_path / "a", made)
    heads.save(tmp_path / "b", dict(reversed(made.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    for name, head in made.items():
        read = heads.load(tmp_path / "a", name)
        assert np.array_equal(read.weight, head.weight)
        assert np.array_equal(read.bias, head.bias)


@pytest.mark.parametrize("penalties", [[1000.0, 300.0], [0.001, 0.0003], [10.0, 3.0, 1.0]])
def test_a_best_penalty_at_the_end_of_the_grid_widens_it(penalties: list[float]) -> None:
    """From either side it comes to about the same, and what is chosen has worse ones on both sides."""
    x, y = blobs(60, spread=3.0)
    head, found = logistic.fit(x, y, folds(60), classes=3, penalties=penalties, what="x")
    tried = [row["penalty"] for row in found.path]
    assert tried == sorted(tried, reverse=True)
    assert tried[0] > found.penalty > tried[-1]
    assert found.figures["log_loss"] == min(row["log_loss"] for row in found.path)
    assert 0.3 <= found.penalty <= 10
    assert np.isfinite(head.weight).all()


def test_a_single_penalty_is_a_choice() -> None:
    x, y = blobs(60)
    _, found = logistic.fit(x, y, folds(60), classes=3, penalties=[1e-3], what="x")
    assert [row["penalty"] for row in found.path] == [1e-3]


@pytest.mark.parametrize("classes", [2, 4])
def test_a_fit_of_few_images_is_the_fit_over_all_features(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(40) % classes
    features = (random.normal(size=(40, 300)) + np.eye(classes)[labels] @ random.normal(size=(classes, 300))).astype(np.float32)
    weights = np.where(np.arange(40) < 30, logistic.row_weights(labels, classes, True), 0.0)
    fitted = []
    for fewer, small in ((1, 0), (10**6, 10**6), (10**6, 0)):  # in the space of the images, on standardised features, on raw ones
        monkeypatch.setattr(logistic.row_space, "FEWER", fewer)
        monkeypatch.setattr(logistic.row_space, "SMALL", small)
        fitted.append([head.logits(features) for head in logistic._path(features, labels, classes, [300.0, 10.0], weights)])
    for narrow, standard, wide in zip(*fitted, strict=True):
        np.testing.assert_allclose(standard, wide, atol=0.01 * np.abs(wide).max())
        np.testing.assert_allclose(narrow, wide, atol=0.01 * np.abs(wide).max())


@pytest.mark.parametrize(("fewer", "small"), [(1, 0), (10**6, 10**6), (10**6, 0)])
def test_a_fit_may_begin_anywhere(fewer: int, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic.row_space, "FEWER", fewer)
    monkeypatch.setattr(logistic.row_space, "SMALL", small)
    random, y = np.random.default_rng(0), np.arange(40) % 3
    x = random.normal(size=(3, 50))[y].astype(np.float32) + random.normal(size=(40, 50)).astype(np.float32)
    steps = counted_steps(monkeypatch)
    found = logistic.weighted(x, y, np.ones(40), classes=3, penalty=10.0)
    again = logistic.weighted(x, y, np.ones(40), classes=3, penalty=10.0, start=found)
    assert steps[1] < steps[0] / 2
    np.testing.assert_allclose(again.logits(x), found.logits(x), atol=0.02)


def counted_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the objective is computed for each fit from now on."""
    steps: list[int] = []
    least = logistic._least

    def counted(objective: Callable[..., tuple[float, np.ndarray]], start: np.ndarray, *given: object) -> np.ndarray:
        steps.append(0)

        def one(*words: object) -> tuple[float, np.ndarray]:
            steps[-1] += 1
            return objective(*words)

        return least(one, start, *given)

    monkeypatch.setattr(logistic, "_least", counted)
    return steps
