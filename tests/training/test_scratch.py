"""headstart.scratch: all of a network learns from random weights, the same each time, whatever the disk may hold."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from headstart.base import weights
from headstart.features import extraction
from headstart.features import pixels as pixels_module
from headstart.indexing import indexer
from headstart.linear import logistic
from headstart.networks import model
from headstart.networks.cards import Architecture, Transform
from headstart.params import Augmentation
from headstart.training import scratch
from tests import toy

CLASSES = ["leaning", "lying", "standing"]
CARD = Architecture("timm", "test_resnet", False, Transform(32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "bilinear", 1.0))
AUGMENTATION = Augmentation(min_crop_share=0.8, rotation=5.0, colour=0.1, horizontal_flip=False, vertical_flip=False)
PLAN = scratch.Plan(epochs=2, rate=2e-3, batch_size=16, weight_decay=0.01, label_smoothing=0.1, views=2, augmentation=AUGMENTATION)


def stripes(folder: Path, per_class: int = 20, size: int = 32) -> None:
    """Photos whose classes differ in the direction of fine stripes alone: their colours, and so thumbnails, say nothing."""
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            random = np.random.default_rng([label, number])
            y, x = np.mgrid[0:size, 0:size]
            angle = (np.pi / 4, 0.0, np.pi / 2)[label]
            wave = np.sin((y * np.cos(angle) + x * np.sin(angle)) * np.pi / 2 + random.uniform(0, 6))
            pixels = random.uniform(60, 190, 3) + wave[..., None] * 50 + random.normal(0, 12, (size, size, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number:02}.png")


@pytest.fixture(scope="session")
def striped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """Striped photos and their manifest."""
    folder = tmp_path_factory.mktemp("striped")
    stripes(folder)
    return folder, indexer.index(folder, **toy.INDEX)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def train(striped: tuple[Path, pd.DataFrame], seed: int = 0, head_first: bool = True, **other: Any) -> scratch.Result:
    return scratch.train(striped[1], striped[0], CARD, CLASSES, replace(PLAN, **other), seed=seed, head_first=head_first)


def digest(done: scratch.Result) -> str:
    return weights.digest(done.network.weights())


def draws(seed: int) -> list[model.Network]:
    return [scratch.untrained(CARD, CLASSES, scratch.DRAWS * seed + draw) for draw in range(scratch.DRAWS)]


def test_it_learns_what_thumbnails_do_not_show(striped: tuple[Path, pd.DataFrame]) -> None:
    before = {key: value.clone() for key, value in scratch.untrained(CARD, CLASSES, 0).weights().items()}
    done = train(striped, epochs=8, head_first=False)
    n = int((striped[1]["split"] == "validation").sum())
    assert done.right.shape == (9, n)
    assert [row["validation_accuracy"] for row in done.curve] == pytest.approx(done.right.mean(1).tolist())
    assert done.right[0].mean() == pytest.approx(1 / 3), "a head of zeros names the same class for all"
    assert done.right[done.best].mean() > 0.6
    assert done.best == done.summary["phases"][0]["best_epoch"] > 0
    assert done.steps == [i * -(-int((striped[1]["split"] == "train").sum()) // 16) for i in range(9)]
    assert done.curve[-1]["epoch"] == 8, "no epoch is saved"
    after = done.network.weights()
    assert [key for key in before if torch.equal(before[key], after[key])] == [], "all is trained, and the statistics are gathered"


def answers(done: scratch.Result, striped: tuple[Path, pd.DataFrame]) -> tuple[torch.Tensor, np.ndarray]:
    """Logits of the network that was kept for the validation images, and their labels."""
    held = striped[1][striped[1]["split"] == "validation"]
    images = np.stack([np.asarray(Image.open(striped[0] / path)) for path in held["path"]])
    with torch.inference_mode():
        return done.network(torch.from_numpy(images)), np.searchsorted(CLASSES, held["label"])


def test_a_head_on_the_random_weights_is_kept_where_training_brings_less(striped: tuple[Path, pd.DataFrame]) -> None:
    done = train(striped, epochs=1)
    assert done.best == done.summary["phases"][0]["best_epoch"] == 0
    assert done.right[0].mean() == done.summary["validation"]["accuracy"] == done.curve[0]["validation_accuracy"] > 0.5
    after = done.network.weights()
    changed = [[key for key, value in network.weights().items() if not torch.equal(value, after[key])] for network in draws(0)]
    assert changed.count(["fc.weight", "fc.bias"]) == 1, "it is one of the draws"
    logits, labels = answers(done, striped)
    assert (logits.argmax(1).numpy() == labels).tolist() == done.right[0].tolist()
    loss = float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)))
    assert loss == pytest.approx(done.curve[0]["validation_loss"], abs=1e-4) == done.summary["phases"][0]["validation_loss"]


def test_training_is_kept_where_it_brings_more_and_starts_from_no_head(
    striped: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = train(striped, epochs=30, rate=5e-3)
    assert done.best == done.summary["phases"][0]["best_epoch"] > 0
    assert done.curve[done.best]["validation_loss"] < done.curve[0]["validation_loss"]
    begin = scratch.begin

    def without_head(*given: Any) -> tuple[model.Network, model.Network]:
        network, _ = begin(*given)
        return network, copy.deepcopy(network)

    monkeypatch.setattr(scratch, "begin", without_head)
    plain = train(striped, epochs=30, rate=5e-3)
    assert plain.curve[1:] == done.curve[1:]
    assert digest(plain) == digest(done)
    assert plain.curve[0] != done.curve[0]


def test_the_draw_with_the_best_features_of_training_images_begins(
    striped: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, table = striped
    given: list[tuple[np.ndarray, np.ndarray, float]] = []
    fit = logistic.fit

    def watch(rows: Any, labels: np.ndarray, *rest: Any, **how: Any) -> Any:
        head, validated = fit(rows, labels, *rest, **how)
        given.append((rows, labels, validated.figures["log_loss"]))
        return head, validated

    monkeypatch.setattr(logistic, "fit", watch)
    some = table[table["split"] == "train"].reset_index(drop=True)
    chosen = set()
    for seed in range(4):
        given.clear()
        network, with_head = scratch.begin(some, folder, CARD, CLASSES, seed)
        best = int(np.argmin([loss for *_, loss in given]))
        chosen.add(best)
        assert weights.digest(network.weights()) == weights.digest(draws(seed)[best].weights())
        images = torch.from_numpy(np.stack([np.asarray(Image.open(folder / path)) for path in some["path"]]))
        with torch.inference_mode():
            features = network.stages(network.normalise(images)).numpy()
        np.testing.assert_allclose(given[best][0], features, atol=1e-4)
        assert [np.bincount(labels).tolist() for _, labels, _ in given] == [some["label"].value_counts()[CLASSES].tolist()] * 3
        assert not torch.equal(with_head.head.weight, network.head.weight)
        assert not network.head.weight.any()
    assert len(chosen) > 1
    monkeypatch.setattr(scratch, "LARGEST_START", 12)
    given.clear()
    scratch.begin(some, folder, CARD, CLASSES, 0)
    assert [np.bincount(labels).tolist() for _, labels, _ in given] == [[4, 4, 4]] * 3


def test_the_seed_fixes_all_and_disturbs_nothing(striped: tuple[Path, pd.DataFrame]) -> None:
    state = torch.random.get_rng_state()
    first, again, other = train(striped), train(striped), train(striped, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    assert digest(first) == digest(again) != digest(other)
    assert first.curve == again.curve


def test_the_test_split_is_not_read(striped: tuple[Path, pd.DataFrame]) -> None:
    folder, table = striped
    gone = table.assign(path=table["path"].where(table["split"] != "test", "gone.png"))
    assert digest(train(striped)) == digest(train((folder, gone)))


def test_what_the_disk_may_not_hold_is_decoded_when_it_is_needed(striped: tuple[Path, pd.DataFrame]) -> None:
    kept = train(striped)
    on_disk = sum(path.stat().st_size for path in extraction.FOLDER.glob("*.rows"))
    sizes = striped[1]["split"].value_counts()
    assert on_disk == pixels_module.pixel_bytes(32, 2 * int(sizes["train"]) + int(sizes["validation"])), "an image is stored once a view"
    fewer = train(striped, cache_gib=(on_disk - 1) / 2**30)
    streamed = train(striped, cache_gib=1e-9)
    assert [done.summary["views"] for done in (kept, fewer, streamed)] == [2, 1, 2]
    assert [done.summary["streamed"] for done in (kept, fewer, streamed)] == [False, False, True]
    assert digest(streamed) == digest(kept), "pixels are stored as they are"


def test_the_network_is_that_of_the_card(striped: tuple[Path, pd.DataFrame]) -> None:
    done = train(striped, epochs=1)
    images = np.stack([toy.photo(number=i, size=32) for i in range(4)])
    with torch.inference_mode():
        whole = scratch.whole(done.network).eval()(torch.from_numpy(images).float())
        assert torch.allclose(whole, done.network(torch.from_numpy(images)), atol=1e-5)
