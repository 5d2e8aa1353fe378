"""headstart.training.graphs: a captured step is the step, whatever changed since; what cannot be captured is done as before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from headstart.base.devices import Device
from headstart.training import freezing, loop, shards
from headstart.training.freezing import Unfrozen
from headstart.training.graphs import FIRST, Graphs
from headstart.training.run import Trained
from tests.training.tails import RATE, examples, phase, recipe, scratch, state, unbiased

CPU = torch.device("cpu")


class Traced:
    """Captures as CUDA does: the operations with all numbers of Python as they are now, on the same tensors. Nothing of it is done yet."""

    def __init__(self) -> None:
        self.warmed, self.captured, self.replayed = 0, 0, 0

    def warm(self, step: Callable[[], torch.Tensor]) -> torch.Tensor:
        self.warmed += 1
        return step()

    def capture(self, step: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        self.captured += 1
        held = [value for value in self.held() if isinstance(value, torch.Tensor)]
        before = [value.detach().clone() for value in held]
        graph = make_fx(step)()
        with torch.no_grad():
            for value, old in zip(held, before, strict=True):
                value.copy_(old)
        result = torch.zeros(2)

        def again() -> None:
            self.replayed += 1
            with torch.no_grad():
                result.copy_(graph())

        return again, result

    held: Callable[[], list[Any]] = staticmethod(list)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Traced:
    made = Traced()
    unfreeze = freezing.unfreeze

    def watched(*given: Any) -> Unfrozen:
        unfrozen = unfreeze(*given)
        running = [buffer for name, buffer in given[0].tail.named_buffers()]
        scale = [unfrozen.scale.factor, unfrozen.scale.left_out] if unfrozen.scale else []
        made.held = lambda: [
            *unfrozen.updates.weights,
            *(value for moments in unfrozen.updates._moments for value in moments.values()),
            *running,
            *scale,
        ]
        return unfrozen

    monkeypatch.setattr(Graphs, "on", lambda place, count: Graphs(made, place))
    monkeypatch.setattr(loop, "unfreeze", watched)
    return made


def fit(device: Device | None = None, how: Callable[[], Any] = phase, **other: Any) -> tuple[Trained, dict[str, bytes]]:
    network = unbiased()
    given = recipe(batch_size=20, class_weights=np.array([0.5, 1.0, 3.0]), **other)
    done = loop.fit(network, [how()], examples(63), examples(30, seed=1), given, device or Device())
    return done, state(network)


def close(ours: tuple[Trained, dict[str, bytes]], theirs: tuple[Trained, dict[str, bytes]]) -> None:
    for name, value in theirs[1].items():
        kind = np.int64 if name.endswith("tracked") else np.float32
        np.testing.assert_allclose(np.frombuffer(ours[1][name], kind), np.frombuffer(value, kind), atol=2e-5, err_msg=name)
    for now, before in zip(ours[0].curve, theirs[0].curve, strict=True):
        assert now["train_loss"] == pytest.approx(before["train_loss"], abs=1e-5)
        assert now["train_accuracy"] == before["train_accuracy"]
    assert ours[0].steps == theirs[0].steps


@pytest.mark.parametrize("how", [lambda: phase(6, head=RATE, blocks_2=RATE), lambda: scratch(6)], ids=["frozen statistics", "scratch"])
def test_captured_steps_train_as_steps_that_are_not(how: Callable[[], Any], recorder: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates, images and labels change from step to step, and batches have 15 or 16 images."""
    monkeypatch.setattr(shards, "each", lambda place, function, items: map(function, items))
    captured = fit(how=how)
    assert recorder.captured == 2
    assert recorder.warmed == 2 * FIRST
    assert recorder.replayed == 24 - 2 * FIRST
    monkeypatch.undo()
    close(captured, fit(how=how))


def test_in_float16_an_overflow_is_left_out_of_captured_steps_too(recorder: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "each", lambda place, function, items: map(function, items))
    monkeypatch.setattr(loop, "start", lambda run: run_with(run, 2.0**24))
    captured, weights = fit(Device("cpu", "float16"), how=lambda: phase(6))
    assert recorder.replayed > 0
    assert captured.steps[-1] < 24
    assert all(np.isfinite(np.frombuffer(value, np.float32)).all() for name, value in weights.items() if not name.endswith("tracked"))
    assert captured.curve[-1]["validation_loss"] < captured.curve[0]["validation_loss"]


def run_with(run: Any, scale: float) -> Any:
    begun = real_start(run)
    begun.scale = scale
    return begun


real_start = loop.start


def test_what_cannot_be_captured_is_done_as_before(
    recorder: Traced, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(step: Callable[[], torch.Tensor]) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    caplog.set_level(logging.INFO)
    recorder.capture = refuse  # type: ignore[method-assign]
    eager = fit(how=lambda: phase(6))
    said = [message for message in caplog.messages if "CUDA graphs" in message]
    assert said == ["steps are not captured as CUDA graphs (operation not permitted when stream is capturing); each is started by itself"]
    monkeypatch.undo()
    close(eager, fit(how=lambda: phase(6)))


def test_several_processes_and_cpus_capture_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert Graphs.on(CPU, 1).place is None
    assert Graphs.on(CPU, 2).place is None
    assert not caplog.messages
    assert Graphs.on(torch.device("cuda", 0), 2).place is None
    assert "several processes" in caplog.text
