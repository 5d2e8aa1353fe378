"""headstart.training: what is named learns, what is not stays to the bit, the best is kept; neither cores nor scarce memory matter.

With the statistics of the batch a network learns from random weights, and keeps the running statistics that PyTorch would.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.base import cores
from headstart.base.devices import CPU, Device
from headstart.features import extraction, transforms
from headstart.features.store import Rows
from headstart.machinery.errors import HeadstartError
from headstart.training import loop, parallel
from headstart.training.cpu import products
from headstart.training.loop import Examples, Recipe
from headstart.training.strategies import Phase, from_scratch
from headstart.training.updates import LARGEST_GRADIENT, WARM_UP, Updates, one_cycle
from tests import ROOT, tiny

RATE = 0.02


def block(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, made, 3, padding=1), nn.BatchNorm2d(made), nn.ReLU())


def tail(seed: int = 0) -> nn.Sequential:
    """Two stages and a head: activations (n, 3, 6, 6) -> logits (n, 3)."""
    torch.manual_seed(seed)
    end = nn.Sequential(block(6, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(OrderedDict([("blocks-1", block(3, 6)), ("blocks-2", end), ("head", nn.Linear(6, 3))])).eval()


def rows(values: np.ndarray) -> Rows:
    return Rows(values, np.arange(len(values)))


def examples(n: int = 60, views: int = 1, seed: int = 0, noise: float = 1.0) -> Examples:
    """Activations that tell their class by the mean of one channel each."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    drawn = [random.normal(size=(n, 3, 6, 6)) * noise + np.eye(3)[labels][:, :, None, None] for _ in range(views)]
    return Examples([rows(values.astype(np.float16)) for values in drawn], labels)


def recipe(**other: Any) -> Recipe:
    values = {"batch_size": 20, "patience": 100, "weight_decay": 0.01, "label_smoothing": 0.0, "class_weights": np.ones(3), "seed": 0}
    return Recipe(**{**values, **other})


def phase(epochs: int = 4, name: str = "one", **rates: Any) -> Phase:
    return Phase(name, epochs, {key.replace("_", "."): value for key, value in (rates or {"head": RATE, "blocks_2": RATE}).items()})


def state(module: nn.Module) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in module.state_dict().items()}


def run(network: nn.Sequential, *phases: Phase, train: Examples | None = None, **other: Any) -> loop.Trained:
    return loop.fit(network, list(phases), train or examples(), examples(30, seed=1), recipe(**other))


def test_the_loss_falls_and_the_answers_get_right() -> None:
    done = run(tail(), phase(8, head=RATE, blocks_2=RATE, blocks_1=RATE))
    first, last = done.curve[0], done.curve[-1]
    assert (first["phase"], first["epoch"], first["rate"], first["train_loss"]) == ("start", 0, None, None)
    assert [row["epoch"] for row in done.curve] == list(range(9))
    assert last["validation_loss"] < 0.5 * first["validation_loss"]
    assert last["train_loss"] < 0.5 * done.curve[1]["train_loss"]
    assert last["validation_accuracy"] > 0.9
    assert last["train_accuracy"] > 0.9
    assert done.image_passes == 8 * 60


