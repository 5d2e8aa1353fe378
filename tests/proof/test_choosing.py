"""headstart.proof.choosing: which contender ships, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from headstart.proof import choosing, contenders, remedies
from headstart.proof.choosing import Shipped
from headstart.proof.contenders import Contender
from headstart.statistics import likelihood, paired
from headstart.statistics.goals import ACCURACY, Goal
from tests import tiny

LABELS = np.tile([0, 1], 50)


def made(name: str, right: int, *, sure: float = 2.0, mix: float | None = None) -> Contender:
    """A contender that has the first `right` of the 100 images right, by a margin of `sure` in its logits."""
    predicted = np.where(np.arange(100) < right, LABELS, 1 - LABELS)
    card = replace(tiny.source(name, tiny.trunk()).card(), name=name)
    return Contender(name, {}, card, np.where(predicted[:, None] == [0, 1], sure, 0.0), mix)


def test_where_its_epoch_was_picked_the_head_ships_unless_the_fine_tuned_model_beats_it() -> None:
    head = made("head", 90)
    assert choosing.choose(head, [made("fine_tuned", 91)], None, LABELS).contender is head, "one image is one standard error"
    shipped = choosing.choose(head, [made("fine_tuned", 95)], None, LABELS)
    assert shipped.contender.name == "fine_tuned"
    assert (
        "the fine-tuned model beats the frozen head on validation: the fine-tuned model 95.0% of 100 images right, the frozen head 90.0%"
        in shipped.reason
    )
    kept = choosing.choose(head, [], None, LABELS, "fine-tuning brought nothing")
    assert (kept.contender, kept.reason) == (head, "fine-tuning brought nothing")
    kept = choosing.choose(head, [made("fine_tuned", 80)], None, LABELS)
    assert kept.contender is head
    assert kept.reason.startswith("nothing beats the frozen head by a standard error on validation: the fine-tuned model 80.0%")


def test_where_it_was_not_the_fine_tuned_model_ships_unless_the_head_beats_it() -> None:
    head = made("head", 90)
    shipped = choosing.choose(head, [made("fine_tuned", 89)], None, LABELS, picked=False)
    assert shipped.contender.name == "fine_tuned", "one image is one standard error"
    assert shipped.reason.startswith("the fine-tuned model is not shown to be worse: the fine-tuned model 89.0% of 100 images right")
    kept = choosing.choose(head, [made("fine_tuned", 80)], None, LABELS, picked=False)
    assert kept.contender is head
    assert kept.reason.startswith("the frozen head beats the fine-tuned model on validation: the frozen head 90.0% of 100 images right")


@pytest.mark.parametrize(("images", "wrong", "ships"), [(200, 18, "fine_tuned"), (200, 20, "head"), (200, 22, "head"), (100, 18, "head")])
def test_of_many_images_on_which_its_epoch_was_picked_what_gains_more_ships(images: int, wrong: int, ships: str) -> None:
    """Both are wrong about different images, so two more or fewer are within an error."""
    labels, numbers = np.tile([0, 1], images // 2), np.arange(images)
    predicted = [np.where(missed, 1 - labels, labels) for missed in (numbers < 20, numbers >= images - wrong)]
    head, tuned = (
        replace(made(name, 0), logits=np.where(said[:, None] == [0, 1], 2.0, 0.0))
        for name, said in zip(("head", "fine_tuned"), predicted, strict=True)
    )
    assert not paired.better(tuned.gain(labels), head.gain(labels))
    shipped = choosing.choose(head, [tuned], None, labels)
    assert shipped.contender.name == ships
    assert shipped.reason.startswith(
        "the fine-tuned model gains more on validation:" if ships == "fine_tuned" else "nothing beats the frozen"
    )


def test_of_very_few_images_the_pair_is_asked_first() -> None:
    few = LABELS[:12]
    head, tuned, pair = (
        replace(one, logits=one.logits[:12]) for one in (made("head", 5), made("fine_tuned", 12), made("both", 12, mix=0.5))
    )
    assert choosing.choose(head, [tuned, pair], None, few).contender is pair
    assert (
        choosing.choose(made("head", 50), [made("fine_tuned", 99), made("both", 99, mix=0.5)], None, LABELS).contender.name == "fine_tuned"
    )


@pytest.mark.parametrize(
    ("share", "ships", "says"),
    [
        (0.14, "head", "beside the frozen head, the fine-tuned model adds next to nothing on validation: the fine-tuned model 90.0%"),
        (
            0.15,
            "both",
            "100 validation images do not settle which of the two does better alone, so both are asked, the fine-tuned model with a share of 15%: ",
        ),
        (
            0.85,
            "both",
            "100 validation images do not settle which of the two does better alone, so both are asked, the fine-tuned model with a share of 85%: ",
        ),
        (0.86, "fine_tuned", "beside the fine-tuned model, the frozen head adds next to nothing on validation: the fine-tuned model 90.0%"),
    ],
)
def test_where_nothing_was_picked_both_ship_unless_one_has_next_to_no_share(share: float, ships: str, says: str) -> None:
    field = made("head", 90), [made("fine_tuned", 90), made("both", 90, mix=share)]
    shipped = choosing.choose(*field, None, LABELS, picked=False)
    assert shipped.contender.name == ships
    assert shipped.reason.startswith(says)


def test_the_share_of_a_model_is_that_by_which_the_labels_are_likely() -> None:
    head, tuned = made("head", 97, sure=6.0), made("fine_tuned", 97, sure=6.0)
    noise = replace(tuned, logits=np.random.default_rng(0).normal(0, 8, (100, 2)))

    def share(first: Contender, second: Contender, images: int) -> float:
        few = [replace(one, logits=one.logits[:images]) for one in (first, second)]
        return contenders.share(few[0], few[1], LABELS[:images])

    assert share(head, tuned, 100) == 0.7, "both answer alike"
    assert share(head, noise, 100) < 0.15 < share(head, noise, 8) < 0.7
    assert share(noise, head, 100) > 0.85 > share(noise, head, 4) > 0.7
    other = replace(head, logits=head.logits[::-1][:, ::-1])  # as often right, about other images
    assert 0.4 < share(head, other, 100) < 0.7


def test_a_network_that_is_far_worse_on_many_images_has_the_least_share() -> None:
    """The evidence of any other share is too small for a float beside that of the least one."""
    labels, noise = np.tile(LABELS, 200), np.random.default_rng(0).normal(0, 400, (20_000, 2))
    head = replace(made("head", 0), logits=np.where(labels[:, None] == [0, 1], 6.0, 0.0))
    assert contenders.share(head, replace(head, logits=noise), labels) == contenders.SHARES[0] == 0.1


@pytest.mark.parametrize(("fewer", "ships"), [(0, "head"), (1, "head"), (5, "fine_tuned")])
def test_a_head_that_is_likelier_ships_unless_it_gains_less(fewer: int, ships: str) -> None:
    """Both are right about as often, but the head is less sure when it is wrong."""
    tuned, head = made("fine_tuned", 80), made("head", 80 - fewer, sure=9.0)
    wrong = np.abs(head.logits.argmax(1) - LABELS) == 1
    head = replace(head, logits=np.where(wrong[:, None], head.logits / 90, head.logits))
    shipped = choosing.choose(head, [tuned], None, LABELS, picked=False)
    assert shipped.contender.name == ships
    if ships == "head":
        assert (
            "the frozen head beats the fine-tuned model: its probabilities fit the labels of the validation images better, by 0."
            in shipped.reason
        )
        assert f"the frozen head {80 - fewer}.0% of 100 images right, the fine-tuned model 80.0%" in shipped.reason


def test_how_sure_a_model_is_overall_does_not_count() -> None:
    tuned, head = made("fine_tuned", 90, sure=30.0), made("head", 90, sure=2.2)
    assert head.likelihood(LABELS) > tuned.likelihood(LABELS) + 1
    assert choosing.choose(head, [tuned], None, LABELS, picked=False).contender is tuned


def test_an_average_takes_its_place_only_if_it_is_better() -> None:
    shipped = choosing.choose(made("head", 90), [made("fine_tuned", 94), made("both", 95, sure=3.0)], None, LABELS)
    assert shipped.contender.name == "fine_tuned", "it is as good by a standard error, and costs half as much"


def test_the_likeliest_mix_stands_for_the_fine_tuned_model() -> None:
    averages = [made("average", 95, sure=3.0, mix=0.25), made("average", 96, sure=4.0, mix=0.5)]
    shipped = choosing.choose(made("head", 90), [made("fine_tuned", 92, sure=9.0), *averages], None, LABELS)
    assert (shipped.contender.name, shipped.contender.mix) == ("average", 0.5)
    assert "the average with 50% fine-tuned weights beats the frozen head" in shipped.reason


def test_random_weights_ship_only_where_they_beat_all_that_is_transferred() -> None:
    head, tuned = made("head", 80), made("fine_tuned", 90)
    assert choosing.choose(head, [tuned], made("scratch", 90), LABELS).contender is tuned
    shipped = choosing.choose(head, [tuned], made("scratch", 97), LABELS)
    assert shipped.contender.name == "scratch"
    assert shipped.reason.startswith("the network from random weights beats the fine-tuned model on validation")


def test_where_classes_count_alike_what_finds_the_rare_one_ships() -> None:
    """Both are right on 80 of 100 images; only the rare class tells them apart."""
    labels = np.repeat([0, 1], [80, 20])
    card = tiny.source("x", tiny.trunk()).card()

    def of(name: str, common: int, rare: int, goal: Goal) -> Contender:
        predicted = np.where(np.concatenate([np.arange(80) < common, np.arange(20) < rare]), labels, 1 - labels)
        return Contender(name, {}, card, np.where(predicted[:, None] == [0, 1], 9.0, 0.0), None, goal, ("sound", "cracked"))

    even = Goal("balanced_accuracy")
    head, tuned = of("head", 78, 2, even), of("fine_tuned", 62, 18, even)
    assert head.gain(labels).mean() == pytest.approx((78 / 80 + 2 / 20) / 2)
    shipped = choosing.choose(head, [tuned], None, labels)
    assert shipped.contender is tuned
    assert "the fine-tuned model balanced accuracy 83.8% on 100 images, the frozen head 53.8%" in shipped.reason
    plain = [of(name, common, rare, ACCURACY) for name, common, rare in (("head", 78, 2), ("fine_tuned", 62, 18))]
    assert choosing.choose(plain[0], plain[1:], None, labels).contender is plain[0]


def test_contenders_are_judged_where_the_recall_that_was_asked_for_is_reached() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [300, 100])
    signal = random.normal(size=400) + 2 * labels
    goal, card = Goal("recall", "cracked", 0.9), tiny.source("x", tiny.trunk()).card()

    def of(name: str, noise: float, bias: float) -> Contender:
        score = signal + noise * random.normal(size=400) - bias
        return Contender(name, {}, card, np.stack([0 * score, score], axis=1), None, goal, ("sound", "cracked"))

    head, tuned = of("head", 2.0, 1.0), of("fine_tuned", 0.0, 4.0)  # the better one is the more reserved one
    for one in (head, tuned):
        named = one.point(labels).named(likelihood.softmax(one.logits))
        assert (named[labels == 1] == 1).mean() >= 0.9
        assert one.point(labels).reached
    assert tuned.right(labels)[labels == 0].mean() > head.right(labels)[labels == 0].mean() + 0.2
    shipped = choosing.choose(head, [tuned], None, labels)
    assert shipped.contender is tuned
    figures = contenders.figures(tuned, labels)
    assert figures["validation_gain"] == pytest.approx(tuned.gain(labels).mean())
    assert figures["point"]["factors"][1] > 1


def test_remedies_are_tried_in_order_until_one_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(remedies.REMEDIES) == ["another_source", "shallower_cut", "l2_sp", "bss", "more_layers"]
    asked: list[str] = []

    def attempt(name: str, found: Contender | None) -> Any:
        def function(context: Any) -> Contender | None:
            asked.append(name)
            return found

        return function

    attempts = {"none": None, "worse": made("worse", 50), "better": made("better", 95), "never": made("never", 100)}
    monkeypatch.setattr(remedies, "REMEDIES", {name: attempt(name, found) for name, found in attempts.items()})
    context: Any = type("Context", (), {"data": type("Data", (), {"labels": LABELS})})
    shipped, tried = remedies.remedy(context, Shipped(made("head", 80), "because"))
    assert shipped.contender.name == "better"
    assert asked == ["none", "worse", "better"]
    assert [(row["name"], row["ships"]) for row in tried] == [("worse", False), ("better", True)]


def test_where_no_remedy_helps_the_choice_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remedies, "REMEDIES", {"one": lambda context: made("one", 80)})
    context: Any = type("Context", (), {"data": type("Data", (), {"labels": LABELS})})
    before = Shipped(made("head", 80), "because")
    assert remedies.remedy(context, before)[0] is before


@pytest.mark.parametrize(("wrong", "ships"), [(20, False), (14, True)])
def test_a_remedy_ships_only_with_certainty(wrong: int, ships: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is right on three images more, of which the choice alone is right on none, or on six more: 1.7 and 2.5 standard errors."""
    monkeypatch.setattr(remedies, "REMEDIES", {"one": lambda context: made("one", 100 - wrong)})
    context: Any = type("Context", (), {"data": type("Data", (), {"labels": LABELS})})
    before = Shipped(made("head", 80 if ships else 77), "because")
    assert (remedies.remedy(context, before)[0].contender.name == "one") == ships
    assert paired.better(made("one", 100 - wrong).right(LABELS), before.contender.right(LABELS)), "by a standard error both are better"


@pytest.mark.parametrize(("wrong", "tried"), [(0, 0), (5, 0), (6, 1)])
def test_no_remedy_is_tried_where_none_could_be_shown_to_help(wrong: int, tried: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remedies, "REMEDIES", {"one": lambda context: made("one", 50)})
    context: Any = type("Context", (), {"data": type("Data", (), {"labels": LABELS})})
    shipped, rows = remedies.remedy(context, Shipped(made("head", 100 - wrong), "because"))
    assert (shipped.contender.name, len(rows)) == ("head", tried)
    assert shipped.reason == (
        "because"
        if tried
        else f"because; no remedy was tried: on validation it is wrong on {wrong} of 100 images, too few to show that another is better"
    )
