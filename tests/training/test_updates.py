"""Steps of the optimizer: what torch.optim.AdamW and clip_grad_norm_ do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.training.updates import LARGEST_GRADIENT, Updates, added, one_cycle

STEPS = 6


def weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(8, 3, 3, 3), (8,), (40, 8), (40,), (5, 40), (5,)]
    found = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    found[0] = nn.Parameter(found[0].detach().contiguous(memory_format=torch.channels_last))
    return found


def groups(given: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Two stages, of which the biases are not decayed."""
    return [
        {"params": given[0:3:2], "lr": 1e-2, "weight_decay": 0.1},
        {"params": given[1:4:2], "lr": 1e-2, "weight_decay": 0.0},
        {"params": given[4:5], "lr": 3e-2, "weight_decay": 0.1},
        {"params": given[5:], "lr": 3e-2, "weight_decay": 0.0},
    ]


def gradients(given: list[nn.Parameter], step: int) -> list[torch.Tensor]:
    """Large ones, which are clipped, and then small ones."""
    generator = torch.Generator().manual_seed(1 + step)
    return [torch.randn(weight.shape, generator=generator) * 0.1**step for weight in given]


def stepped(split: int = STEPS) -> list[torch.Tensor]:
    """The weights after STEPS steps; after `split` of them all is saved and goes on."""
    given = weights()
    updates = Updates(groups(given), STEPS)
    for step in range(STEPS):
        if step == split:
            state = {name: value.numpy() for name, value in updates.state().items()}
            updates = Updates(groups(given), STEPS, done=step)
            updates.resume(state)
        each = added([gradients(updates.weights, step), gradients(updates.weights, step + 100)], updates.weights)
        updates.step(each, nn.utils.get_total_norm(each))
        updates.advance()
    return [weight.detach() for weight in given]


def plain() -> list[torch.Tensor]:
    """The same with nothing but PyTorch."""
    given = weights()
    optimizer = torch.optim.AdamW(groups(given), fused=True)
    highest = [group["lr"] for group in optimizer.param_groups]
    for step in range(STEPS):
        for group, rate in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = rate * one_cycle(step, STEPS)
        ours = [weight for group in optimizer.param_groups for weight in group["params"]]
        for weight, first, second in zip(ours, gradients(ours, step), gradients(ours, step + 100), strict=True):
            weight.grad = torch.empty_like(weight).copy_(first + second)
        nn.utils.clip_grad_norm_(ours, LARGEST_GRADIENT)
        optimizer.step()
    return [weight.detach() for weight in given]


@pytest.mark.parametrize("split", [STEPS, 1, 3])
def test_the_bytes_are_those_of_a_plain_loop_also_where_it_was_saved(split: int) -> None:
    before, found = weights(), stepped(split)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, plain(), strict=True))
    assert not any(torch.equal(ours, theirs) for ours, theirs in zip(found, before, strict=True))


def test_gradients_are_added_in_order_in_the_layout_of_their_weights() -> None:
    given = weights()
    three = [gradients(given, step) for step in range(3)]
    for count in (1, 2, 3):
        found = added(three[:count], given)
        for number, weight in enumerate(given):
            expected = three[0][number]
            for more in three[1:count]:
                expected = expected + more[number]
            assert torch.equal(found[number], expected)
            assert found[number].stride() == weight.stride()
            assert found[number].data_ptr() != three[0][number].data_ptr()


def test_the_rate_is_that_of_the_next_step() -> None:
    updates = Updates(groups(weights()), STEPS, done=3)
    assert updates.rate == pytest.approx(3e-2 * one_cycle(3, STEPS))
    updates.advance()
    assert updates.rate == pytest.approx(3e-2 * one_cycle(4, STEPS))


def test_the_rate_rises_then_falls_to_nothing() -> None:
    shares = [one_cycle(step, 40) for step in range(41)]
    top = int(np.argmax(shares))
    assert max(shares) == 1
    assert top in (9, 10)
    assert 0 < shares[0] <= 0.1
    assert np.all(np.diff(shares[: top + 1]) > 0)
    assert np.all(np.diff(shares[top + 1 :]) < 0)
    assert shares[-1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_phases_learn(steps: int) -> None:
    assert all(one_cycle(step, steps) > 0 for step in range(steps))
