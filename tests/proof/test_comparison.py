"""headstart.proof.comparison: intervals are those of the textbooks, mirror when the groups change places, and err as rarely as they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm, t, ttest_1samp

from headstart.data import folding
from headstart.proof import comparison, slopes
from headstart.statistics import intervals
from headstart.statistics.records import Record


def group(right: np.ndarray, images: np.ndarray | None = None) -> list[Record]:
    """Trials of one row each: right (seeds, n), crossed unless `images` (seeds, n) are given."""
    images = np.tile(np.arange(right.shape[1]), (len(right), 1)) if images is None else images
    return [Record(some, row[None].astype(bool), np.array([0]), 0) for some, row in zip(images, right, strict=True)]


def flips(accuracy: float, shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < accuracy


def compare(first: list[Record], second: list[Record], **how: Any) -> dict[str, Any]:
    result = comparison.compare(first, second, **{"resamples": 100, **how})
    json.dumps(result, allow_nan=False)
    return result


def curves(scores: list[list[float]], n: int = 100, each: int = 10) -> list[Record]:
    """A record for each row of scores: images right by share, best at the last row, `each` steps a row."""
    right = [np.array([np.arange(n) < round(score * n) for score in row]) for row in scores]
    return [Record(np.arange(n), row, each * np.arange(len(row)), len(row) - 1) for row in right]


# Intervals


def test_the_crossed_interval_is_that_of_the_analysis_of_variance() -> None:
    random = np.random.default_rng(0)
    seeds, n, level = 6, 40, 0.05
    d = 0.2 * random.normal(size=(seeds, 1)) + random.normal(size=n) + random.normal(size=(seeds, n))
    mean, of_seed, of_image = d.mean(), d.mean(1), d.mean(0)
    ms_seeds = sum(n * (of_seed[s] - mean) ** 2 for s in range(seeds)) / (seeds - 1)
    ms_images = sum(seeds * (of_image[i] - mean) ** 2 for i in range(n)) / (n - 1)
    left = sum((d[s, i] - of_seed[s] - of_image[i] + mean) ** 2 for s in range(seeds) for i in range(n)) / ((seeds - 1) * (n - 1))
    variance = (ms_seeds + ms_images - left) / (seeds * n)
    freedom = (ms_seeds + ms_images - left) ** 2 / (ms_seeds**2 / (seeds - 1) + (ms_images - left) ** 2 / (n - 1))
    reach = t.ppf(1 - level, freedom) * np.sqrt(variance)
    assert ms_images > left
    assert 5 < freedom < 44
    assert intervals.crossed(d, level) == pytest.approx((mean - reach, mean + reach))


def test_images_that_vary_less_than_chance_leave_the_seeds_alone_to_count() -> None:
    d = np.array([-0.6, 0.5, 0.3, -0.3, 0.1])[:, None] + np.random.default_rng(0).normal(size=(5, 8)) * 0.1
    d -= d.mean(0)  # no image differs from another
    usual = ttest_1samp(d.mean(1), 0).confidence_interval(0.9)
    assert intervals.crossed(d, 0.05) == pytest.approx((usual.low, usual.high))


def test_folds_that_differ_by_more_than_their_images_are_a_t_test_of_their_means() -> None:
    fold = np.repeat(np.arange(5), 8)
    d = 0.1 * np.random.default_rng(1).normal(size=40) + np.array([0.5, -0.2, 0.4, 0.0, 0.6])[fold]
    usual = ttest_1samp(d.reshape(5, 8).mean(1), 0).confidence_interval(0.9)
    assert intervals.folds(d, fold, 0.05) == pytest.approx((usual.low, usual.high))


def test_folds_that_differ_by_less_than_their_images_count_as_one() -> None:
    fold = np.repeat(np.arange(5), 8)
    d = np.random.default_rng(2).normal(size=(5, 8))
    d = (d - d.mean(1, keepdims=True) + 0.3).ravel()
    usual = ttest_1samp(d, 0)
    low, high = intervals.folds(d, fold, 0.05)
    reach = t.ppf(0.95, 35) / t.ppf(0.95, 39) * np.sqrt(39 / 35)  # as the folds' means take degrees of freedom
    assert (high - low) / 2 == pytest.approx((usual.confidence_interval(0.9).high - 0.3) * reach)


def test_images_alone_are_a_paired_t_test() -> None:
    d = np.random.default_rng(3).normal(0.2, 0.5, 60)
    usual = ttest_1samp(d, 0).confidence_interval(0.98)
    assert intervals.images(d, 0.01) == pytest.approx((usual.low, usual.high))


@pytest.mark.parametrize("n", [5, 8, 50])
def test_seeds_that_all_agree_leave_the_score_interval(n: int) -> None:
    """If a group wins all images, Wilson's (by t); if the groups never differ, as far to both sides as that lies from 1."""
    quantile = t.ppf(0.95, n - 1)
    wilson = binomtest(n, n).proportion_ci(2 * norm.cdf(quantile) - 1, method="wilson").low
    fold = np.arange(n) % 5
    for d in (np.ones(n), np.zeros(n)):
        for ends in (intervals.crossed(np.tile(d, (5, 1)), 0.05), intervals.images(d, 0.05)):
            assert ends == pytest.approx((wilson, 1) if d[0] else (wilson - 1, 1 - wilson))
        low, high = intervals.folds(d, fold, 0.05)
        assert high - low > 0.9 * (1 - wilson)


