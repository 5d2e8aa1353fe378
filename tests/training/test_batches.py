"""headstart.training.batches, shards: each image in its views, gradients of the whole batch, and scarce memory does not matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.machinery.errors import HeadstartError
from headstart.training import batches, loop, shards
from headstart.training.examples import Examples
from headstart.training.measure import Measure
from headstart.training.updates import Updates
from tests.training.tails import RATE, examples, in_room, phase, rows, run, scripted, state, tail


def test_an_image_is_seen_in_each_of_its_views_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """View v of image i holds 100 v + i everywhere, so what reaches the network tells both."""
    n, views = 12, 3
    values = [np.broadcast_to((100 * v + np.arange(n, dtype=np.float32))[:, None, None, None], (n, 3, 6, 6)).copy() for v in range(views)]
    seen: list[np.ndarray] = []
    in_views = batches.in_views

    def watch(*given: Any) -> np.ndarray:
        out = in_views(*given)
        seen.append(out[:, 0, 0, 0].astype(int))
        assert np.array_equal(out, np.broadcast_to(out[:, :1, :1, :1], out.shape))
        assert np.array_equal(seen[-1] % 100, given[1])
        return out

    monkeypatch.setattr(batches, "in_views", watch)
    run(tail(), phase(3), train=Examples([rows(v) for v in values], np.arange(n) % 3), batch_size=n)
    epochs = np.split(np.concatenate(seen), 3)
    shown = np.array([[dict(zip(e % 100, e // 100, strict=True))[image] for e in epochs] for image in range(n)])
    assert all(sorted(turns) == [0, 1, 2] for turns in shown.tolist())
    assert set(shown[:, 0]) == {0, 1, 2}
    assert not np.array_equal(epochs[0] % 100, epochs[1] % 100)  # another order in each epoch


def gradients(network: nn.Sequential, train: Examples, monkeypatch: pytest.MonkeyPatch, **how: Any) -> dict[str, torch.Tensor]:
    """The gradient of the first step, which is one over all images."""
    captured: dict[str, torch.Tensor] = {}

    def look(self: Updates, given: list[torch.Tensor], *_: Any) -> None:
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


def test_parts_are_even() -> None:
    def sizes(*given: int) -> list[int]:
        parts = shards.parts(*given)
        assert [i for part in parts for i in range(part.start, part.stop)] == list(range(given[0]))
        return [part.stop - part.start for part in parts]

    assert sizes(33, 16) == [11, 11, 11]
    assert sizes(32, 16) == [16, 16]
    assert sizes(17, 16) == [8, 9]
    assert sizes(1, 16) == [1]
    assert sizes(0, 16) == []


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
    monkeypatch.setattr(shards, "SHARD", shard)
    small = in_room(100)
    as_small = run(small, *phases, batch_size=40)
    assert as_small.shard == shard
    assert [p["best_epoch"] for p in done.phases] == [p["best_epoch"] for p in as_small.phases]
    assert done.phases[0]["best_epoch"] > 0
    assert state(network) == state(small) != before


def test_memory_that_runs_out_later_halves_the_shard_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    network = in_room(16)
    measure = loop.measure

    def tighter(*given: Any) -> Measure:
        network.get_submodule("blocks-2")[-1].room -= 6  # type: ignore[index, operator]
        return measure(*given)

    monkeypatch.setattr(loop, "measure", tighter)
    done = run(network, phase(2), batch_size=40)
    assert done.shard == 4
    plain = tail()
    assert done.phases[0]["best_epoch"] == run(plain, phase(2), batch_size=40).phases[0]["best_epoch"] > 0
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=0, atol=1e-5)


def test_an_image_that_does_not_fit_says_what_helps() -> None:
    with pytest.raises(
        HeadstartError, match=r"does not hold one image of the part that is trained; lower fine_tune.depth, or use device: cpu"
    ):
        run(in_room(0), phase(2))
