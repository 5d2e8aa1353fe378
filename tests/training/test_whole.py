"""When all of a network is trained, in which way, and how much work that may be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.networks import common, cut, sources
from headstart.params import FineTune
from headstart.training import whole
from tests import tiny


@pytest.mark.parametrize(
    ("n", "wrong", "needed"), [(20, 2, False), (20, 3, True), (100, 4, False), (100, 5, True), (400, 19, False), (400, 20, True)]
)
def test_it_is_tried_if_a_twentieth_is_wrong_and_fifteen_of_all_images(n: int, wrong: int, needed: bool) -> None:
    labels = np.arange(n) % 2
    named = np.where(np.arange(n) < wrong, 1 - labels, labels)
    assert whole.needed(np.eye(2)[named], labels, 5 * n) is needed


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    """GFLOPs of an image, of the source at `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    source = sources.load(tiny.checkpoint(Path("source")))
    return common.gflops(source.trunk, source.transform.input_size)


def test_it_is_on_fresh_views_and_at_a_higher_rate(work: float) -> None:
    card = sources.load("checkpoint:source").card()
    block = FineTune(rate=1e-3, epochs=6, whole=1.0, label_smoothing=0.2)
    block = block.model_copy(update={"augmentation": block.augmentation.model_copy(update={"vertical_flip": True})})
    way = whole.way(block, card, int(1.0 / work / 6), on_gpu=False)
    assert way is not None
    seen = way.augmentation
    assert (way.strategy, way.depth, way.views, way.epochs, way.keep) == ("last_stages", 4, "fresh", 6, "last")
    assert (way.rate, way.decay) == (pytest.approx(whole.FACTOR * 1e-3), whole.DECAY)
    assert (seen.min_crop_share, seen.rotation, seen.colour, seen.vertical_flip) == (0.6, 0.0, 0.0, True)
    assert way.label_smoothing == 0.2, "what it does not change is the block's"
    assert FineTune.model_validate(way.model_dump()) == way


@pytest.mark.parametrize(("images", "epochs"), [(100, 10), (125, 8), (250, 4), (251, None)])
def test_its_work_is_bounded(images: int, epochs: int | None, work: float) -> None:
    card = sources.load("checkpoint:source").card()
    block = FineTune(whole=1000.5 * work)
    way = whole.way(block, card, images, on_gpu=False)
    assert (way.epochs if way else None) == epochs
    assert whole.way(block, card, images, on_gpu=True) is not None
    assert whole.way(block.model_copy(update={"whole": 0.0}), card, images, on_gpu=True) is None


@pytest.mark.parametrize(
    ("architecture", "size", "depth", "stages"),
    [("test_resnet", 64, 4, 5), ("test_resnet", 66, 4, 5), ("test_vit", 160, 6, 7), ("test_efficientnet", 160, 4, 6)],
)
def test_stages_that_see_the_picture_finely_stay_frozen(architecture: str, size: int, depth: int, stages: int) -> None:
    import timm

    trunk = timm.create_model(architecture, pretrained=False, num_classes=0).eval()
    assert (whole.coarse(trunk, size), len(list(cut.chain(trunk).children()))) == (depth, stages)


def test_networks_without_batch_norm_have_lower_rates_in_their_depth() -> None:
    import timm

    found = [whole.decay(timm.create_model(name, pretrained=False)) for name in ("test_resnet", "test_vit")]
    assert found == [whole.DECAY, whole.GENTLE_DECAY]
    assert whole.GENTLE_DECAY < whole.DECAY


def test_a_network_that_sees_all_of_it_finely_is_trained_at_its_end() -> None:
    assert whole.coarse(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()), 32) >= 1


@pytest.mark.parametrize(
    ("n", "wrong", "little"),
    [(9, 0, False), (25, 0, False), (49, 0, True), (49, 1, True), (49, 2, False), (400, 20, True), (400, 21, False)],
)
def test_little_is_wrong_if_enough_images_show_it(n: int, wrong: int, little: bool) -> None:
    labels = np.arange(n) % 2
    named = np.where(np.arange(n) < wrong, 1 - labels, labels)
    assert whole.little(np.eye(2)[named], labels) is little