def test_seeds_that_differ_about_an_image_leave_less_room() -> None:
    """Each image is won by one seed of five: Wilson's interval in units of (1 + 50 x 0.04) / (1 + 50 x 0.2)."""
    d = (np.arange(50) % 5 == np.arange(5)[:, None]).astype(float)
    unit, k = 3 / 11, t.ppf(0.95, 49) ** 2 / 50
    share = 0.2 / unit
    reach = np.sqrt(k * (share * (1 - share) + k / 4))
    expected = [unit * (share + k / 2 + side * reach) / (1 + k) for side in (-1, 1)]
    assert intervals.crossed(d, 0.05) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "level", "enough"), [(4, 0.05, False), (5, 0.05, True), (6, 0.01, False), (7, 0.01, True)])
def test_fewer_images_than_a_sign_test_needs_prove_nothing(n: int, level: float, enough: bool) -> None:
    assert (0.5**n <= level) == enough
    for low, high in (intervals.images(np.ones(n), level), intervals.crossed(np.ones((5, n)), level)):
        assert (low > 0.1) == enough
        assert enough or (low, high) == (-1, 1)


@pytest.mark.parametrize("mean", [-1.0, -0.6, -0.02, -0.005, 0.0, 0.001, 0.01, 0.3, 0.98, 1.0])
@pytest.mark.parametrize("variance", [0.0, 1e-4, 0.01])
@pytest.mark.parametrize("unit", [1.0, 0.4])
def test_the_ends_solve_what_defines_them(mean: float, variance: float, unit: float) -> None:
    mean *= unit
    n, grid = 30, np.linspace(-1, 1, 200_001)
    inside = (mean - grid) ** 2 <= t.ppf(0.95, 7) ** 2 * np.maximum(variance, np.abs(grid) * (unit - np.abs(grid)) / n)
    ends = intervals._ends(np.array(mean), np.array(variance), np.array(7.0), n, 0.05, np.array(unit))
    assert ends == pytest.approx((grid[inside].min(), grid[inside].max()), abs=2e-5)


def test_many_at_once_are_each_alone() -> None:
    d = np.random.default_rng(4).integers(-1, 2, (7, 5, 30)).astype(float)
    fold = np.arange(30) % 5
    for interval in (intervals.crossed, lambda x, level: intervals.folds(x[..., 0, :], fold, level)):
        together = interval(d, 0.05)
        for i in range(7):
            assert interval(d[i], 0.05) == pytest.approx((together[0][i], together[1][i]))


