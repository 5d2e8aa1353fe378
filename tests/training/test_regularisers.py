"""headstart.regularisers: each is the formula of its paper, and in training does to the network what it is for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.base.devices import Device
from headstart.params import FineTune
from headstart.training import freezing, loop
from headstart.training.examples import Examples, Recipe
from headstart.training.measure import Measure
from headstart.training.regularisers import REGULARISERS
from headstart.training.strategies import Phase
from headstart.training.updates import Updates

RATE = 0.01
N = 48


def recipe(regulariser: str = "none", strength: float = 0.0, **other: Any) -> Recipe:
    values: dict[str, Any] = {"batch_size": 16, "patience": 100, "weight_decay": 0.0, "label_smoothing": 0.0, "class_weights": np.ones(3)}
    return Recipe(**{**values, **other}, seed=0, regulariser=regulariser, strength=strength)


def tail() -> nn.Sequential:
    """A stage and a head: (n, 6) -> logits (n, 3)."""
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict([("one", nn.Sequential(nn.Linear(6, 8), nn.Tanh())), ("head", nn.Linear(8, 3))])).eval()


def examples(n: int = N) -> Examples:
    random = np.random.default_rng(0)
    labels = np.arange(n) % 3
    return Examples([(random.normal(size=(n, 6)) + 2 * np.eye(6)[labels]).astype(np.float32)], labels)


def run(how: Recipe, epochs: int = 6, n: int = N) -> nn.Sequential:
    """The network after the last epoch."""
    network = tail()
    with pytest.MonkeyPatch.context() as patch:
        losses = iter(range(1000, 0, -1))
        patch.setattr(loop, "measure", lambda *_: Measure(next(losses), 0.5, 1.0, np.zeros(n, bool)))
        loop.fit(network, [Phase("p", epochs, {"head": RATE, "one": RATE})], examples(n), examples(n), how)
    return network


def features(network: nn.Sequential) -> torch.Tensor:
    return network[0](torch.from_numpy(np.asarray(examples().views[0]))).detach()


def moved(network: nn.Sequential, stage: str) -> float:
    now, before = (dict(each.named_children())[stage].parameters() for each in (network, tail()))
    return max(float((a - b).detach().abs().max()) for a, b in zip(now, before, strict=True))


def test_l2_sp_pulls_each_weight_back_by_its_distance() -> None:
    torch.manual_seed(0)
    weights, source = [torch.randn(3, 4, requires_grad=True), torch.randn(5, requires_grad=True)], [torch.randn(3, 4), torch.randn(5)]
    penalty = REGULARISERS["l2_sp"](torch.ones(2, 2), weights, source)
    assert float(penalty.detach()) == pytest.approx(
        sum(float(((w - s) ** 2).sum()) for w, s in zip([w.detach() for w in weights], source, strict=True)) / 2
    )
    for gradient, now, before in zip(torch.autograd.grad(penalty, weights), weights, source, strict=True):
        torch.testing.assert_close(gradient, (now - before).detach())


def test_bss_is_the_smallest_squared_singular_value() -> None:
    random = np.random.default_rng(0)
    left, _ = np.linalg.qr(random.normal(size=(5, 3)))
    right, _ = np.linalg.qr(random.normal(size=(3, 3)))
    matrix = torch.tensor(left @ np.diag([4.0, 2.0, 0.5]) @ right.T, dtype=torch.float32)
    for given in (matrix, matrix.T):
        assert float(REGULARISERS["bss"](given, [], [])) == pytest.approx(0.25, rel=1e-4)


def test_the_gradient_of_bss_is_that_of_finite_differences() -> None:
    matrix = torch.tensor(np.random.default_rng(0).normal(size=(4, 6)), dtype=torch.float32, requires_grad=True)
    (gradient,) = torch.autograd.grad(REGULARISERS["bss"](matrix, [], []), matrix)

    def penalty(values: np.ndarray) -> float:
        return float(np.linalg.svd(values, compute_uv=False)[-1] ** 2)

    base, found = matrix.detach().numpy().astype(float), np.empty((4, 6))
    for place in np.ndindex(4, 6):
        step = np.zeros((4, 6))
        step[place] = 1e-5
        found[place] = (penalty(base + step) - penalty(base - step)) / 2e-5
    np.testing.assert_allclose(gradient.numpy(), found, rtol=1e-3, atol=1e-4)


def test_one_image_has_no_spectrum_to_shrink() -> None:
    assert float(REGULARISERS["bss"](torch.ones(1, 4), [], [])) == 0


def first_gradient(how: Recipe, device: Device, start: float = 0.0) -> list[torch.Tensor]:
    """The gradient of the first step, over all images, from weights that are `start` above those of the source."""
    network, captured = tail(), []

    def look(_: Updates, gradients: list[torch.Tensor], *rest: object) -> None:
        captured.extend(gradient.clone() for gradient in gradients)

    penalty = REGULARISERS[how.regulariser]

    def off(given: torch.Tensor, weights: Sequence[torch.Tensor], source: Sequence[torch.Tensor]) -> torch.Tensor:
        return penalty(given, weights, [value - start for value in source])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Updates, "step", look)
        patch.setitem(REGULARISERS, how.regulariser, off)
        loop.fit(network, [Phase("p", 1, {"one": RATE, "head": RATE})], examples(), examples(), how, device)
    return captured


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_loss_gains_strength_times_the_penalty_of_the_trunk_alone(precision: str) -> None:
    """48 images are three shards, of which each has its share, and in float16 the loss is scaled."""
    device = Device("cpu", precision)
    plain = first_gradient(recipe(batch_size=N), device)
    held = first_gradient(recipe("l2_sp", 0.3, batch_size=N), device, start=0.5)
    assert len(plain) == len(held) == 4
    for before, now in zip(plain, held, strict=True):
        expected = 0.15 if before.shape in {(8, 6), (8,)} else 0.0
        torch.testing.assert_close(now - before, torch.full_like(before, expected), rtol=1e-4, atol=1e-5)


def test_a_strong_pull_keeps_the_trunk_at_the_source() -> None:
    free, held = run(recipe()), run(recipe("l2_sp", 10.0))
    assert moved(free, "one") > 0.05
    assert moved(held, "one") < 0.2 * moved(free, "one")
    assert moved(held, "head") > 0.5 * moved(free, "head")


def test_weight_decay_does_not_pull_a_held_trunk_to_zero() -> None:
    phase, network = Phase("p", 1, {"one": RATE, "head": RATE}), tail()
    names = {id(p): name for name, p in network.named_parameters()}
    decays = []
    for to_source in (False, True):
        groups = freezing.groups(freezing.stages(network, phase), phase, 0.3, to_source)
        decays.append({names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]})
    assert decays[0] == {"one.0.weight": 0.3, "one.0.bias": 0.0, "head.weight": 0.3, "head.bias": 0.0}
    assert decays[1] == {**decays[0], "one.0.weight": 0.0}
    strong = {name: run(recipe(name, 1e-6, weight_decay=1.0)) for name in ("none", "l2_sp")}
    sizes = {name: float(network[0][0].weight.norm()) for name, network in strong.items()}  # type: ignore[index]
    assert sizes["none"] < 0.95 * sizes["l2_sp"]


def test_bss_shrinks_the_weakest_direction_of_the_features() -> None:
    """And that one more than the strongest."""
    free, shrunk = (torch.linalg.svdvals(features(run(how, epochs=12))) for how in (recipe(), recipe("bss", 1.0)))
    assert shrunk[-1] < 0.7 * free[-1]
    assert shrunk[0] > 0.8 * free[0]


@pytest.mark.parametrize("name", [name for name in REGULARISERS if name != "l2_sp"])
def test_no_strength_is_no_regulariser(name: str) -> None:
    ours, plain = run(recipe(name, 0.0)), run(recipe())
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True))


def test_shards_of_one_image_are_trained_too() -> None:
    network = run(recipe("bss", 1.0), epochs=1, n=17)
    assert all(torch.isfinite(p).all() for p in network.parameters())


def test_the_parameter_allows_every_regulariser_and_no_other() -> None:
    assert set(FineTune.model_json_schema()["properties"]["regulariser"]["enum"]) == set(REGULARISERS)
