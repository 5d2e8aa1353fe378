"""headstart.features.shares: how common classes are where a model is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headstart.features import predict, shares
from headstart.features.answered import Answer
from headstart.machinery.errors import ParamsError
from headstart.networks.cards import ModelCard, Transform
from headstart.statistics.operating import Point

CARD = ModelCard("timm", "x", "0", Transform(8, (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0), ("ant", "bee"), shares=(0.25, 0.75))


def test_only_ratios_count() -> None:
    assert shares.weights(CARD, {"ant": 30, "bee": 10}) == pytest.approx((3.0, 1 / 3))
    assert shares.weights(CARD, {"bee": 0.75, "ant": 0.25}) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ant": 1}, "bee missing"),
        ({"ant": 1, "bee": 1, "cat": 1}, "cat unknown"),
        ({"ant": -1, "bee": 1}, "0 or more"),
        ({"ant": 0, "bee": 0}, "above 0"),
        ({"ant": float("nan"), "bee": 1}, "0 or more"),
    ],
)
def test_what_is_no_prior(given: dict[str, float], said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        shares.weights(CARD, given)


def test_a_model_that_does_not_know_its_shares() -> None:
    with pytest.raises(ParamsError, match="earlier version"):
        shares.weights(replace(CARD, shares=None), {"ant": 1, "bee": 1})


def test_they_are_estimated_from_images_of_its_kind() -> None:
    def ask(path: Path) -> Answer:
        number = int(path.name)
        ant = 0.99 if number % 10 else 0.01
        return Answer(str(path), "ant", ant, "", None, number % 7 == 0, (("ant", ant), ("bee", 1 - ant)))

    even = replace(CARD, shares=(0.5, 0.5))
    found = shares.estimate(even, [Path(str(number)) for number in range(400)], ask)
    assert found["ant"] == pytest.approx(0.9, abs=0.05)
    with pytest.raises(ParamsError, match="20 images"):
        shares.estimate(CARD, [Path("1")], ask)


def test_names_move_with_the_shares_unless_the_point_was_chosen() -> None:
    logits = np.log(np.array([[0.4, 0.6]]))
    assert predict.answer(Path("x"), logits, CARD, None).label == "bee"
    moved = predict.answer(Path("x"), logits, CARD, None, shares.weights(CARD, {"ant": 1, "bee": 1}))
    assert (moved.label, moved.probability) == ("ant", pytest.approx(0.4 * 2 / (0.4 * 2 + 0.6 * 2 / 3)))
    chosen = replace(CARD, point=Point((1.0, 3.0)))
    kept = predict.answer(Path("x"), logits, chosen, None, shares.weights(CARD, {"ant": 1, "bee": 1}))
    assert (kept.label, kept.probability) == ("bee", pytest.approx(1 / 3))