def simulated(design: str, count: int, random: np.random.Generator) -> np.ndarray:
    """Differences of `count` studies of five seeds whose accuracy varies by 5 points, the groups equally good in truth."""
    n = 300
    seeds = np.clip(random.normal(0.8, 0.05, (2, count, 5, 1)), 0, 1)
    shared = random.random((count, 1, n)) if design == "crossed" else random.random((count, 5, n))
    easy = np.where(random.random((2, *shared.shape)) < 0.5, shared, random.random((2, *shared.shape)))
    right = easy < seeds
    return right[0].astype(float) - right[1]


@pytest.mark.parametrize("design", ["crossed", "folds"])
def test_intervals_miss_as_often_as_they_say_where_naive_ones_miss_often(design: str) -> None:
    d = simulated(design, 600, np.random.default_rng(5))
    flat = d.reshape(len(d), -1)
    if design == "crossed":
        low, high = intervals.crossed(d, 0.05)
    else:
        low, high = intervals.folds(flat, np.repeat(np.arange(5), 300), 0.05)
    assert 0.06 < np.mean((low > 0) | (high < 0)) < 0.14  # 10% nominal
    reach = 1.645 * flat.std(1, ddof=1) / np.sqrt(flat.shape[1])
    assert np.mean(np.abs(flat.mean(1)) > reach) > 0.25
    below, above = intervals.images(d.mean(1) if design == "crossed" else flat, 0.05)  # why one seed is indicative
    assert np.mean((below > 0) | (above < 0)) > 0.2


# The verdict


@pytest.mark.parametrize(
    ("first", "second", "answer"), [(0.95, 0.6, "positive"), (0.6, 0.95, "negative"), (0.9, 0.9, "open"), (1.0, 1.0, "none_shown")]
)
@pytest.mark.parametrize("seeds", [1, 3, 5])
@pytest.mark.parametrize("crossed", [True, False])
def test_the_answer(first: float, second: float, answer: str, seeds: int, crossed: bool) -> None:
    images = None if crossed else np.arange(seeds * 80).reshape(seeds, 80)
    result = compare(group(flips(first, (seeds, 80), 1), images), group(flips(second, (seeds, 80), 2), images), names=("ours", "theirs"))
    score = result["asymptote"]
    room = max(-score["interval"][0], score["interval"][1]) > 0.05 and score["n_images"] < 200
    assert result["answer"] == (("too_few" if room else "none_shown") if answer == "open" else answer)
    assert result["standing"] == ("established" if seeds == 5 else "indicative")
    assert (score["n_seeds"], score["n_images"]) == (seeds, 80 if crossed else 80 * seeds)
    assert result["design"] == ("crossed" if crossed or seeds == 1 else "folds")
    assert score["difference"] == pytest.approx(score["first"] - score["second"])
    assert score["interval"][0] < score["difference"] < score["interval"][1] or first == 1
    counted = "images only" if seeds < 5 else "seeds and images" if crossed else "folds and images"
    surely = "" if result["answer"] == "too_few" else f": {result['standing']}"
    assert f"over {counted}{surely}). " in result["evidence"]
    assert f"ours {score['first']:.1%}" in result["evidence"]
    assert f"theirs {score['second']:.1%}" in result["evidence"]


def test_few_seeds_count_the_images_only() -> None:
    first, second = flips(0.9, (3, 80), 1), flips(0.7, (3, 80), 2)
    usual = ttest_1samp(first.mean(0) - second.mean(0), 0).confidence_interval(0.9)
    assert compare(group(first), group(second))["asymptote"]["interval"] == pytest.approx([usual.low, usual.high])


def test_the_evidence_in_words() -> None:
    first, second = np.zeros((1, 49), bool), np.zeros((1, 49), bool)
    first[0, :47], second[0, :35] = True, True
    low, high = compare(group(first), group(second))["asymptote"]["interval"]
    assert compare(group(first), group(second), names=("fine-tuned from the source", "from random weights"))["evidence"] == (
        "fine-tuned from the source 95.9% of 49 held-out images right, from random weights 71.4%: +24.5 points "
        f"(90% interval {100 * low:+.1f} to {100 * high:+.1f}, over images only: indicative). Higher by more than 1 point."
    )