def test_the_rows_of_the_curve_say_which_images_are_right_and_after_how_many_steps() -> None:
    network = tail()
    done = run(network, phase(4), phase(3, "two", head=RATE, blocks_1=RATE))
    assert done.right.shape == (8, 30)
    assert done.right.dtype == bool
    assert done.right.mean(1).tolist() == pytest.approx([row["validation_accuracy"] for row in done.curve])
    assert done.steps == [0, 3, 6, 9, 12, 15, 18, 21]
    losses = [row["validation_loss"] for row in done.curve]
    assert losses[done.best] == min(losses)
    now = loop.logits(network, examples(30, seed=1).views[0]).argmax(1) == examples(30, seed=1).labels
    assert np.array_equal(done.right[done.best], now)
    assert not np.array_equal(done.right[0], now)


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([1.0, 0.9, 0.5, 0.6, 0.7, 0.4], 5),
        ([1.0, 0.9, 0.5, 0.6, 0.7, 0.8], 2),
        ([0.1, 0.9, 0.5, 0.6], 0),
        ([1.0, 0.5, 0.9, 0.9, 0.4, 0.6], 4),
    ],
)
def test_the_best_row_is_that_of_the_weights_that_are_kept(losses: list[float], best: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Phases of three epochs and of two; one that brings nothing leaves what was best before."""
    seen: list[dict[str, bytes]] = []
    scripted(monkeypatch, losses, seen)
    network = tail()
    done = run(network, phase(3, "one"), phase(2, "two", head=RATE, blocks_1=RATE))
    assert done.best == best
    assert state(network) == seen[best]


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


def scripted(monkeypatch: pytest.MonkeyPatch, losses: list[float], seen: list[dict[str, bytes]] | None = None) -> None:
    """Let validation give these losses in turn, and note the weights that it saw."""
    left = iter(losses)

    def measure(network: nn.Module, *_: Any) -> loop.Measure:
        if seen is not None:
            seen.append(state(network))
        return loop.Measure(next(left), 0.5, 1.0, np.zeros(30, bool))

    monkeypatch.setattr(loop, "measure", measure)


def test_each_phase_ends_with_its_best_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, bytes]] = []
    scripted(monkeypatch, [1.0, 0.9, 0.5, 0.8, 0.7, 0.6, 0.45, 0.46], seen)
    network = tail()
    done = run(network, phase(4, "one"), phase(3, "two", head=RATE, blocks_2=RATE / 2, blocks_1=RATE / 4))
    assert state(network) == seen[6]
    assert [p["best_epoch"] for p in done.phases] == [2, 2]
    assert [p["validation_loss"] for p in done.phases] == [0.5, 0.45]


def test_a_phase_that_never_helps_leaves_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.1, 0.9, 0.5, 0.2])
    network = tail()
    before = state(network)
    done = run(network, phase(3))
    assert state(network) == before
    assert done.phases[0]["best_epoch"] == 0
    assert done.phases[0]["validation_loss"] == 0.1


def test_the_second_phase_starts_from_the_best_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, bytes]] = []
    scripted(monkeypatch, [1.0, 0.5, 0.9, 0.9, 0.9], seen)
    network = tail()
    run(network, phase(2, "one"), phase(2, "two", head=1e-30))
    assert seen[3] == seen[1]
    assert state(network) == seen[1]


def test_patience_ends_a_phase_but_not_while_the_rate_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [1.0] + [2.0] * 100)
    done = run(tail(), phase(20), patience=3)
    assert done.phases[0]["epochs"] == round(WARM_UP * 20) + 3
    assert done.phases[0]["stopped_early"]
    assert done.image_passes == done.phases[0]["epochs"] * 60


def test_patience_counts_from_the_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 9, 9, 9, 9])
    done = run(tail(), phase(20), patience=2)
    assert (done.phases[0]["best_epoch"], done.phases[0]["epochs"], done.phases[0]["stopped_early"]) == (7, 9, True)


def test_a_phase_that_ran_to_its_end_did_not_stop_early() -> None:
    done = run(tail(), phase(2))
    assert (done.phases[0]["epochs"], done.phases[0]["stopped_early"]) == (2, False)
    assert done.phases[0]["rates"] == {"head": RATE, "blocks.2": RATE}


def test_the_warm_up_starts_again_in_each_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = Updates.step

    def watch(self: Updates, *given: Any) -> None:
        rates.append(self.rate)
        step(self, *given)

    monkeypatch.setattr(Updates, "step", watch)
    run(tail(), phase(4, "one"), phase(4, "two"))
    assert len(rates) == 2 * 4 * 3
    assert rates[:12] == rates[12:]
    assert rates[0] < 0.5 * max(rates) == 0.5 * RATE
    assert rates[11] < 0.1 * RATE


def test_biases_and_scales_are_not_decayed() -> None:
    network = tail()
    trained = loop._unfreeze(network, phase(1, head=RATE, blocks_2=RATE / 2))
    groups = loop._groups(trained, phase(1, head=RATE, blocks_2=RATE / 2), 0.3)
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


def learned(seed: int = 0, batch_size: int = 40) -> bytes:
    network = tail()
    done = run(network, phase(2), phase(1, "two", head=RATE, blocks_1=RATE), seed=seed, batch_size=batch_size, train=examples(90, views=2))
    return b"".join(state(network).values()) + str(done.curve).encode()


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    results = [learned(), learned()]
    try:
        for count in (1, 3):
            monkeypatch.setattr(cores, "workers", lambda count=count: count)
            cores._pool.cache_clear()
            results.append(learned())
    finally:
        cores._pool.cache_clear()
    assert all(result == results[0] for result in results)
    assert learned(seed=1) != results[0]


def test_an_image_is_seen_in_each_of_its_views_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """View v of image i holds 100 v + i everywhere, so what reaches the network tells both."""
    n, views = 12, 3
    values = [np.broadcast_to((100 * v + np.arange(n, dtype=np.float32))[:, None, None, None], (n, 3, 6, 6)).copy() for v in range(views)]
    seen: list[np.ndarray] = []
    in_views = loop._in_views

    def watch(*given: Any) -> np.ndarray:
        out = in_views(*given)
        seen.append(out[:, 0, 0, 0].astype(int))
        assert np.array_equal(out, np.broadcast_to(out[:, :1, :1, :1], out.shape))
        assert np.array_equal(seen[-1] % 100, given[1])
        return out

    monkeypatch.setattr(loop, "_in_views", watch)
    run(tail(), phase(3), train=Examples([rows(v) for v in values], np.arange(n) % 3), batch_size=n)
    epochs = np.split(np.concatenate(seen), 3)
    shown = np.array([[dict(zip(e % 100, e // 100, strict=True))[image] for e in epochs] for image in range(n)])
    assert all(sorted(turns) == [0, 1, 2] for turns in shown.tolist())
    assert set(shown[:, 0]) == {0, 1, 2}
    assert not np.array_equal(epochs[0] % 100, epochs[1] % 100)  # another order in each epoch


def gradients(network: nn.Sequential, train: Examples, monkeypatch: pytest.MonkeyPatch, **how: Any) -> dict[str, torch.Tensor]:
    """The gradient of the first step, which is one over all images."""
    captured: dict[str, torch.Tensor] = {}

    def look(self: Updates, given: list[torch.Tensor], _: torch.Tensor) -> None:
        names = {id(p): name for name, p in network.named_parameters()}
        captured.update({names[id(weight)]: gradient.clone() for weight, gradient in zip(self.weights, given, strict=True)})

    with monkeypatch.context() as patch:
        patch.setattr(Updates, "step", look)
        run(network, phase(1), train=train, batch_size=len(train.labels), **how)
    return captured


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_shards_add_up_to_the_gradient_of_the_weighted_mean_loss(smoothing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    network, train = tail(), examples(50)
    weights = np.array([0.5, 1.0, 3.0])
    found = gradients(network, train, monkeypatch, class_weights=weights, label_smoothing=smoothing)
    for parameter in network.parameters():
        parameter.grad = None
    network.requires_grad_(True)
    outputs = network(torch.from_numpy(train.views[0][:].astype(np.float32)))
    loss = nn.functional.cross_entropy(outputs, torch.from_numpy(train.labels), torch.tensor(weights).float(), label_smoothing=smoothing)
    loss.backward()
    assert {name for name, _ in network.named_parameters() if "blocks-2" in name or "head" in name} == set(found)
    for name, parameter in network.named_parameters():
        if name in found:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_every_weight_moves_against_its_own_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam's first step is the rate, against the sign of the gradient; activations have their channels last, weights have not."""
    network, train = tail(), examples(48)
    found = gradients(network, train, monkeypatch)
    network = tail()
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    scripted(monkeypatch, [1.0, 0.5])
    run(network, phase(1), train=train, batch_size=48, weight_decay=0.0)
    for name, gradient in found.items():
        clear = gradient.abs() > 1e-4
        assert clear.float().mean() > 0.5, name
        step = (dict(network.named_parameters())[name] - before[name]).detach() * clear
        torch.testing.assert_close(step, -RATE * gradient.sign() * clear, rtol=0, atol=RATE / 50, msg=name)


def test_measure_takes_out_the_temperature() -> None:
    network = nn.Sequential(OrderedDict(head=nn.Linear(3, 3)))
    network[0].weight.data, network[0].bias.data = torch.eye(3), torch.zeros(3)
    scores = np.random.default_rng(0).normal(size=(300, 3))
    labels = np.array([np.random.default_rng(i).choice(3, p=np.exp(s) / np.exp(s).sum()) for i, s in enumerate(scores)])
    plain = loop.measure(network, Examples([rows(scores.astype(np.float32))], labels))
    hot = loop.measure(network, Examples([rows((scores * 3).astype(np.float32))], labels))
    assert hot.loss == pytest.approx(plain.loss, abs=1e-4)
    assert hot.temperature == pytest.approx(3 * plain.temperature, rel=0.02)
    assert plain.temperature == pytest.approx(1, abs=0.3)
    assert hot.accuracy == plain.accuracy == pytest.approx((scores.argmax(1) == labels).mean())


def test_logits_are_those_of_the_whole_in_order(tmp_path: Path) -> None:
    network, given = tail(), examples(50).views[0]
    expected = network(torch.from_numpy(given[:].astype(np.float32))).detach().numpy()
    np.testing.assert_allclose(loop.logits(network, given), expected, atol=1e-5)


def test_a_phase_that_brings_nothing_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, bytes]] = []
    scripted(monkeypatch, [1.0, 0.9, 0.5, 0.6, 0.7, 0.1, 0.1], seen)
    network = tail()
    done = run(network, phase(2, "one"), phase(2, "two", head=RATE, blocks_1=RATE), phase(2, "three"))
    assert [(p["name"], p["best_epoch"]) for p in done.phases] == [("one", 2), ("two", 0)]
    assert [row["phase"] for row in done.curve] == ["start", "one", "one", "two", "two"]
    assert done.image_passes == 4 * 60
    assert state(network) == seen[2]
    assert not any(parameter.requires_grad for parameter in network.parameters())


