"""headstart.training.loop: what is trained learns, phases begin and end as they should, the best is kept; cores do not matter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headstart.base import cores
from headstart.base.devices import Device
from headstart.features import extraction, transforms
from headstart.features.streamed import Streamed
from headstart.params import Augmentation
from headstart.training import loop
from headstart.training.cpu import products
from headstart.training.examples import Examples
from headstart.training.measure import logits
from headstart.training.updates import WARM_UP, Updates
from tests import tiny
from tests.training.tails import RATE, examples, phase, recipe, run, scripted, state, tail


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
    now = logits(network, examples(30, seed=1).views[0]).argmax(1) == examples(30, seed=1).labels
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


def test_each_phase_ends_with_its_best_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, bytes]] = []
    scripted(monkeypatch, [1.0, 0.9, 0.5, 0.8, 0.7, 0.6, 0.45, 0.46], seen)
    network = tail()
    done = run(network, phase(4, "one"), phase(3, "two", head=RATE, blocks_2=RATE / 2, blocks_1=RATE / 4))
    assert state(network) == seen[6]
    assert [p["best_epoch"] for p in done.phases] == [2, 2]
    assert [p["validation_loss"] for p in done.phases] == [0.5, 0.45]


def test_if_the_last_weights_are_wanted_a_phase_ends_with_them_and_nothing_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, bytes]] = []
    scripted(monkeypatch, [0.1, 0.9, 0.5, 0.8, 0.7], seen)
    network = tail()
    done = run(network, phase(4), keep="last", patience=1)
    assert state(network) == seen[4]
    assert (done.best, done.phases[0]["best_epoch"], done.phases[0]["epochs"]) == (4, 4, 4)


def test_the_start_may_be_left_out_of_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, bytes]] = []
    scripted(monkeypatch, [0.1, 0.9, 0.5, 0.8, 0.7], seen)
    network = tail()
    done = run(network, phase(4), keep="trained")
    assert state(network) == seen[2]
    assert (done.best, done.phases[0]["best_epoch"]) == (2, 2)


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

    def watch(self: Updates, gradients: list[torch.Tensor], norm: torch.Tensor, overflow: torch.Tensor) -> None:
        finite = all(torch.isfinite(gradient).all() for gradient in gradients)
        assert bool(overflow) != finite
        steps.append(int(finite))
        before = [weight.detach().clone() for weight in self.weights]
        step(self, gradients, norm, overflow)
        assert finite != all(torch.equal(old, weight) for old, weight in zip(before, self.weights, strict=True))

    monkeypatch.setattr(Updates, "step", watch)
    done = loop.fit(network, [phase(4)], examples(), examples(30, seed=1), recipe(batch_size=3), Device("cpu", "float16"))
    assert len(steps) == 80
    assert 60 < sum(steps) < 80
    assert done.steps[-1] == sum(steps)
    assert done.curve[-1]["validation_loss"] < 0.12 < done.curve[0]["validation_loss"]


def test_rows_that_are_computed_when_asked_for_train_as_those_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamed rows of an engine that takes one image a call, and of one that takes batches: both work from all threads at once."""
    monkeypatch.chdir(tmp_path)
    table = tiny.table(Path("images"), per_class=14)
    frozen = extraction.Frozen.of(lambda: tiny.conv(width=3), "a", 12)
    views = transforms.views(transforms.View(12, "bilinear"), 0, Augmentation(), 2)
    labels = np.searchsorted(["ant", "bee", "cat"], table["label"])
    kept = extraction.extract_views(frozen, table, Path("images"), views, dtype="float32", what="images")
    streamed = [Streamed(frozen, table, Path("images"), view) for view in views]
    results = []
    for given in (kept, streamed):
        network, (first, second) = tail(), given
        done = loop.fit(network, [phase(2)], Examples([first, second], labels), Examples([first], labels), recipe())
        results.append((state(network), done))
    assert results[0] == results[1]
    assert results[0][1].phases[0]["best_epoch"] > 0


def test_a_phase_whose_end_is_known_ends_there_on_the_way_of_its_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, short = (run(tail(), replace(phase(6), until=until)) for until in (None, 2))
    assert [row["rate"] for row in short.curve] == [row["rate"] for row in whole.curve][:3]
    assert [row["train_loss"] for row in short.curve] == [row["train_loss"] for row in whole.curve][:3]
    scripted(monkeypatch, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    worse = run(tail(), replace(phase(6), until=5), patience=1, keep="last")
    assert (worse.phases[0]["epochs"], worse.best) == (5, 5), "validation has no say"