@pytest.mark.parametrize(("n", "answer"), [(9, "too_few"), (80, "none_shown"), (199, "too_few"), (200, "none_shown")])
def test_few_images_that_leave_room_for_much_cannot_tell(n: int, answer: str) -> None:
    """All of 80 images agree; of 199 and 200 every third image is the one's or the other's, which leaves 7 points of room."""
    discordant = n if n > 100 else 0
    first, second = np.ones((1, n), bool), np.ones((1, n), bool)
    first[0, :discordant:4], second[0, 1:discordant:4] = False, False
    result = compare(group(first), group(second))
    assert result["answer"] == answer
    assert (result["needed"] is not None) == (answer == "too_few")
    if n == 9:
        assert "Too few images to tell: a difference of more than 5 points is not ruled out." in result["evidence"]


def test_the_images_that_would_tell_are_those_of_an_interval_as_narrow_as_the_difference() -> None:
    """Eight of nine against seven, that is 11 points: the interval must reach 10 to be off the margin."""
    first, second = np.arange(9) < 8, np.arange(9) < 7
    result = compare(group(first[None]), group(second[None]))
    low, high = result["asymptote"]["interval"]
    assert result["needed"] == pytest.approx(9 * ((high - low) / 2 / (1 / 9 - 0.01)) ** 2, rel=0.05)
    again = compare(group(np.repeat(first, 9)[None]), group(np.repeat(second, 9)[None]))
    assert again["answer"] == "positive"


def test_the_margin_decides() -> None:
    first, second = group(flips(0.95, (5, 200), 1)), group(flips(0.8, (5, 200), 2))
    low = compare(first, second)["asymptote"]["interval"][0]
    assert low > 0.01
    assert compare(first, second, margin=low - 1e-6)["answer"] == "positive"
    assert compare(first, second, margin=low + 1e-6)["answer"] == "none_shown"
    assert compare(second, first, margin=low - 1e-6)["answer"] == "negative"
    assert compare(second, first, margin=low + 1e-6)["answer"] == "none_shown"


def noisy(rates: list[float], seed: int, folds: bool = False) -> list[Record]:
    """Five records of 41 images that learn at the given rates of the group."""
    random = np.random.default_rng(seed)
    rows = [np.stack([random.random(41) < 0.3 + rate * row for row in range(6)]) for rate in rates]
    return [Record(np.arange(41) + 41 * folds * s, row, 7 * np.arange(6), 5) for s, row in enumerate(rows)]


@pytest.mark.parametrize("folds", [False, True])
def test_swapped_groups_mirror_the_result(folds: bool) -> None:
    first, second = noisy([0.14, 0.1, 0.12, 0.13, 0.11], 1, folds), noisy([0.1, 0.08, 0.11, 0.02, 0.12], 2, folds)
    one, other = compare(first, second), compare(second, first)
    for part in ("start", "asymptote", "slope"):
        a, b = one[part], other[part]
        assert (a["first"], a["second"]) == (b["second"], b["first"])
        low, high = b["interval"]
        mirrored = [None if end is None else -end for end in (high, low)]
        assert a["interval"] == pytest.approx(mirrored)
        assert a["difference"] == pytest.approx(-b["difference"])


@pytest.mark.parametrize("folds", [False, True])
def test_the_order_of_seeds_and_images_does_not_count(folds: bool) -> None:
    first, second = noisy([0.14, 0.1, 0.12, 0.13, 0.11], 1, folds), noisy([0.1, 0.08, 0.11, 0.02, 0.12], 2, folds)
    usual = compare(first, second)
    order = np.random.default_rng(3).permutation(41)
    shuffled = [Record(one.images[order], one.right[:, order], one.steps, one.best) for one in first]
    assert compare(shuffled, second) == usual
    turned = compare(first[::-1], second[::-1])
    for part in ("start", "asymptote"):
        assert turned[part]["interval"] == pytest.approx(usual[part]["interval"])
    assert turned["slope"]["difference"] == usual["slope"]["difference"]


