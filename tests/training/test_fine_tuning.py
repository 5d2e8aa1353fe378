"""headstart.fine_tuning: the frozen part stays to the bit, the views fit the disk or are computed anew, and the figures are those of the validation images."""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch import nn

from headstart.base import weights as weights_module
from headstart.base.devices import CPU, Device
from headstart.features import classify, engines, extraction, pictures, transforms
from headstart.features.batched import Batched
from headstart.features.transforms import View
from headstart.linear import frozen_head
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from headstart.networks import averaging, model, sources
from headstart.networks.cards import SourceCard
from headstart.params import Augmentation, FineTune
from headstart.statistics import intervals
from headstart.training import budget, fine_tuning
from headstart.training.examples import Recipe
from headstart.training.fine_tuning import Plan
from tests import tiny


def recipe(regulariser: str = "none", strength: float = 0.0) -> Recipe:
    return Recipe(16, 4, 0.01, 0.1, np.ones(3), 0, regulariser, strength)


PLAN = Plan(
    strategy="last_stages",
    depth=2,
    epochs=2,
    rate=1e-3,
    decay=0.7,
    views=2,
    cache_gib=1.0,
    augmentation=Augmentation(min_crop_share=0.6, rotation=10.0, colour=0.2, horizontal_flip=False, vertical_flip=False),
    recipe=recipe(),
)


def state(module: nn.Module) -> dict[str, bytes]:
    """Every parameter and every buffer, those that are not saved included."""
    return {name: t.detach().numpy().tobytes() for name, t in [*module.named_parameters(), *module.named_buffers()]}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("photos")
    return folder, tiny.table(folder, per_class=10, size=48)


CLASSES = ["ant", "bee", "cat"]


def tune(
    card: SourceCard, photos: tuple[Path, pd.DataFrame], processes: int | str = "auto", how: Recipe | None = None, **other: Any
) -> tuple[fine_tuning.Result, dict[str, bool]]:
    """Fine-tune a source from a random head; the result, and whether each stage is still as the source has it."""
    folder, table = photos
    source = sources.load(card.name)
    plan = replace(PLAN, recipe=how or recipe(), processes=processes, **other)
    done = fine_tuning.run(table, folder, card, tiny.head(source.features), CLASSES, plan)
    kept = {key: value.numpy().tobytes() for key, value in source.trunk.state_dict().items()}
    now = {key: value.numpy().tobytes() for key, value in done.network.weights().items()}
    stages = {name: {key for key in kept if key.startswith(f"{name}.")} for name in done.network.stage_names()}
    return done, {name: all(kept[key] == now[key] for key in keys) for name, keys in stages.items()}


