"""headstart.ranking: the chance of being best, who cannot be told from the leader, who is taken and why, and the frontier."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from headstart.choice import ranking
from headstart.choice.ranking import Prior, Totals
from headstart.params import Published

N = 400
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.normal(size=(3, N))
NOISE -= NOISE.mean(axis=1, keepdims=True)
NOISE /= NOISE.std(axis=1, keepdims=True)
COMMON = 5 * RANDOM.normal(size=N)  # what all sources find hard or easy alike


def add_up(*rows: dict[str, np.ndarray] | np.ndarray, votes: tuple[str, ...] = ("a",), resamples: int = 4000, seed: int = 0) -> Totals:
    return ranking.add_up([row if isinstance(row, dict) else {"a": row} for row in rows], votes, resamples=resamples, seed=seed)


def prior(*published: float | None) -> Prior:
    """Of published accuracies, as they count unless something else is set."""
    usual = Published()
    return Prior.of(published, usual.worth, usual.error)


def gap(errors: float) -> float:
    """A difference of means of two sources whose noise is independent, in standard errors of that difference."""
    return errors * np.sqrt(2 / N)


@pytest.mark.parametrize("errors", [0.0, 0.5, 1.0, 2.0])
def test_two_sources_are_told_apart_as_a_paired_test_tells_them(errors: float) -> None:
    """The chance is that of a normal variable; noise that both have counts for nothing."""
    found = add_up(COMMON + NOISE[0] + gap(errors), COMMON + NOISE[1])
    assert found.best == pytest.approx([norm.cdf(errors), norm.cdf(-errors)], abs=0.04)
    assert found.beats_leader[found.leader] == 1
    assert found.leader == 0 or errors == 0
    assert found.beats_leader[1 - found.leader] == pytest.approx(norm.cdf(-errors), abs=0.04)


def test_published_accuracy_is_worth_nats_and_a_source_without_one_is_not_held_back() -> None:
    assert prior(0.70, None, 0.80, 0.75).nats == pytest.approx([-0.18, 0, 0, -0.09])
    assert prior(None, None).nats.tolist() == [0, 0]
    assert prior(0.7).nats.tolist() == [0]
    assert Prior.of([0.70, 0.80], 0.006, 0.01).nats == pytest.approx([-0.06, 0])


@pytest.mark.parametrize(("images", "leads"), [(N, 0), (20, 1)])
def test_a_prior_counts_the_more_the_more_images_agree(images: int, leads: int) -> None:
    """It is the same as so many nats on each image; of few images, whose standard error is large, it is a small part."""
    first, second = COMMON[:images] + 0.2 * NOISE[0][:images], COMMON[:images] + 0.2 * NOISE[1][:images]
    second = second + (first - second).mean() + (0.05 if leads else 0.03)
    given = prior(0.77, 0.75)
    found = ranking.add_up([{"a": first}, {"a": second}], ["a"], resamples=4000, seed=0, prior=given)
    assert found.leader == leads
    as_values = add_up(first, second - 0.036)
    assert found.beats_leader == pytest.approx(as_values.beats_leader, abs=0.01)
    assert found.aggregate == pytest.approx(as_values.aggregate, abs=1e-6)
    plain = add_up(first, second)
    assert plain.leader == 1
    assert plain.best[0] < found.best[0]
    assert found.images == pytest.approx(plain.aggregate, abs=1e-6)
    assert found.prior_share == pytest.approx([0.036 / (0.036 + (0.05 if leads else 0.03))] * 2, abs=1e-6)


@pytest.mark.parametrize(("points", "least"), [(1, 0.3), (2, 0.1), (5, 0.01)])
def test_a_source_that_leads_on_the_images_is_not_ruled_out_by_what_was_published(points: int, least: float) -> None:
    """However many images there are: what published accuracy is worth is not known so well."""
    first, second = 0.01 + 0.001 * NOISE[0], 0.001 * NOISE[1]
    found = ranking.add_up([{"a": first}, {"a": second}], ["a"], resamples=4000, seed=0, prior=prior(0.7, 0.7 + points / 100))
    assert found.leader == 1
    assert least < found.best[0] < 0.5
    assert found.beats_leader.tolist() == [0, 1]


def test_a_worth_that_is_known_rules_out_more_and_one_of_zero_counts_nothing() -> None:
    first, second = 0.01 + 0.001 * NOISE[0], 0.001 * NOISE[1]
    chances = []
    for worth, error in ((0.018, 0.012), (0.018, 0.001), (0.0, 0.0)):
        given = Prior.of([0.7, 0.75], worth, error)
        chances.append(ranking.add_up([{"a": first}, {"a": second}], ["a"], resamples=4000, seed=0, prior=given).best[0])
    assert chances[1] < chances[0] < 0.5
    assert chances[2] == pytest.approx(norm.cdf(0.01 / (np.sqrt(2) * ranking.SOURCE_ERROR)), abs=0.04)


def test_the_reason_says_where_published_accuracy_decides() -> None:
    given = Totals(["x"], np.array([1.0, 0.5]), np.array([-0.2, 0.2]), np.array([0.7, 0.3]), np.array([1, 0.1]))
    assert (
        "best in 70.0% of bootstrap draws (by its published accuracy: on the images alone b leads)"
        in ranking.choose(rows(5.0, 1.0), given)[1]
    )


def test_chances_add_up_and_follow_the_aggregate() -> None:
    found = add_up(COMMON + NOISE[0], COMMON + NOISE[1] + gap(1), COMMON + NOISE[2] + gap(2))
    assert found.best.sum() == pytest.approx(1)
    assert (np.diff(found.aggregate) > 0).all()
    assert (np.diff(found.best) > 0).all()
    assert found.leader == 2
    assert found.aggregate.sum() == pytest.approx(0, abs=1e-6)
    assert (found.beats_leader >= found.best).all()


def test_a_source_that_is_better_on_every_image_is_best_for_certain() -> None:
    found = add_up(COMMON + NOISE[0], COMMON + NOISE[0] + 0.001, COMMON + NOISE[0] - 0.1 * NOISE[1] ** 2)
    assert found.best.tolist() == [0, 1, 0]
    assert found.beats_leader.tolist() == [0, 1, 0]


def test_the_same_weights_under_several_names_share_the_chance() -> None:
    one = {"a": COMMON + NOISE[0], "b": NOISE[2]}
    worse = {"a": COMMON + NOISE[0] - 1, "b": NOISE[2] - 1}
    found = add_up(worse, one, dict(one), dict(one), votes=("a", "b"))
    assert found.best == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])
    assert found.beats_leader.tolist() == [0, 1, 1, 1]
    assert found.leader == 1
    assert len(set(found.aggregate[1:])) == 1


def test_the_order_of_sources_does_not_matter() -> None:
    rows = [{"a": COMMON + NOISE[i] + gap(i), "b": NOISE[i] - gap(i) / 2} for i in range(3)]
    found = add_up(*rows, votes=("a", "b"))
    for order in ([1, 2, 0], [2, 1, 0], [1, 0, 2]):
        other = add_up(*(rows[i] for i in order), votes=("a", "b"))
        for name in ("aggregate", "best", "beats_leader"):
            assert getattr(other, name).tolist() == getattr(found, name)[order].tolist(), name


def test_the_seed_fixes_the_draws() -> None:
    rows = [COMMON + NOISE[0], COMMON + NOISE[1]]
    assert add_up(*rows, resamples=150).best.tolist() == add_up(*rows, resamples=150).best.tolist()
    assert add_up(*rows, resamples=150).best.tolist() != add_up(*rows, resamples=150, seed=1).best.tolist()
    assert {float(value * 250) % 1 for value in add_up(*rows, resamples=250).best} == {0}  # as many draws as asked for


def test_each_vote_counts_alike_whatever_its_units() -> None:
    small = [{"a": COMMON + NOISE[i] + gap(2 * i), "b": NOISE[i] - gap(3 * i)} for i in range(2)]
    large = [{**row, "a": 1000 * row["a"]} for row in small]
    assert add_up(*small, votes=("a", "b")).best == pytest.approx(add_up(*large, votes=("a", "b")).best)
    assert add_up(*small, votes=("a", "b")).leader == 0  # three standard errors one way, two the other
    assert add_up(*small, votes=("a",)).leader == 1


def test_a_vote_that_some_source_lacks_does_not_count() -> None:
    first, second = {"a": NOISE[0] + gap(3), "b": NOISE[1]}, {"a": NOISE[1]}
    found = add_up(first, second, votes=("b", "a"))
    assert found.votes == ["a"]
    assert found.best.tolist() == add_up(first["a"], second["a"]).best.tolist()


def test_a_vote_that_sees_no_difference_breaks_nothing() -> None:
    rows = [NOISE[0] + gap(1), NOISE[1]]
    same = [{"a": row, "b": np.full(N, 0.3)} for row in rows]
    assert add_up(*same, votes=("a", "b")).best == pytest.approx(add_up(*rows).best)
    nothing = add_up(*({"a": np.ones(N)} for _ in range(4)))
    assert nothing.best.tolist() == [0.25] * 4
    assert (nothing.aggregate.tolist(), nothing.leader) == ([0] * 4, 0)


@pytest.mark.parametrize("n", [1, 4])
def test_few_images_and_one_source(n: int) -> None:
    found = add_up(NOISE[0][:n])
    assert (found.best.tolist(), found.beats_leader.tolist(), found.aggregate.tolist(), found.leader) == ([1], [1], [0], 0)
    several = add_up(*NOISE[:, :n])
    assert several.best.sum() == pytest.approx(1)
    assert np.isfinite(several.aggregate).all()


def rows(*flops: float) -> list[dict[str, Any]]:
    return [
        {"name": name, "gflops": cost, "probe_accuracy": 0.9 + i / 100, "probe_log_likelihood": -0.3 + i / 100}
        for i, (name, cost) in enumerate(zip("abcd", flops, strict=False))
    ]


def totals(aggregate: list[float], best: list[float], beats: list[float]) -> Totals:
    return Totals(["x"], np.array(aggregate), np.array(aggregate), np.array(best), np.array(beats))


def test_the_cheapest_that_cannot_be_told_from_the_leader_is_taken() -> None:
    given = totals([3, 2, 1, 0], [0.6, 0.2, 0.16, 0.04], [1, 0.3, 0.16, 0.15])
    chosen, reason = ranking.choose(rows(5.0, 3.0, 2.0, 1.0), given)
    assert chosen == 2
    assert reason == (
        "no clear winner: a leads (linear probe: log loss 0.300, 90.0% right), best in 60.0% of bootstrap draws, but c (linear probe: log loss "
        "0.280, 92.0% right) cannot be told from it and is taken, as it costs less (2 against 5 GFLOPs an image)"
    )


def test_a_leader_that_is_cheap_is_taken() -> None:
    chosen, reason = ranking.choose(rows(1.0, 3.0), totals([3, 2], [0.7, 0.3], [1, 0.3]))
    assert chosen == 0
    assert reason.startswith(
        "no clear winner: a leads (linear probe: log loss 0.300, 90.0% right), best in 70.0% of bootstrap draws, and none of"
    )
    assert reason.endswith("those that cannot be told from it costs less")


def test_a_leader_that_stands_alone_need_not_be_a_clear_winner() -> None:
    chosen, reason = ranking.choose(rows(5.0, 1.0), totals([3, 2], [0.9, 0.1], [1, 0.1]))
    assert chosen == 0
    assert reason.startswith("no clear winner: a leads")
    assert reason.endswith("best in 90.0% of bootstrap draws, and no other comes within a standard error of it")


@pytest.mark.parametrize(("best", "clear"), [(0.949, False), (0.95, True), (1.0, True)])
def test_a_clear_winner_is_said_to_be_one_from_95_per_cent(best: float, clear: bool) -> None:
    _, reason = ranking.choose(rows(5.0, 1.0), totals([3, 2], [best, 1 - best], [1, 1 - best]))
    assert ("a is the clear winner: best in" in reason) == clear
    assert ("no clear winner" in reason) != clear


def test_where_cost_is_equal_the_aggregate_decides() -> None:
    chosen, _ = ranking.choose(rows(5.0, 1.0, 1.0), totals([3, 1, 2], [0.5, 0.2, 0.3], [1, 0.3, 0.3]))
    assert chosen == 2
    assert ranking.choose(rows(1.0, 1.0), totals([3, 2], [0.5, 0.5], [1, 0.5]))[0] == 0


def test_the_only_one_is_taken() -> None:
    assert ranking.choose(rows(1.0), totals([0], [1], [1]), skipped=2) == (0, "a is the only candidate that could be had")
    assert ranking.choose(rows(1.0), totals([0], [1], [1])) == (0, "a was the only candidate")


def test_what_stand_finds_choose_understands() -> None:
    """One standard error of the paired difference is the border, as long as noise is normal."""
    for errors, chosen in ((0.9, 1), (1.1, 0)):
        given = add_up(COMMON + NOISE[0] + gap(errors), COMMON + NOISE[1], resamples=8000)
        assert ranking.choose(rows(5.0, 1.0), given)[0] == chosen


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(1, 0.9), (2, 0.95), (3, 0.94), (4, 0.99)], [True, True, False, True]),
        ([(1, 0.9), (1, 0.8), (2, 0.9)], [True, False, False]),
        ([(1, 0.9), (1, 0.9)], [True, True]),
        ([(2, 0.9), (1, 0.95)], [False, True]),
        ([(5, 0.1)], [True]),
    ],
)
def test_the_frontier_holds_what_nothing_beats_at_its_cost(points: list[tuple[float, float]], expected: list[bool]) -> None:
    assert ranking.frontier(*zip(*points, strict=True)) == expected