def test_images_are_paired_by_their_identity() -> None:
    """Both groups right on the same half of the images, listed in another order: they never differ."""
    right = np.arange(40) % 2 == 0
    one = Record(np.array([f"image {i}" for i in range(40)]), right[None], np.array([0]), 0)
    other = Record(one.images[::-1], one.right[:, ::-1], one.steps, 0)
    low, high = compare([one], [other])["asymptote"]["interval"]
    assert -low == pytest.approx(high)
    assert high < 0.07  # half of the images differ if paired by place: 0.26


def test_the_kept_row_is_the_final_score() -> None:
    (record,) = curves([[0.1, 0.9, 0.5]])
    result = compare([Record(record.images, record.right, record.steps, 1)], [record])
    assert (result["start"]["first"], result["asymptote"]["first"], result["asymptote"]["second"]) == (0.1, 0.9, 0.5)


def test_one_image_shows_nothing() -> None:
    for seeds in (1, 5):
        result = compare(group(np.ones((seeds, 1))), group(np.zeros((seeds, 1))))
        assert (result["asymptote"]["difference"], result["asymptote"]["interval"], result["answer"]) == (1, [-1, 1], "too_few")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b: (a, b[:1]), "2 records in the first group and 1"),
        (lambda a, b: ([], []), "0 records"),
        (lambda a, b: (a, [b[0], Record(b[1].images + 1, b[1].right, b[1].steps, 0)]), "records 1 of the two groups"),
        (lambda a, b: ([a[0], c := Record(a[1].images + 1, a[1].right, a[1].steps, 0)], [b[0], c]), "share some"),
    ],
)
def test_records_that_do_not_match_are_refused(change: Callable[..., tuple[list[Record], list[Record]]], message: str) -> None:
    first, second = group(flips(0.5, (2, 9), 1)), group(flips(0.5, (2, 9), 2))
    with pytest.raises(ValueError, match=message):
        compare(*change(first, second))


# Steps


def test_steps_to_a_threshold() -> None:
    (record,) = curves([[0.2, 0.55, 0.9, 0.7]])
    assert [slopes.steps_to(record.right, record.steps, at) for at in (0.1, 0.5, 0.55, 0.56, 0.9, 0.91)] == [0, 10, 10, 20, 20, None]


def test_the_slope_counts_steps_to_nine_tenths_of_the_better_group() -> None:
    fast, slow = [0.5, 0.95, 1.0], [0.1, 0.2, 0.4, 0.6, 0.8, 0.95]
    slope = compare(curves([fast] * 5), curves([slow, slow, slow, slow, [*slow[:4], 1.0, 1.0]]))["slope"]
    assert slope["threshold"] == pytest.approx(0.9)
    assert (slope["first"], slope["second"], slope["difference"]) == (10, 50, -40)
    assert slope["interval"][0] <= -40 <= slope["interval"][1] < 0
    assert slope["reached"] == {"first": 5, "second": 5}


def test_the_threshold_is_of_the_kept_row() -> None:
    (record,) = curves([[0.1, 0.5, 0.8, 1.0, 0.2]])
    slope = compare([Record(record.images, record.right, record.steps, 2)], curves([[0.1, 0.1]]))["slope"]
    assert (slope["threshold"], slope["first"]) == (pytest.approx(0.72), 20)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_a_group_that_never_gets_there_takes_longer_than_it_was_given(seeds: int) -> None:
    fast, never = curves([[0.2, 1.0, 1.0]] * seeds), curves([[0.1, 0.2, 0.3, 0.3]] * seeds)
    slope = compare(fast, never)["slope"]
    assert (slope["first"], slope["second"], slope["difference"]) == (10, None, None)
    assert slope["interval"] == [None, -20]  # 10 steps against more than 30
    assert slope["reached"] == {"first": seeds, "second": 0}
    assert compare(never, fast)["slope"]["interval"] == [20, None]