def test_no_number_of_the_frozen_stages_changes(photos: tuple[Path, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    card = sources.load("wheel:efficientnet_lite0").card().at(64)
    folder, table = photos
    trained, _ = frozen_head.train(table, folder, card, penalties=[1.0], folds=3, balanced=False, seed=0)
    done = fine_tuning.run(table, folder, card, trained["train_only"], CLASSES, PLAN)
    network = done.network
    names = network.stage_names()
    assert done.summary["frozen"] == names[:-2]
    assert done.summary["trained"] == [*names[-2:], "head"]
    kept = model.of(sources.load(card.name), trained["train_only"])
    before, after = ({name: state(module) for name, module in each.stages.named_children()} for each in (kept, network))
    for key, stage in zip(before, names, strict=True):
        if stage in done.summary["frozen"]:
            assert before[key] == after[key], stage
    buffers = [name for name, _ in network.stages.named_buffers()]
    earlier, now = ({f"{key}.{name}": value for key, values in each.items() for name, value in values.items()} for each in (before, after))
    assert len(buffers) > 100
    assert all(earlier[name] == now[name] for name in buffers)  # BatchNorm statistics of the trained stages too
    learned = {name for name in earlier if earlier[name] != now[name]}
    assert done.summary["phases"][0]["best_epoch"] == 0 or any("conv_head" in name for name in learned)
    assert (done.summary["engine"], done.summary["device"], done.summary["processes"]) == ("onnxruntime", "cpu", 1)
    assert (done.summary["views"], done.summary["streamed"], done.summary["shard"]) == (2, False, 16)
    assert done.summary["image_passes"] == 2 * (table["split"] == "train").sum()


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceCard:
    """A small untrained network, which has much to learn."""
    monkeypatch.chdir(tmp_path)
    return sources.load(tiny.checkpoint(Path("source"))).card()


@pytest.mark.parametrize(
    ("strategy", "trained"),
    [
        ("last_stages", ["layer3", "layer4"]),
        ("gradual", ["layer3", "layer4"]),
        ("full", ["conv1", "layer1", "layer2", "layer3", "layer4"]),
    ],
)
def test_each_strategy_trains_what_it_says(strategy: str, trained: list[str], card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    done, same = tune(card, photos, strategy=strategy, epochs=4)
    assert done.summary["trained"] == [*trained, "head"]
    assert done.summary["frozen"] == [name for name in same if name not in trained]
    assert {name for name, kept in same.items() if not kept} == set(trained)
    assert done.curve[-1]["validation_loss"] < done.curve[0]["validation_loss"]
    assert [row["epoch"] for row in done.curve] == list(range(len(done.curve)))
    assert len(done.summary["phases"]) == (2 if strategy == "gradual" else 1)


def test_fresh_views_are_drawn_in_every_epoch_and_nothing_is_cached(
    card: SourceCard, photos: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    real = transforms.random_view

    def watch(image: Any, view: Any, *given: Any) -> Any:
        drawn.append(view.number)
        return real(image, view, *given)

    monkeypatch.setattr(transforms, "random_view", watch)
    done, _ = tune(card, photos, views="fresh", epochs=3)
    n = int((photos[1]["split"] == "train").sum())
    assert {number: drawn.count(number) for number in drawn} == dict.fromkeys((1, 2, 3), n)
    assert (done.summary["views"], done.summary["streamed"], done.summary["cache_bytes"]) == (3, True, 0)


def test_batch_norm_learns_the_statistics_of_the_images_if_that_is_wanted(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    before = {name: value.numpy().tobytes() for name, value in sources.load(card.name).trunk.state_dict().items() if "running_mean" in name}
    for statistics, same in (
        ("source", set(before)),
        ("batch", {name for name in before if "layer4" not in name and "layer3" not in name}),
    ):
        done, _ = tune(card, photos, statistics=statistics, rate=1e-3, epochs=4)
        now = done.network.weights()
        assert done.best
        assert {name for name, value in before.items() if now[name].numpy().tobytes() == value} == same


def test_head_only_trains_nothing_and_draws_no_view(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    done, same = tune(card, photos, strategy="head_only", epochs=4)
    assert all(same.values())
    assert (done.summary["trained"], done.summary["phases"], done.summary["views"], done.summary["validation"]) == ([], [], 0, None)
    assert (done.right.shape[0], done.best, done.steps, len(done.curve)) == (1, 0, [0], 1)
    assert done.logits.argmax(1).shape == done.right[0].shape
    assert done.curve[0]["validation_accuracy"] == pytest.approx(done.right[0].mean())


def fingerprint(done: fine_tuning.Result) -> str:
    return hashlib.sha256(f"{weights_module.digest(done.network.weights())}{done.curve}{done.summary}".encode()).hexdigest()


def test_a_cold_and_a_warm_cache_give_the_same_bytes(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    assert fingerprint(tune(card, photos)[0]) == fingerprint(tune(card, photos)[0])


def test_the_test_split_is_not_read(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    folder, table = photos
    gone = table.assign(path=table["path"].where(table["split"] != "test", "gone.png"))
    assert fingerprint(tune(card, photos)[0]) == fingerprint(tune(card, (folder, gone))[0])


def test_what_is_cached_is_counted(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    done, _ = tune(card, photos, epochs=1)
    on_disk = sum(path.stat().st_size for path in Path(".headstart/features").glob("*.rows"))
    assert done.summary["cache_bytes"] == on_disk


def test_it_is_compared_with_the_head_on_the_validation_images(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    done, _ = tune(card, photos, strategy="full", epochs=6, rate=3e-3)
    figures = done.summary["validation"]
    assert figures["n"] == (photos[1]["split"] == "validation").sum()
    assert figures["difference"] == pytest.approx(figures["fine_tuned_accuracy"] - figures["head_accuracy"])


def test_the_result_says_which_images_were_right_when(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    """At each row of the curve, and of the network that it returns."""
    done, _ = tune(card, photos, strategy="gradual", epochs=3, rate=3e-3)
    table = photos[1]
    n, batches = (table["split"] == "validation").sum(), -(-(table["split"] == "train").sum() // 16)
    assert done.right.shape == (len(done.curve), n)
    assert done.right.mean(1).tolist() == pytest.approx([row["validation_accuracy"] for row in done.curve])
    assert done.steps == [batches * row["epoch"] for row in done.curve]
    assert done.right[done.best].mean() == pytest.approx(done.summary["validation"]["fine_tuned_accuracy"])
    assert done.right[0].mean() == pytest.approx(done.summary["validation"]["head_accuracy"])
    labels = np.searchsorted(CLASSES, table.loc[table["split"] == "validation", "label"])
    assert np.array_equal(done.logits.argmax(1) == labels, done.right[done.best])
    assert done.curve[done.best]["validation_loss"] == min(row["validation_loss"] for row in done.curve)


@pytest.mark.parametrize("fresh", [False, True])
def test_averages_with_the_head_are_measured_on_the_stored_activations(
    fresh: bool, card: SourceCard, photos: tuple[Path, pd.DataFrame]
) -> None:
    done, _ = tune(card, photos, statistics="batch", rate=1e-3, epochs=2, **({"views": "fresh"} if fresh else {}))
    before, after = (
        {key: value.numpy() for key, value in network.weights().items()}
        for network in (model.of(sources.load(card.name), tiny.head(card.features or 0)), done.network)
    )
    held = photos[1][photos[1]["split"] == "validation"].reset_index(drop=True)
    found = []
    for share, logits in done.averages((0.0, 0.5, 1.0)).items():
        weights = averaging.averaged(before, after, share)
        found.append(logits)
        np.testing.assert_allclose(found[-1], classify.logits(weights, card, held, photos[0]), atol=0.02)  # kept in half precision
    assert np.array_equal(found[-1], done.logits)
    assert np.abs(found[0] - found[1]).max() > 0.1 < np.abs(found[1] - found[2]).max()


def test_a_regulariser_holds_the_trained_stages_at_the_source(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    source, moved = sources.load(card.name).trunk.state_dict(), []
    for how in (recipe(), recipe("l2_sp", 10.0)):
        now = tune(card, photos, how=how, epochs=10)[0].network.weights()
        moved.append(sum(float(((now[key] - value) ** 2).sum()) for key, value in source.items()))
    assert 0 < moved[1] < 0.5 * moved[0]


def answers(right: int, n: int = 100) -> np.ndarray:
    return np.arange(n) < right


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (answers(80), answers(80)),
        (answers(80), answers(90)),
        (answers(90), answers(80)),
        (np.array([1, 1, 0, 0] * 25, bool), np.array([1, 0, 1, 0] * 25, bool)),
        (answers(100), answers(100)),
    ],
)
def test_the_figures_beside_the_head_are_paired(before: np.ndarray, after: np.ndarray) -> None:
    difference = after.astype(float) - before
    assert fine_tuning.against_head(before, after) == {
        "n": 100,
        "head_accuracy": pytest.approx(before.mean()),
        "fine_tuned_accuracy": pytest.approx(after.mean()),
        "difference": pytest.approx(difference.mean()),
        "standard_error": pytest.approx(difference.std(ddof=1) / 10),
        "interval": pytest.approx([float(end) for end in intervals.images(difference, 0.05)]),
    }


def test_views_fit_the_disk() -> None:
    row = 2 * 64 * 8 * 8  # bytes, as float16
    for allowed, count in ((5, 3), (3.2, 3), (3.19, 2), (1.2, 1), (1.19, 0), (0.001, 0)):
        assert fine_tuning.fit_views(3, (64, 8, 8), 1000, 200, allowed * 1000 * row / 2**30) == count
    assert fine_tuning.fit_views(1, (64, 8, 8), 1000, 200, 100.0) == 1


@pytest.mark.parametrize(
    ("gib", "words"), [(100.0, None), (0.02, "2 views are made"), (0.001, "nothing is cached, and the frozen layers run again")]
)
def test_what_does_not_fit_is_said(gib: float, words: str | None, caplog: pytest.LogCaptureFixture) -> None:
    fine_tuning.fit_views(3, (64, 8, 8), 1000, 200, gib)
    assert (words in caplog.text) if words else not caplog.messages
    assert len(caplog.messages) == (words is not None)


def test_many_images_get_fewer_views() -> None:
    chosen = {n: budget.views("auto", n) for n in (1, 10, 1500, 1501, 10**6)}
    assert chosen == {1: 3, 10: 3, 1500: 3, 1501: 2, 10**6: 2}
    assert [budget.views(n, 10**6) for n in (1, 7, 64)] == [1, 7, 64]


def test_fewer_views_are_made_where_they_would_not_fit(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    done, _ = tune(card, photos, epochs=1, views=3)
    less, _ = tune(card, photos, epochs=1, views=3, cache_gib=(done.summary["cache_bytes"] - 1) / 2**30)
    assert (done.summary["views"], less.summary["views"]) == (3, 2)


def closest(one: fine_tuning.Result, other: fine_tuning.Result) -> float:
    """The largest difference between two weights of the same name, as a share of the largest weight there (at least of 1)."""
    ours, theirs = one.network.weights(), other.network.weights()
    return max(float((ours[key] - theirs[key]).abs().max() / ours[key].abs().max().clamp(min=1)) for key in ours)


def moved(done: fine_tuning.Result, card: SourceCard) -> float:
    """The largest change of a weight of the source."""
    before, after = sources.load(card.name).trunk.state_dict(), done.network.weights()
    return max(float((after[key] - value).abs().max()) for key, value in before.items())


def test_auto_makes_three_views_of_few_images(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    done, _ = tune(card, photos, epochs=1, views="auto")
    assert done.summary["views"] == 3


def test_what_the_disk_may_not_hold_is_computed_when_it_is_needed(
    card: SourceCard, photos: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, _ = tune(card, photos)
    monkeypatch.setattr(extraction, "FOLDER", Path("nothing"))
    done, same = tune(card, photos, cache_gib=1e-6)
    assert not Path("nothing").exists()
    assert (kept.summary["streamed"], done.summary["streamed"]) == (False, True)
    assert (kept.summary["views"], done.summary["views"], done.summary["cache_bytes"]) == (2, 2, 0)
    assert done.summary["phases"][0]["best_epoch"] == kept.summary["phases"][0]["best_epoch"] > 0
    assert moved(done, card) > 1e-3
    assert closest(done, kept) < 1e-3  # what is kept is rounded to half precision
    for ours, theirs in zip(done.curve, kept.curve, strict=True):
        assert ours["validation_loss"] == pytest.approx(theirs["validation_loss"], abs=1e-3)
    assert [name for name, kept in same.items() if not kept] == ["layer3", "layer4"]


def test_streaming_gives_the_same_bytes_each_time(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    assert fingerprint(tune(card, photos, cache_gib=1e-6)[0]) == fingerprint(tune(card, photos, cache_gib=1e-6)[0])


def test_a_streamed_image_that_changes_meanwhile_is_refused(card: SourceCard, photos: tuple[Path, pd.DataFrame], tmp_path: Path) -> None:
    folder, table = photos
    with pytest.raises(DataError, match="run again"):
        tune(card, (folder, table.assign(sha256="0" * 64)), cache_gib=1e-6)


def test_older_activations_make_room(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    needed = tune(card, photos, epochs=1)[0].summary["cache_bytes"]
    first = {path.name for path in extraction.FOLDER.iterdir()}
    tune(card, photos, epochs=1, depth=1, cache_gib=(needed + 100) / 2**30)  # other layers: their stores, and no room for the old ones
    assert not first & {path.name for path in extraction.FOLDER.iterdir()}


def test_gradual_goes_no_deeper_where_it_brings_nothing(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    done, same = tune(card, photos, strategy="gradual", depth=3, epochs=1, rate=1e-12)
    assert [(p["name"], p["best_epoch"]) for p in done.summary["phases"]] == [("last 1", 0)]
    assert [row["epoch"] for row in done.curve] == [0, 1]
    assert all(same.values())
    deeper, _ = tune(card, photos, strategy="gradual", depth=3, epochs=1)
    assert [p["name"] for p in deeper.summary["phases"]][:2] == ["last 1", "last 2"]


@pytest.mark.usefixtures("forked")
def test_two_processes_train_as_one(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    """Each works on half of every batch: other sums of the same numbers, so all weights agree to 1e-5 after two epochs that move them."""
    one, two = tune(card, photos)[0], tune(card, photos, processes=2)[0]
    assert (one.summary["processes"], two.summary["processes"]) == (1, 2)
    assert one.summary["phases"][0]["best_epoch"] == two.summary["phases"][0]["best_epoch"] > 0
    assert moved(one, card) > 1e-3
    assert closest(one, two) < 1e-5
    for ours, theirs in zip(one.curve, two.curve, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    assert two.summary["image_passes"] == one.summary["image_passes"]
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("forked")
def test_a_process_that_cannot_go_on_stops_all(
    card: SourceCard, photos: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = fine_tuning._prepare

    def then_lose_the_source(given: Any) -> Any:
        made = prepare(given)
        shutil.rmtree("source")
        return made

    monkeypatch.setattr(fine_tuning, "_prepare", then_lose_the_source)
    with pytest.raises(HeadstartError, match="a process of the team stopped"):
        tune(card, photos, processes=2)


def test_more_processes_than_gpus_are_refused_before_anything_is_computed(card: SourceCard, photos: tuple[Path, pd.DataFrame]) -> None:
    plan, device = replace(PLAN, processes=64), Device("cuda", "float32")
    with pytest.raises(ParamsError, match=r"fine_tune\.processes"):
        fine_tuning.run(photos[1], photos[0], card, tiny.head(4), CLASSES, plan, device=device)


def test_a_plan_is_what_its_block_says() -> None:
    """Every field of the block is in the plan or in its recipe, under its own name or as the numbers that it stands for."""
    table = pd.DataFrame({"split": ["train"] * 4 + ["test"], "label": ["ant", "bee", "bee", "bee", "ant"]})
    block = FineTune(
        depth=2, epochs=7, patience=3, class_weights="balanced", regulariser="bss", views=4, processes=2, statistics="batch", keep="last"
    )
    plan = fine_tuning.plan_of(block, table, ["ant", "bee"], 5)
    named = {**vars(plan), **vars(plan.recipe), "regulariser_strength": plan.recipe.strength}
    same = set(FineTune.model_fields) - {"class_weights", "augmentation", "passes", "whole"}  # which is tuning.py's
    assert plan.augmentation == Augmentation(), "what is left to auto has not been measured here"
    assert {name: named[name] for name in same} == {name: getattr(block, name) for name in same}
    assert (plan.recipe.seed, plan.recipe.class_weights.tolist()) == (5, [2, pytest.approx(2 / 3)])


@pytest.mark.parametrize(("images", "batch"), [(100, 16), (1_023, 16), (1_024, 32), (4_096, 128), (10**6, 128)])
def test_a_card_gets_larger_batches_as_far_as_an_epoch_keeps_its_steps(images: int, batch: int) -> None:
    plan = fine_tuning.on_card(PLAN, images)
    assert plan.recipe.batch_size == batch
    assert plan.rate == pytest.approx(PLAN.rate * (batch / 16) ** 0.5)
    assert fine_tuning.on_card(replace(PLAN, gpu_batch_size=8), images) == replace(PLAN, gpu_batch_size=8)


def as_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the frozen layers run as a card runs them, on the CPU."""

    def build(make: Any, size: int, key: str, folder: Path, device: Device, *_: Any) -> engines.Engine:
        return engines.batches("card", Batched(make(), device, on=device.all(), batch=8))

    monkeypatch.setattr(engines, "build", build)


def test_a_card_draws_views_anew_where_activations_are_larger_than_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, small = (
        View(224, "bilinear", 0.875),
        extraction.Frozen("a", 224, engines.Engine("cpu", 1, lambda images: images), (1024, 28, 28)),
    )
    as_a_card(monkeypatch)
    card = extraction.Frozen("a", 224, engines.build(tiny.conv, 224, "a", Path(), CPU), (1024, 28, 28))
    assert fine_tuning.draws_anew(PLAN, card, plain)
    assert not fine_tuning.draws_anew(PLAN, replace(card, shape=(196, 384)), plain)
    assert not fine_tuning.draws_anew(PLAN, small, plain)
    assert fine_tuning.draws_anew(replace(PLAN, views="fresh"), small, plain)


def test_fresh_views_of_a_card_train_as_those_of_a_cpu(
    card: SourceCard, photos: tuple[Path, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pictures are decoded once for all epochs; what is left between both is the rounding of views (looking.TOLERANCE)."""
    monkeypatch.chdir(tmp_path)
    expected, as_source = tune(card, photos, views="fresh", epochs=3)
    as_a_card(monkeypatch)
    decoded: list[str] = []
    picture = pictures._picture
    monkeypatch.setattr(pictures, "_picture", lambda one, *rest: decoded.append(one.sha256) or picture(one, *rest))
    done, kept = tune(card, photos, views="fresh", epochs=3)
    seen = photos[1][photos[1]["split"] != "test"]
    assert sorted(decoded) == sorted(set(seen["sha256"]))
    assert (done.summary["views"], done.summary["streamed"], done.summary["engine"]) == (3, True, "card")
    assert kept == as_source
    for ours, theirs in zip(done.curve, expected.curve, strict=True):
        assert ours["validation_loss"] == pytest.approx(theirs["validation_loss"], abs=0.05)
    assert np.abs(done.logits - expected.logits).max() < 0.2


def test_class_weights() -> None:
    labels = pd.Series(["b"] * 6 + ["a"] * 3 + ["c"])
    weights = fine_tuning.class_weights(labels, ["a", "b", "c"], balanced=True)
    assert weights == pytest.approx([10 / 9, 10 / 18, 10 / 3])
    assert fine_tuning.class_weights(labels, ["a", "b", "c"], balanced=False).tolist() == [1, 1, 1]
