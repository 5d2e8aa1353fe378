"""headstart.training.freezing: what a phase names learns, what it does not name stays to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from headstart.training import freezing, loop
from tests.training.tails import RATE, examples, phase, recipe, run, state, tail


@pytest.mark.parametrize(
    ("rates", "changed"),
    [({"head": RATE}, {"head"}), ({"head": RATE, "blocks_2": RATE}, {"head", "blocks-2"}), ({"blocks_1": RATE}, {"blocks-1"})],
)
def test_what_a_phase_does_not_name_does_not_change(rates: dict[str, Any], changed: set[str]) -> None:
    network = tail()
    before = {name: state(module) for name, module in network.named_children()}
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    run(network, phase(2, **rates))
    after = {name: state(module) for name, module in network.named_children()}
    assert {name for name in before if before[name] != after[name]} == changed
    assert all(torch.equal(value, buffers[name]) for name, value in network.named_buffers())
    assert not any(module.training for module in network.modules())


def test_every_parameter_of_a_named_stage_learns() -> None:
    network = tail()
    before = {name: value.clone() for name, value in network.named_parameters()}
    run(network, phase(2, head=RATE, blocks_2=RATE, blocks_1=RATE))
    assert not [name for name, value in network.named_parameters() if torch.equal(value, before[name])]
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_stage_moves_in_proportion_to_its_rate() -> None:
    moved = {}
    for factor in (1.0, 0.1):
        network = tail()
        before = network.get_submodule("blocks-1")[0].weight.detach().clone()  # type: ignore[index]
        loop.fit(network, [phase(1, blocks_1=0.001 * factor)], examples(), examples(30, seed=1), recipe(weight_decay=0.0))
        moved[factor] = float((network.get_submodule("blocks-1")[0].weight - before).abs().mean())  # type: ignore[index]
    assert moved[0.1] == pytest.approx(moved[1.0] / 10, rel=0.1)


def test_biases_and_scales_are_not_decayed() -> None:
    network = tail()
    trained = freezing.stages(network, phase(1, head=RATE, blocks_2=RATE / 2))
    groups = freezing.groups(trained, phase(1, head=RATE, blocks_2=RATE / 2), 0.3)
    named = {id(p): name for name, p in network.named_parameters()}
    found = {named[id(p)]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert found == {
        "head.weight": (RATE, 0.3),
        "head.bias": (RATE, 0.0),
        "blocks-2.0.0.weight": (RATE / 2, 0.3),
        "blocks-2.0.0.bias": (RATE / 2, 0.0),
        "blocks-2.0.1.weight": (RATE / 2, 0.0),
        "blocks-2.0.1.bias": (RATE / 2, 0.0),
    }
