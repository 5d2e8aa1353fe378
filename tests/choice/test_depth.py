"""headstart.depth: the averages at the end of every stage, a probe of each, and the cut that follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from headstart.base import cores
from headstart.choice import depth
from headstart.indexing import indexer
from headstart.networks import cut, model, sources
from tests import tiny, toy


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    cores.one_thread()


SWIN: dict[str, Any] = {"img_size": 64, "window_size": 2, "embed_dim": 24, "depths": (1, 1, 1), "num_heads": (1, 2, 4)}
# Networks of each layout, and the axes of an activation inside them that are positions.
LAYOUTS: dict[str, tuple[str, dict[str, Any], int, tuple[int, ...]]] = {
    "channels first": ("test_resnet", {}, 64, (2, 3)),
    "tokens": ("vit_tiny_patch16_224", {"img_size": 64, "depth": 3, "embed_dim": 24}, 64, (1,)),
    "channels last": ("swin_tiny_patch4_window7_224", SWIN, 64, (1, 2)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_averages_are_those_of_a_plain_pass(layout: str) -> None:
    """What a stage leaves is what the next one is given; the last leaves the features."""
    architecture, options, size, positions = LAYOUTS[layout]
    torch.manual_seed(0)
    network = timm.create_model(architecture, pretrained=False, num_classes=0, **options).eval()
    depths = model.Depths(tiny.source("a", network))
    names = [cut.name(key) for key, _ in depths.stages.named_children()]
    assert len(names) >= 3
    given: list[torch.Tensor] = []
    for name in names[1:]:
        network.get_submodule(name).register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].mean(positions)))
    images = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        features = network(model.Normalise(tiny.MEAN, tiny.STD)(images))
        expected = [*given, features]
        found = torch.split(depths(images), list(depths.widths(size).values()), dim=1)
    assert list(depths.widths(size)) == names
    for name, ours, theirs in zip(names, found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5, msg=name)


SPREAD = np.array([1.0, -1.0] * 50)  # standard error of its mean: just above 0.1


@pytest.mark.parametrize(
    ("means", "first"),
    [
        ([-1, -1, -1, -0.5, -0.9, -0.5], 3),
        ([-1, -1, -1, -1, -0.9, -0.5], 5),
        ([-1, -1, -1, -1, -0.55, -0.5], 4),  # within a standard error of the best
        ([-0.5, -1, -1, -1, -1, -1], 3),  # no more than half is retrained
        ([-0.5, -1, -1, -1, -1], 3),
        ([-0.5, -1, -1], 2),
        ([-0.5, -1], 1),
        ([-0.5], 0),  # no fewer than one
    ],
)
def test_the_cut_is_at_the_first_stage_as_good_as_the_best(means: list[float], first: int) -> None:
    """The best varies about its mean; where it is beaten by a fixed gap, the paired standard error is that of SPREAD."""
    best = max(means)
    values = [np.full(100, mean) + (SPREAD if mean == best else 0) for mean in means]
    assert depth.cut(values) == first


def test_a_steady_loss_is_one_however_much_images_differ() -> None:
    assert depth.cut([3 * SPREAD - 1, 3 * SPREAD - 0.99, 3 * SPREAD - 0.98 + 0.001 * SPREAD, 3 * SPREAD - 0.97]) == 3


def edges() -> nn.Module:
    """How much a picture changes from one column to the next: what an average over positions does not see before."""
    kernel = torch.zeros(3, 3, 3, 3)
    for channel in range(3):
        kernel[channel, channel, 1] = torch.tensor([-1.0, 1.0, 0.0])
    return nn.Sequential(tiny.layer(kernel), nn.ReLU())


def probe(monkeypatch: pytest.MonkeyPatch, network: nn.Module, table: pd.DataFrame, folds: int = 3, features: int = 3) -> depth.Depth:
    tiny.use(monkeypatch, {"a": lambda: tiny.source("a", network, features=features)})
    source = sources.load("toy:a")
    widths = model.Depths(source).widths(source.transform.input_size)
    return depth.probe(source.card().at(32), widths, table, Path("images"), folds=folds, seed=0)


@pytest.fixture
def coloured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Photos whose classes differ in colour."""
    monkeypatch.chdir(tmp_path)
    return tiny.table(Path("images"), per_class=10)


@pytest.fixture
def striped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Pictures of one mean colour whose classes differ in their stripes alone."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for label, width in (("fine", 1), ("wide", 8)):
        Path("images", label).mkdir(parents=True)
        for number in range(12):
            row = 128 + np.where(np.arange(32) // width % 2, 40, -40)
            pixels = np.tile(row[:, None], (32, 1, 3)) + random.integers(-20, 21, (32, 32, 1))
            pixels = np.round(pixels - pixels.mean() + 128)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(Path("images", label, f"{number}.png"))
    return indexer.index(Path("images"), **{**toy.INDEX, "duplicate_distance": 0})


def test_where_later_stages_destroy_information_the_cut_is_early(coloured: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    done = probe(monkeypatch, tiny.Blocks(tiny.same(), tiny.same(), *(tiny.nothing() for _ in range(4))), coloured)
    accuracies = [row["accuracy"] for row in done.curve]
    assert min(accuracies[:2]) > 0.9
    assert max(accuracies[2:]) < 0.6
    assert done.stages == 3
    assert [row["stage"] for row in done.curve] == [f"blocks.{i}" for i in range(6)]
    assert [row["retrained"] for row in done.curve] == [False] * 3 + [True] * 3
    assert [row["width"] for row in done.curve] == [3] * 6
    assert done.curve[0]["log_likelihood"] > done.curve[3]["log_likelihood"]


def test_where_information_shows_late_little_is_retrained(striped: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    done = probe(monkeypatch, tiny.Blocks(tiny.same(), tiny.same(), tiny.same(), edges()), striped)
    accuracies = [row["accuracy"] for row in done.curve]
    assert max(accuracies[:3]) < 0.8
    assert accuracies[3] == 1
    assert done.stages == 1
    assert [row["retrained"] for row in done.curve] == [False, False, False, True]


def test_a_chain_of_one_stage_is_retrained(coloured: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    done = probe(monkeypatch, tiny.trunk(), coloured, features=16)
    assert done.stages == 1
    assert [(row["width"], row["retrained"]) for row in done.curve] == [(16, True)]


def test_classes_of_one_image_and_few_folds_do_not_stop_it(coloured: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    few = coloured.groupby("label").head(2).iloc[:-1]
    assert few["label"].value_counts().min() == 1
    done = probe(monkeypatch, tiny.Blocks(tiny.same(), tiny.nothing()), few.reset_index(drop=True), folds=20)
    assert all(np.isfinite([row["accuracy"], row["log_likelihood"]]).all() for row in done.curve)
    assert done.stages == 1


def test_the_same_bytes_each_time(coloured: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny.Blocks(tiny.same(), tiny.nothing())
    assert probe(monkeypatch, network, coloured) == probe(monkeypatch, network, coloured)