def scratch(epochs: int = 4, rate: float = RATE) -> Phase:
    return from_scratch(["blocks.1", "blocks.2"], epochs=epochs, rate=rate)[0]


def deep(seed: int = 0) -> nn.Sequential:
    """Three stages of random weights and a head: images (n, 3, 10, 10) -> logits (n, 4)."""
    torch.manual_seed(seed)
    end = nn.Sequential(block(8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(OrderedDict([("one", block(3, 8)), ("two", block(8, 8)), ("three", end), ("head", nn.Linear(8, 4))])).eval()


def stripes(n: int, seed: int) -> Examples:
    """Stripes in one of four directions, at any phase, under noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    y, x = np.mgrid[:10, :10]
    waves = np.sin(1.5 * np.array([x, y, x + y, x - y])[labels] + random.uniform(0, 2 * np.pi, (n, 1, 1)))
    return Examples([rows((waves[:, None] + random.normal(0, 0.5, (n, 3, 10, 10))).astype(np.float32))], labels)


def test_a_network_learns_from_random_weights_with_the_statistics_of_the_batch() -> None:
    found = {}
    for statistics in ("batch", "source"):
        phases = [replace(each, statistics=statistics) for each in from_scratch(["one", "two", "three"], epochs=10, rate=0.003)]
        done = loop.fit(deep(), phases, stripes(160, 0), stripes(80, 1), recipe(batch_size=32, class_weights=np.ones(4)))
        found[statistics] = done.right[done.best].mean()
    assert found["batch"] > 0.9
    assert found["batch"] > found["source"] + 0.2


def unbiased() -> nn.Sequential:
    """The tail without the biases that BatchNorm takes out again: their gradients are rounding, and Adam makes steps of that."""
    network = tail()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.bias = None
    return network


def plain_loop(network: nn.Sequential, train: Examples, epochs: int, batch: int) -> None:
    """The same training as PyTorch does it: one graph, everything in train mode."""
    order, steps = np.random.default_rng(0), epochs * (len(train.labels) // batch)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.1
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}], lr=RATE)
    network.train()
    rates = (RATE * one_cycle(step, steps) for step in range(steps))
    for _ in range(epochs):
        for chosen in order.permutation(len(train.labels)).reshape(-1, batch):
            for group, rate in zip(optimizer.param_groups, [next(rates)] * 2, strict=True):
                group["lr"] = rate
            optimizer.zero_grad()
            outputs = network(torch.from_numpy(train.views[0][chosen].astype(np.float32)))
            nn.functional.cross_entropy(outputs, torch.from_numpy(train.labels[chosen])).backward()
            nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
            optimizer.step()
    network.eval()


def test_running_statistics_are_those_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SHARD", 20)
    ours, theirs = unbiased(), unbiased()
    for layer in ours.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.01
    scripted(monkeypatch, [1.0, 0.9, 0.8, 0.7])
    run(ours, scratch(3))
    plain_loop(theirs, examples(), 3, 20)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-3, atol=1e-4, msg=name)
    assert {int(value) for name, value in ours.state_dict().items() if "num_batches" in name} == {9}
    assert {layer.momentum for layer in ours.modules() if isinstance(layer, nn.BatchNorm2d)} == {0.01}
    assert not any(module.training for module in ours.modules())


def test_running_statistics_are_the_mean_over_the_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step on 40 images in shards of 13, 13 and 14, through a stage whose input is the images themselves."""
    scripted(monkeypatch, [1.0, 0.9])
    network, train = tail(), examples(40)
    run(network, scratch(1), train=train, batch_size=40)
    images = train.views[0][np.random.default_rng(0).permutation(40)]
    given = tail().get_submodule("blocks-1")[0](torch.from_numpy(images.astype(np.float32))).detach()  # type: ignore[index]
    means = [shard.mean((0, 2, 3)) * len(shard) / 40 for shard in (given[:13], given[13:26], given[26:])]
    variances = [shard.var((0, 2, 3)) * len(shard) / 40 for shard in (given[:13], given[13:26], given[26:])]
    layer: Any = network.get_submodule("blocks-1")[1]  # type: ignore[index]
    torch.testing.assert_close(layer.running_mean, 0.1 * sum(means))
    torch.testing.assert_close(layer.running_var, 0.9 + 0.1 * sum(variances))


def from_random_weights(network: nn.Sequential, n: int = 90, **other: Any) -> bytes:
    done = run(network, scratch(2), phase(1, "two", head=RATE, blocks_1=RATE), train=examples(n, views=2), **{"batch_size": 40, **other})
    assert done.best > 0
    return b"".join(state(network).values()) + str(done.curve).encode()


def test_statistics_of_the_batch_give_the_same_bytes_on_any_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    results = [from_random_weights(tail())]
    try:
        for count in (1, 2, 5):
            monkeypatch.setattr(cores, "workers", lambda count=count: count)
            cores._pool.cache_clear()
            results.append(from_random_weights(tail()))
    finally:
        cores._pool.cache_clear()
    assert all(result == results[0] for result in results)


def test_only_batch_norm_of_what_is_trained_changes_its_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout stays off, and a stage below that is frozen keeps its statistics."""
    dropping = tail()
    dropping.get_submodule("blocks-2").append(nn.Dropout(0.9))  # type: ignore[operator]
    assert from_random_weights(dropping.eval()) == from_random_weights(tail())
    network = tail()
    before = {name: state(stage) for name, stage in network.named_children()}
    run(network, Phase("one", 2, {"head": RATE, "blocks.2": RATE}, "batch"))
    after = {name: state(stage) for name, stage in network.named_children()}
    assert before["blocks-1"] == after["blocks-1"]
    assert all(before["blocks-2"][name] != after["blocks-2"][name] for name in before["blocks-2"])


def test_the_statistics_of_the_best_epoch_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, bytes]] = []
    scripted(monkeypatch, [1.0, 0.9, 0.5, 0.8, 0.7], seen)
    network = tail()
    run(network, scratch(4))
    assert state(network) == seen[2]
    assert len({each["blocks-1.1.running_var"] for each in seen}) == 5
    before = state(network)
    scripted(monkeypatch, [0.1, 0.9, 0.5])
    run(network, scratch(2))
    assert state(network) == before


def test_parts_are_even() -> None:
    def sizes(*given: int) -> list[int]:
        parts = loop._parts(*given)
        assert [i for part in parts for i in range(part.start, part.stop)] == list(range(given[0]))
        return [part.stop - part.start for part in parts]

    assert sizes(33, 16) == [11, 11, 11]
    assert sizes(32, 16) == [16, 16]
    assert sizes(17, 16) == [8, 9]
    assert sizes(1, 16) == [1]
    assert sizes(0, 16) == []


def test_an_image_alone_is_normalised_with_the_running_statistics() -> None:
    """A batch of one, where BatchNorm over 1x1 maps has nothing to compute a variance of."""
    network = tail()
    network.get_submodule("blocks-2").append(nn.Sequential(nn.Unflatten(1, (6, 1, 1)), nn.BatchNorm2d(6), nn.Flatten()))  # type: ignore[operator]
    done = run(network.eval(), scratch(2), train=examples(21), batch_size=2)
    assert done.steps == [0, 11, 22]
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_memory_that_runs_out_counts_no_image_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shard gathered before its memory ran out is forgotten."""
    results = []
    for shard, room in ((40, 8), (5, 100)):
        monkeypatch.setattr(loop, "SHARD", shard)
        network = in_room(room)
        from_random_weights(network)
        results.append(state(network))  # and not the curve: what is measured in shards of another size may differ by rounding
    assert results[0] == results[1]


class Together:
    """One of two threads that add up as the processes of a team do."""

    size = 2

    def __init__(self, rank: int, given: dict[int, list[torch.Tensor]], barrier: threading.Barrier) -> None:
        self.rank, self.given, self.barrier = rank, given, barrier

    def add(self, tensors: list[torch.Tensor]) -> None:
        self.given[self.rank] = [tensor.clone() for tensor in tensors]
        self.barrier.wait()
        for tensor, first, second in zip(tensors, self.given[0], self.given[1], strict=True):
            tensor.copy_(first + second)
        self.barrier.wait()


def test_a_team_gathers_the_statistics_of_all_its_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two members with a shard of ten of every batch each, and one alone with both."""

    def train(network: nn.Sequential, team: Any) -> nn.Sequential:
        loop.fit(network, [scratch(2)], examples(), examples(30, seed=1), recipe(), CPU, team)
        return network

    barrier, given = threading.Barrier(2, timeout=60), {}
    networks = [unbiased() for _ in range(2)]  # not in the threads: the random state that seeds them is one for all
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda rank: train(networks[rank], Together(rank, given, barrier)), range(2))
    assert state(first) == state(second)
    monkeypatch.setattr(loop, "SHARD", 10)
    alone = train(unbiased(), parallel.ALONE)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, alone.state_dict()[name], rtol=1e-4, atol=1e-5, msg=name)
    assert float((first.state_dict()["blocks-2.0.1.running_mean"]).abs().max()) > 0.01


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_learns_nearly_the_same(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "LEAST", 1)
    losses = []
    for device in (Device(), Device("cpu", precision)):
        done = loop.fit(tail(), [phase(4)], examples(), examples(30, seed=1), recipe(), device)
        losses.append([row["validation_loss"] for row in done.curve])
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], abs=0.02)


def test_a_step_whose_gradients_overflow_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tail()
    network.get_submodule("head").weight.data *= 300  # type: ignore[operator]
    steps: list[int] = []
    step = Updates.step

    def watch(self: Updates, gradients: list[torch.Tensor], norm: torch.Tensor) -> None:
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        steps.append(1)
        step(self, gradients, norm)

    monkeypatch.setattr(Updates, "step", watch)
    done = loop.fit(network, [phase(4)], examples(), examples(30, seed=1), recipe(batch_size=3), Device("cpu", "float16"))
    assert 60 < len(steps) < 80
    assert done.steps[-1] == len(steps)
    assert done.curve[-1]["validation_loss"] < 0.1 < done.curve[0]["validation_loss"]


class Full(nn.Module):
    """A layer whose memory holds the gradients of `room` images at a time, or runs out `times` times only."""

    def __init__(self, room: int, times: float = math.inf) -> None:
        super().__init__()
        self.room, self.times = room, times

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.times and len(x) > self.room and torch.is_grad_enabled():
            self.times -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x


def in_room(room: int, times: float = math.inf) -> nn.Sequential:
    network = tail()
    network.get_submodule("blocks-2").append(Full(room, times))  # type: ignore[operator]
    return network


@pytest.mark.parametrize(("room", "shard"), [(100, 16), (15, 16), (14, 8), (8, 8), (5, 4), (1, 1)])
def test_out_of_memory_halves_the_shard(room: int, shard: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    phases = [phase(2), phase(1, "two", head=RATE, blocks_1=RATE)]
    before, network = state(tail()), in_room(room)
    done = run(network, *phases, batch_size=40)
    assert done.shard == shard
    assert [f"in parts of {size}" in message for size, message in zip((8, 4, 2, 1), caplog.messages, strict=False)] == [True] * len(
        caplog.messages
    )
    assert len(caplog.messages) == {16: 0, 8: 1, 4: 2, 1: 4}[shard]
    monkeypatch.setattr(loop, "SHARD", shard)
    small = in_room(100)
    as_small = run(small, *phases, batch_size=40)
    assert as_small.shard == shard
    assert [p["best_epoch"] for p in done.phases] == [p["best_epoch"] for p in as_small.phases]
    assert done.phases[0]["best_epoch"] > 0
    assert state(network) == state(small) != before


def test_memory_that_runs_out_later_halves_the_shard_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    network = in_room(16)
    measure = loop.measure

    def tighter(*given: Any) -> loop.Measure:
        network.get_submodule("blocks-2")[-1].room -= 6  # type: ignore[index, operator]
        return measure(*given)

    monkeypatch.setattr(loop, "measure", tighter)
    done = run(network, phase(2), batch_size=40)
    assert done.shard == 4
    assert done.phases[0]["best_epoch"] == 2
    plain = tail()
    run(plain, phase(2), batch_size=40)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=0, atol=1e-5)


def test_an_image_that_does_not_fit_says_what_helps() -> None:
    with pytest.raises(
        HeadstartError, match=r"does not hold one image of the part that is trained; lower fine_tune.depth, or use device: cpu"
    ):
        run(in_room(0), phase(2))


def test_rows_that_are_computed_when_asked_for_train_as_those_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamed rows of an engine that takes one image a call, and of one that takes batches: both work from all threads at once."""
    monkeypatch.chdir(tmp_path)
    table = tiny.table(Path("images"), per_class=14)
    frozen = extraction.Frozen.of(lambda: tiny.conv(width=3), "a", 12)
    views = [transforms.View(12, "bilinear", number=n, augmentation=transforms.Augmentation(0.6, 10, 0.2, False, False)) for n in (1, 2)]
    labels = np.searchsorted(["ant", "bee", "cat"], table["label"])
    kept = extraction.extract_views(frozen, table, Path("images"), views, dtype="float32", what="images")
    streamed = [extraction.Streamed(frozen, table, Path("images"), view) for view in views]
    results = []
    for given in (kept, streamed):
        network, (first, second) = tail(), given
        done = loop.fit(network, [phase(2)], Examples([first, second], labels), Examples([first], labels), recipe())
        results.append((state(network), done))
    assert results[0] == results[1]
    assert results[0][1].phases[0]["best_epoch"] > 0


STREAMED_IN_BATCHES = """
from collections import OrderedDict
from pathlib import Path
from torch import nn
from headstart.base.devices import CPU
from headstart.features import engines, extraction
from headstart.features.transforms import View
from headstart.training import loop
from tests import tiny

table = tiny.table(Path("images"), per_class=40, size=16)
engine = engines.Engine("batches", 8, engines.Batched(tiny.conv(), CPU, on=CPU.all(), batch=8))
rows = extraction.Streamed(extraction.Frozen("a", 16, engine, (4, 8, 8)), table, Path("images"), View(16, "bilinear"))
tail = nn.Sequential(OrderedDict(flat=nn.Flatten(), head=nn.Linear(4 * 8 * 8, 3)))
print(loop.logits(tail, rows).shape)
"""


def test_batches_that_are_computed_when_asked_for_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """A tail on the CPU reads from all threads at once what a GPU computes, whose images the same threads must decode."""
    done = subprocess.run(
        [sys.executable, "-c", STREAMED_IN_BATCHES],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "(120, 3)\n"
