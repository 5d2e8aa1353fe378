"""headstart.fine_tuning: the frozen part stays to the bit, the views fit the disk, and only what is better ships."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch import nn

from headstart import fine_tuning, frozen_head, heads, model, sources
from headstart.errors import ParamsError
from headstart.training import Recipe
from tests import networks

AUGMENTATION = {"min_crop_share": 0.6, "rotation": 10.0, "colour": 0.2, "horizontal_flip": False, "vertical_flip": False}
PLAN: dict[str, Any] = {"strategy": "last_stages", "depth": 2, "epochs": 2, "rate": 1e-3, "decay": 0.7, "views": 2, "cache_gib": 1.0}


def recipe(seed: int = 0) -> Recipe:
    return Recipe(16, 4, 0.01, 0.1, np.ones(3), seed)


def state(module: nn.Module) -> dict[str, bytes]:
    """Every parameter and every buffer, those that are not saved included."""
    return {name: t.detach().numpy().tobytes() for name, t in [*module.named_parameters(), *module.named_buffers()]}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("photos")
    return folder, networks.table(folder, per_class=10, size=48)


def tune(card: dict[str, Any], photos: tuple[Path, pd.DataFrame], **other: Any) -> tuple[fine_tuning.Result, dict[str, Any]]:
    """Fine-tune a fresh copy of a source; the result, and the state of each stage before and after."""
    folder, table = photos
    source = sources.load(card["name"])
    network = model.of(source, networks.head(source.features))
    before = {name: state(module) for name, module in network.stages.named_children()}
    done = fine_tuning.run(
        table, folder, card, network, ["ant", "bee", "cat"], **{**PLAN, **other}, augmentation=AUGMENTATION, recipe=recipe()
    )
    after = {name: state(module) for name, module in network.stages.named_children()}
    return done, {name: before[name] == after[name] for name in before}


def test_no_number_of_the_frozen_stages_changes(photos: tuple[Path, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    card = {**sources.load("wheel:efficientnet_lite0").card(), "input_size": 64}
    folder, table = photos
    trained, _ = frozen_head.train(table, folder, card, penalties=[1.0], folds=3, balanced=False, seed=0)
    heads.save(Path("head.safetensors"), trained)
    network = fine_tuning.start(frozen_head.load(card), Path("head.safetensors"))
    assert np.array_equal(network.head.weight.detach().numpy(), trained["train_only"].weight)
    before = {name: state(module) for name, module in network.stages.named_children()}
    done = fine_tuning.run(table, folder, card, network, ["ant", "bee", "cat"], **PLAN, augmentation=AUGMENTATION, recipe=recipe())
    names = network.stage_names()
    assert done.summary["frozen"] == names[:-2]
    assert done.summary["trained"] == [*names[-2:], "head"]
    after = {name: state(module) for name, module in network.stages.named_children()}
    for key, stage in zip(before, names, strict=True):
        if stage in done.summary["frozen"]:
            assert before[key] == after[key], stage
    buffers = [name for name, _ in network.stages.named_buffers()]
    kept, now = ({f"{key}.{name}": value for key, values in each.items() for name, value in values.items()} for each in (before, after))
    assert len(buffers) > 100
    assert all(kept[name] == now[name] for name in buffers)  # BatchNorm statistics of the trained stages too
    learned = {name for name in kept if kept[name] != now[name]}
    assert done.summary["phases"][0]["best_epoch"] == 0 or any("conv_head" in name for name in learned)
    assert done.summary["engine"] == "onnxruntime"
    assert done.summary["views"] == 2
    assert done.summary["image_passes"] == 2 * (table["split"] == "train").sum()
    assert done.network is network


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A small untrained network, which has much to learn."""
    monkeypatch.chdir(tmp_path)
    return sources.load(networks.checkpoint(Path("source"))).card()


@pytest.mark.parametrize(
    ("strategy", "trained"),
    [
        ("head_only", []),
        ("last_stages", ["layer3", "layer4"]),
        ("gradual", ["layer3", "layer4"]),
        ("full", ["conv1", "layer1", "layer2", "layer3", "layer4"]),
    ],
)
def test_each_strategy_trains_what_it_says(
    strategy: str, trained: list[str], card: dict[str, Any], photos: tuple[Path, pd.DataFrame]
) -> None:
    done, same = tune(card, photos, strategy=strategy, epochs=4)
    assert done.summary["trained"] == [*trained, "head"]
    assert done.summary["frozen"] == [name for name in same if name not in trained]
    assert {name for name, kept in same.items() if not kept} == set(trained)
    assert done.curve[-1]["validation_loss"] < done.curve[0]["validation_loss"]
    assert [row["epoch"] for row in done.curve] == list(range(len(done.curve)))
    assert len(done.summary["phases"]) == (2 if strategy == "gradual" else 1)


