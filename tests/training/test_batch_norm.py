"""headstart.training.batch_norm: with the statistics of the batch a network learns from random weights.

It keeps the running statistics that PyTorch would; neither cores nor scarce memory matter.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.base import cores
from headstart.base.devices import CPU
from headstart.training import loop, parallel, shards
from headstart.training.examples import Examples
from headstart.training.strategies import Phase, from_scratch
from headstart.training.updates import LARGEST_GRADIENT, one_cycle
from tests import PATIENCE
from tests.training.tails import (
    RATE,
    Together,
    block,
    examples,
    in_room,
    phase,
    recipe,
    rows,
    run,
    scratch,
    scripted,
    state,
    tail,
    unbiased,
)


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
    monkeypatch.setattr(shards, "SHARD", 20)
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
        monkeypatch.setattr(shards, "SHARD", shard)
        network = in_room(room)
        from_random_weights(network)
        results.append(state(network))  # and not the curve: what is measured in shards of another size may differ by rounding
    assert results[0] == results[1]


def test_a_team_gathers_the_statistics_of_all_its_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two members with a shard of ten of every batch each, and one alone with both."""

    def train(network: nn.Sequential, team: Any) -> nn.Sequential:
        loop.fit(network, [scratch(2)], examples(), examples(30, seed=1), recipe(), CPU, team)
        return network

    barrier, given = threading.Barrier(2, timeout=PATIENCE), {}
    networks = [unbiased() for _ in range(2)]  # not in the threads: the random state that seeds them is one for all
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda rank: train(networks[rank], Together(rank, given, barrier)), range(2))
    assert state(first) == state(second)
    monkeypatch.setattr(shards, "SHARD", 10)
    alone = train(unbiased(), parallel.ALONE)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, alone.state_dict()[name], rtol=1e-4, atol=1e-5, msg=name)
    assert float((first.state_dict()["blocks-2.0.1.running_mean"]).abs().max()) > 0.01
