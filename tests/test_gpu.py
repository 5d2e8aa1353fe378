"""What only a real card can show: pytest -m gpu. The same code is tested on the CPU by the tests of each room; without a card these are skipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from headstart.base import devices
from headstart.base.devices import CPU, Device
from headstart.features import engines, looking, transforms
from headstart.features.batched import Batched
from headstart.features.transforms import View
from headstart.linear import logistic
from headstart.networks import sources
from headstart.params import Augmentation
from headstart.training import fine_tuning, loop
from headstart.training.graphs import Cuda, Graphs
from tests import tiny, toy
from tests.linear.test_logistic import PENALTIES, folds
from tests.linear.test_on_card import TOLERANCE, clouds
from tests.training import tails
from tests.training.test_fine_tuning import CLASSES, PLAN

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")]
LIVELY = Augmentation(min_crop_share=0.5, rotation=15, colour=0.3, horizontal_flip=True, vertical_flip=True)
FLOAT32 = Device("cuda", "float32")


@pytest.fixture(autouse=True)
def _steady() -> None:
    devices.steady()


@pytest.fixture(params=["float32", "bfloat16", "float16"])
def device(request: pytest.FixtureRequest) -> Device:
    return Device("cuda", request.param)


def test_views_on_a_card_are_those_on_the_cpu() -> None:
    image = toy.photo(size=(90, 60))
    pixels = torch.from_numpy(np.asarray(image).copy())[None]
    looks = looking.plan([transforms.views(View(48, "bilinear"), 1, LIVELY, 16)], ["a"], [image.size], [image.size])
    apart = looking.look(pixels.cuda(), looks).cpu().short() - looking.look(pixels, looks).short()
    assert apart.abs().float().mean() < 0.05
    assert apart.abs().float().quantile(0.99) <= 1


def test_the_engine_gives_the_same_bytes_each_time_and_nearly_those_of_the_cpu(device: Device) -> None:
    images = np.stack([tiny.array(32, seed) for seed in range(11)])
    first, second = (Batched(tiny.conv(), device, batch=4)(images) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    np.testing.assert_allclose(first, Batched(tiny.conv(), CPU, batch=4)(images), atol=1e-4 if device == FLOAT32 else 0.03)


def fit(device: Device, how: Any = None, **other: Any) -> tuple[Any, nn.Sequential]:
    network = tails.unbiased()
    given = tails.recipe(batch_size=20, **other)
    return loop.fit(network, [how or tails.phase(8)], tails.examples(63), tails.examples(30, seed=1), given, device), network


@pytest.mark.parametrize("how", [tails.phase(8), tails.scratch(8)], ids=["frozen statistics", "scratch"])
def test_captured_steps_train_as_steps_on_the_cpu(how: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    replays: list[int] = []
    capture = Cuda.capture

    def watch(self: Cuda, step: Any) -> Any:
        again, result = capture(self, step)
        return lambda: replays.append(1) or again(), result

    monkeypatch.setattr(Cuda, "capture", watch)
    done, network = fit(FLOAT32, how)
    assert len(replays) > 20
    before, on_cpu = fit(CPU, how)
    assert [row["validation_loss"] for row in done.curve] == pytest.approx([row["validation_loss"] for row in before.curve], abs=0.02)
    if how.name != "from scratch":  # whose shards have statistics of their own
        for ours, theirs in zip(network.parameters(), on_cpu.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02)


def test_captured_steps_give_the_bytes_of_steps_that_are_not(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    _, captured = fit(device)
    monkeypatch.setattr(Graphs, "on", lambda place, count: Graphs())
    _, plain = fit(device)
    for ours, theirs in zip(captured.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_memory_that_runs_out_halves_the_shard() -> None:
    network = tails.in_room(5)
    done = loop.fit(network, [tails.phase(4)], tails.examples(63), tails.examples(30, seed=1), tails.recipe(batch_size=20), FLOAT32)
    assert done.shard == 5
    assert done.curve[-1]["validation_loss"] < done.curve[0]["validation_loss"]


def test_heads_are_those_of_the_cpu() -> None:
    x, y = clouds(120, 40)
    how: dict[str, Any] = {"classes": 3, "penalties": PENALTIES, "what": "fits"}
    (ours, found), (theirs, validated) = (logistic.fit(x, y, folds(120), **how, device=device) for device in (FLOAT32, CPU))
    assert found.penalty == validated.penalty
    np.testing.assert_allclose(ours.logits(x), theirs.logits(x), atol=TOLERANCE * np.abs(theirs.logits(x)).max())


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    return tiny.table(Path("photos"), per_class=10, size=48)


@pytest.mark.parametrize("views", [2, "fresh"])
def test_fine_tuning_learns_as_on_the_cpu(views: Any, photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    card = sources.load("wheel:efficientnet_lite0").card().at(64)
    plan, head = replace(PLAN, views=views, processes=1), tiny.head(sources.load(card.name).features)
    ours, theirs = (fine_tuning.run(photos, Path("photos"), card, head, CLASSES, plan, device=device) for device in (FLOAT32, CPU))
    assert ours.summary["engine"].startswith("cuda")
    for now, before in zip(ours.curve, theirs.curve, strict=True):
        assert now["validation_loss"] == pytest.approx(before["validation_loss"], abs=0.05)


def test_a_compiled_engine_gives_nearly_the_same() -> None:
    images = np.stack([tiny.array(32, seed) for seed in range(8)])
    engine = Batched(tiny.conv(), FLOAT32, batch=4)
    before = engine(images)
    engine.compile()
    np.testing.assert_allclose(engine(images), before, atol=1e-4)


def test_an_engine_that_travels_runs_on_the_card(tmp_path: Path) -> None:
    made = engines.build(tiny.conv, 32, "a", tmp_path, FLOAT32)
    there = engines.received(engines.shipped(made, "a", tmp_path, FLOAT32))
    image = tiny.array(32, 0)[None]
    np.testing.assert_allclose(there.run(image), made.run(image), atol=1e-5)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one card only")
def test_several_cards_train_as_one(photos: pd.DataFrame) -> None:
    card = sources.load("wheel:efficientnet_lite0").card().at(64)
    head = tiny.head(sources.load(card.name).features)
    one, two = (
        fine_tuning.run(photos, Path("photos"), card, head, CLASSES, replace(PLAN, processes=count), device=FLOAT32) for count in (1, 2)
    )
    for now, before in zip(two.curve, one.curve, strict=True):
        assert now["validation_loss"] == pytest.approx(before["validation_loss"], abs=0.02)