def fingerprint(done: fine_tuning.Result) -> str:
    weights = weights.digest(done.network.weights())
    return hashlib.sha256(f"{weights}{done.curve}{done.summary}".encode()).hexdigest()


def test_a_cold_and_a_warm_cache_give_the_same_bytes(card: dict[str, Any], photos: tuple[Path, pd.DataFrame]) -> None:
    assert fingerprint(tune(card, photos)[0]) == fingerprint(tune(card, photos)[0])


def test_the_test_split_is_not_read(card: dict[str, Any], photos: tuple[Path, pd.DataFrame]) -> None:
    folder, table = photos
    gone = table.assign(path=table["path"].where(table["split"] != "test", "gone.png"))
    assert fingerprint(tune(card, photos)[0]) == fingerprint(tune(card, (folder, gone))[0])


def test_what_is_cached_is_counted(card: dict[str, Any], photos: tuple[Path, pd.DataFrame]) -> None:
    done, _ = tune(card, photos, epochs=1)
    on_disk = sum(path.stat().st_size for path in Path(".headstart/features").glob("*.rows"))
    assert done.summary["cache_bytes"] == on_disk


def test_the_verdict_is_that_of_the_probabilities_of_the_network(card: dict[str, Any], photos: tuple[Path, pd.DataFrame]) -> None:
    done, _ = tune(card, photos, strategy="full", epochs=6, rate=3e-3)
    figures = done.summary["validation"]
    assert figures["n"] == (photos[1]["split"] == "validation").sum()
    assert figures["difference"] == pytest.approx(figures["fine_tuned_accuracy"] - figures["head_accuracy"])
    assert done.summary["ships"] == ("fine_tuned" if figures["difference"] > figures["standard_error"] else "head")


def answers(right: int, n: int = 100) -> np.ndarray:
    return np.arange(n) < right


@pytest.mark.parametrize(
    ("before", "after", "ships"),
    [
        (answers(80), answers(80), "head"),
        (answers(80), answers(90), "fine_tuned"),
        (answers(90), answers(80), "head"),
        (answers(80), answers(82), "fine_tuned"),
        (np.array([1, 1, 0, 0] * 25, bool), np.array([1, 0, 1, 0] * 25, bool), "head"),
        (answers(100), answers(100), "head"),
        (np.array([1, 1, 0, 0, 0] + [1] * 95, bool), np.array([0, 0, 1, 1, 1] + [1] * 95, bool), "head"),  # better, within the error
    ],
)
def test_only_what_beats_the_head_by_a_standard_error_ships(before: np.ndarray, after: np.ndarray, ships: str) -> None:
    verdict = fine_tuning.verdict(before, after)
    assert verdict["ships"] == ships
    difference = after.astype(float) - before
    assert verdict["validation"] == {
        "n": 100,
        "head_accuracy": pytest.approx(before.mean()),
        "fine_tuned_accuracy": pytest.approx(after.mean()),
        "difference": pytest.approx(difference.mean()),
        "standard_error": pytest.approx(difference.std(ddof=1) / 10),
    }
    assert ("does not beat" in verdict["reason"]) == (ships == "head")
    assert f"{after.mean():.1%} of 100 validation images" in verdict["reason"]


def test_a_gain_of_one_image_is_no_more_than_a_standard_error() -> None:
    assert {fine_tuning.verdict(answers(n // 2, n), answers(n // 2 + 1, n))["ships"] for n in range(4, 300)} == {"head"}


def test_views_fit_the_disk() -> None:
    row = 2 * 64 * 8 * 8  # bytes, as float16
    for allowed, count in ((5, 3), (3.2, 3), (3.19, 2), (1.2, 1)):
        assert fine_tuning.fit_views(3, (64, 8, 8), 1000, 200, allowed * 1000 * row / 2**30) == count
    assert fine_tuning.fit_views(1, (64, 8, 8), 1000, 200, 100.0) == 1
    with pytest.raises(ParamsError, match=r"fine_tune\.cache_gib: one view of 1000 training images needs .* GiB"):
        fine_tuning.fit_views(3, (64, 8, 8), 1000, 200, 1.19 * 1000 * row / 2**30)


def test_fewer_views_are_made_where_they_would_not_fit(card: dict[str, Any], photos: tuple[Path, pd.DataFrame]) -> None:
    done, _ = tune(card, photos, epochs=1, views=3)
    less, _ = tune(card, photos, epochs=1, views=3, cache_gib=(done.summary["cache_bytes"] - 1) / 2**30)
    assert (done.summary["views"], less.summary["views"]) == (3, 2)


def test_class_weights() -> None:
    labels = pd.Series(["b"] * 6 + ["a"] * 3 + ["c"])
    weights = fine_tuning.class_weights(labels, ["a", "b", "c"], balanced=True)
    assert weights == pytest.approx([10 / 9, 10 / 18, 10 / 3])
    assert fine_tuning.class_weights(labels, ["a", "b", "c"], balanced=False).tolist() == [1, 1, 1]
