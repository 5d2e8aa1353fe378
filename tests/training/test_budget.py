"""For how many epochs the last stages are trained on many images."""

from __future__ import annotations

import pytest

from headstart.params import Baseline, FineTune
from headstart.params.presets import PRESETS
from headstart.training import budget


@pytest.mark.parametrize(
    ("images", "epochs"), [(2, 10), (1_000, 10), (1_001, 9), (1_250, 8), (1_400, 7), (1_429, 6), (1_667, 5), (1_000_000, 5)]
)
def test_many_images_have_fewer_epochs_but_five_at_least(images: int, epochs: int) -> None:
    assert budget.usual(FineTune(), images) == epochs
    assert budget.usual(Baseline(), images) == epochs, "as many steps from random weights"


def test_what_is_asked_for_is_the_most_and_a_card_does_more() -> None:
    block = FineTune(epochs=4, passes=1)
    assert budget.usual(block, 100) == 4
    assert budget.usual(FineTune(epochs=20, passes=1000), 100) == 10
    assert budget.usual(FineTune(), 50_000, on_gpu=True) == 10


def test_no_phase_is_cut_off_before_its_rates_have_fallen() -> None:
    usual, best = FineTune(), PRESETS["best"]
    assert usual.patience >= usual.epochs
    assert best["fine_tune.patience"] == best["fine_tune.epochs"]
