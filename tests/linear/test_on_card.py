"""headstart.linear.on_card: heads that are fitted from features on a device are those of today's solver, within a tolerance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headstart.base.devices import CPU, Device
from headstart.linear import logistic
from headstart.linear.on_card import Rows
from tests.linear.test_logistic import PENALTIES, folds

PLACE = torch.device("cpu")
TOLERANCE = 0.01  # of the largest logit: what the solver's own tolerances leave open (test_logistic.py has the same)


def clouds(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of like scale, as networks give them: on wild ones float32 on the CPU is the less exact of both."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % 3
    return (random.normal(size=(3, d))[labels] + 2 * random.normal(size=(n, d)) + 1).astype(np.float32), labels


def test_loss_and_gradient_are_those_of_the_cpu() -> None:
    x, y = clouds(120, 10)
    random = np.random.default_rng(1)
    mean, scale = logistic.moments(x)
    share = random.random(len(y))
    share /= share.sum()
    at = random.normal(size=3 * (x.shape[1] + 1))
    loss, gradient = Rows(x, y, PLACE).objective(mean, scale, share)(at, 3.0)
    expected, slope = logistic._objective(at, x, y, mean, scale, 3.0, share)
    assert loss == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(gradient, slope, atol=1e-5 * np.abs(slope).max())


@pytest.mark.parametrize("shape", [(120, 10), (40, 200)], ids=["more images", "row space"])
@pytest.mark.parametrize("balanced", [False, True])
def test_fits_choose_the_same_penalty_and_give_the_same_answers(
    shape: tuple[int, int], balanced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = clouds(*shape)
    how = {"classes": 3, "penalties": PENALTIES, "balanced": balanced, "what": "fits"}
    head, validated = logistic.fit(x, y, folds(len(y)), **how)
    asked: list[str] = []
    monkeypatch.setattr(logistic, "_on", lambda device, x, y: asked.append(device.kind) or Rows(x, y, PLACE))
    ours, found = logistic.fit(x, y, folds(len(y)), **how, device=Device("cuda", "bfloat16"))
    assert asked == ["cuda"]
    assert found.penalty == validated.penalty
    most = np.abs(validated.held_out).max()
    np.testing.assert_allclose(found.held_out, validated.held_out, atol=TOLERANCE * most)
    np.testing.assert_allclose(ours.logits(x), head.logits(x), atol=TOLERANCE * np.abs(head.logits(x)).max())
    assert found.figures["log_loss"] == pytest.approx(validated.figures["log_loss"], abs=1e-3)


def test_a_cpu_keeps_its_own_way() -> None:
    assert logistic._on(CPU, *clouds(12, 3)) is None