def test_seeds_that_disagree_widen_the_slope_from_five_on() -> None:
    quick, late = [0.1, 1.0, 1.0, 1.0, 1.0], [0.1, 0.1, 0.1, 0.1, 1.0]
    still = curves([[0.1, 0.1, 1.0, 1.0, 1.0]] * 5)
    assert compare(curves([quick, quick, quick, late, late]), still)["slope"]["interval"] == [-10, 20]
    assert compare(curves([quick, quick, late]), still[:3])["slope"]["interval"] == [-10, -10]


def test_the_bootstrap_is_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = noisy([0.14, 0.1, 0.12, 0.13, 0.11], 1), noisy([0.1, 0.08, 0.11, 0.02, 0.12], 2)
    whole = compare(first, second, resamples=1000)["slope"]
    monkeypatch.setattr(slopes, "DRAWN", 41 * 64)
    assert compare(first, second, resamples=1000)["slope"]["interval"] == pytest.approx(
        whole["interval"], abs=7.0
    )  # other draws, one row of steps
    weights = slopes._weights(6, 500, np.random.default_rng(0))
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    assert weights.var(0) * 36 == pytest.approx(5 / 6, rel=0.25)  # multinomial


# Folds


def table(n: int = 90, group: int = 2) -> pd.DataFrame:
    rows = np.arange(n)
    splits = np.array(["train", "train", "validation", "test", "train"], object)[rows // group % 5]
    return pd.DataFrame({"label": np.where(rows < n // 3, "rare", "common"), "group": rows // group, "split": splits, "path": rows})


@pytest.mark.parametrize(("seeds", "count"), [(2, 3), (3, 3), (5, 5)])
def test_folds_hold_out_each_image_once(seeds: int, count: int) -> None:
    whole = table()
    parts = folding.tables(whole, seeds, 0)
    assert len(parts) == count
    held = np.stack([part["split"] == "validation" for part in parts])
    test = (whole["split"] == "test").to_numpy()
    assert (held.sum(0) == ~test).all()
    for part in parts:
        pd.testing.assert_frame_equal(part.drop(columns="split"), whole.drop(columns="split"))
        assert ((part["split"] == "test") == test).all()
        groups = part[~test].groupby("group")["split"].nunique()
        assert (groups == 1).all()
        sizes = part[part["split"] == "validation"]["label"].value_counts()
        assert abs(sizes["common"] / sizes["rare"] - 2) < 0.7
    assert all(a.equals(b) for a, b in zip(parts, folding.tables(whole, seeds, 0), strict=True))
    assert not all(a.equals(b) for a, b in zip(parts, folding.tables(whole, seeds, 1), strict=True))
    pd.testing.assert_frame_equal(whole, table())


def test_a_large_validation_split_and_a_single_seed_stay_as_they_are() -> None:
    whole = table()
    held_out = int((whole["split"] == "validation").sum())
    for parts in (folding.tables(whole, 1, 0), folding.tables(whole, 4, 0, enough=held_out)):
        assert all(part.equals(whole) for part in parts)
    assert len(parts) == 4
    first, second, *_ = folding.tables(whole, 4, 0, enough=held_out + 1)
    assert first.equals(whole), "so trial 0 has not seen the validation split"
    assert not second.equals(whole)


def test_the_only_group_of_a_class_is_always_learned() -> None:
    whole = table()
    whole.loc[:1, "label"] = "lone"  # one group, in train
    whole.loc[8, "label"] = "mixed"  # half of a group
    parts = folding.tables(whole, 3, 0)
    for part in parts:
        learned = part[part["split"] == "train"]
        assert set(learned["label"]) == {"rare", "common", "lone", "mixed"}
        assert not set(learned["group"]) & set(part[part["split"] == "validation"]["group"])


def test_a_single_group_cannot_be_cut() -> None:
    whole = table().assign(group=0)
    assert all(part.equals(whole) for part in folding.tables(whole, 3, 0))
