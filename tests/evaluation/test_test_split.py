"""headstart.evaluation: the test split alone, contenders side by side, and a card that says what ships."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from headstart.base import weights
from headstart.data import manifest
from headstart.evaluation import test_split
from headstart.evaluation.test_split import Evaluation
from headstart.features import transforms
from headstart.features.transforms import View
from headstart.linear import frozen_head
from headstart.networks import heads, model, sources
from headstart.networks.cards import ModelCard, SourceCard
from headstart.statistics.goals import Goal
from headstart.statistics.operating import Point
from headstart.words import naming
from tests import tiny

CLASSES = ["ant", "bee", "cat"]
SETTINGS: dict[str, Any] = {"bootstrap": 100, "bins": 10, "seed": 0}


class Setting:
    """A source with its heads, and fine-tuned weights that differ from the source's."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "images"
        self.table = tiny.table(self.root, per_class=15)
        self.card = sources.load(tiny.checkpoint(folder / "source")).card()
        made, _ = frozen_head.train(self.table, self.root, self.card, penalties=[1.0, 0.1], folds=3, balanced=False, seed=0)
        self.head = made["final"]
        heads.save(folder / "head.safetensors", made)
        self.tuned = model.of(sources.load(self.card.name), heads.load(folder / "head.safetensors", "train_only"))
        with torch.no_grad():
            for parameter in self.tuned.stages.get_submodule("layer4").parameters():
                parameter.mul_(1.1)
        self.weights = folder / "model.safetensors"
        model.save(self.weights, self.tuned)

    def evaluate(
        self,
        ships: str = "fine_tuned",
        card: SourceCard | None = None,
        *,
        scratch: bool = False,
        tuning: bool = True,
        temperature: float | None = None,
        **aim: Any,
    ) -> Evaluation:
        source = card or self.card
        parameters = {"select_source": {"folds": 5}, "train_head": {"folds": 3}, "fine_tune": {"depth": 2}}
        tuned = weights.read(self.weights)
        models = [test_split.Model("fine_tuned", tuned, source)] if tuning else []
        random = replace(self.card.at(32), name="random weights", weights_sha256="random:0")
        if scratch or ships == "scratch":
            models.append(test_split.Model("scratch", scaled(tuned, 0.5), random))
        made = {one.name: one for one in models}
        halved = test_split.Model(ships, scaled(tuned, 0.9), source)
        chosen = test_split.Model("head", tuned, source) if ships == "head" else made.get(ships, halved)
        chosen = replace(chosen, temperature=temperature)
        verdict = {"answer": "positive", "standing": "indicative", "settle": "", "of": ships, "ships": ships, "mix": None}
        verdict = {**verdict, "of": "fine_tuned"} if ships == "scratch" else verdict
        return test_split.evaluate(
            self.table, self.root, source, self.head, CLASSES, models, chosen, parameters=parameters, verdict=verdict, **SETTINGS, **aim
        )


def scaled(values: dict[str, np.ndarray], factor: float) -> dict[str, np.ndarray]:
    """The weights times a factor, counters as they are."""
    return {key: np.asarray(factor * value, value.dtype) if value.ndim else value for key, value in values.items()}


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """Only the test images are left on the disk."""
    folder = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = Setting(folder)
    for path in made.table[made.table["split"] != "test"]["path"]:
        (made.root / path).unlink()
    return made


@pytest.fixture(autouse=True)
def _here(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(setting.root.parent)


def probabilities(network: torch.nn.Module, setting: Setting, table: pd.DataFrame) -> np.ndarray:
    images = [transforms.read(setting.root / path, [View.of(setting.card.transform)], "")[0] for path in table["path"]]
    with torch.inference_mode():
        return network(torch.from_numpy(np.stack(images))).softmax(1).numpy()


@pytest.mark.parametrize("ships", ["head", "fine_tuned"])
def test_what_ships_is_measured_and_predicts_at_its_operating_point(ships: str, setting: Setting) -> None:
    goal, point = Goal("recall", "bee", 0.9), Point((1.0, 1e6, 1.0), 40, 0.95, 0.91, True)
    done = setting.evaluate(ships, goal=goal, points={ships: point})
    plain = setting.evaluate(ships)
    assert set(done.predictions["predicted"]) == {"bee"} == set(done.confusion["predicted"])
    np.testing.assert_allclose(done.predictions["label_probability"], plain.predictions["label_probability"])
    assert done.metrics["test"]["per_class"]["bee"]["recall"] == 1
    assert done.metrics["test"]["accuracy"] < plain.metrics["test"]["accuracy"]
    assert done.metrics["aim"]["goal"] == asdict(goal)
    reached = done.metrics["aim"]["reached"]
    assert reached is not None
    assert (reached["value"], reached["n"]) == (1, int((done.predictions["label"] == "bee").sum()))
    assert reached["interval"][0] < 1 == reached["interval"][1]
    again = ModelCard.from_json(json.loads(json.dumps(done.card.to_json())), Path("card.json"))
    assert (again.aim, again.point) == (goal, point)
    assert again.named(np.array([[0.9, 0.05, 0.05]])).tolist() == [1]
    assert done.metrics["test"]["ece"] == plain.metrics["test"]["ece"], "probabilities are what they were"
    chosen = done.thresholds[done.thresholds["chosen"]]
    assert chosen["label"].tolist() == ["bee"]
    assert chosen["recall"].tolist() == [1]


@pytest.mark.parametrize("ships", ["head", "fine_tuned"])
def test_both_contenders_are_measured_on_the_test_images_and_what_ships_is_named(ships: str, setting: Setting) -> None:
    done = setting.evaluate(ships)
    test = setting.table[setting.table["split"] == "test"].reset_index(drop=True)
    expected = {
        "head": probabilities(model.of(sources.load(setting.card.name), setting.head), setting, test),
        "fine_tuned": probabilities(setting.tuned, setting, test),
    }
    labels = test["label"].map(CLASSES.index).to_numpy()
    for name, values in expected.items():
        assert done.metrics[name]["accuracy"] == pytest.approx((values.argmax(1) == labels).mean())
    assert not np.allclose(expected["head"], expected["fine_tuned"], atol=1e-4)
    assert done.metrics["test"] == done.metrics[ships]
    assert done.metrics["shipped"] == done.card.shipped == ships
    table = done.predictions
    assert table["path"].tolist() == test["path"].tolist() == sorted(test["path"])
    assert table["label"].tolist() == test["label"].tolist()
    np.testing.assert_allclose(table["probability"], expected[ships].max(1), atol=1e-4)
    np.testing.assert_allclose(table["label_probability"], expected[ships][np.arange(len(test)), labels], atol=1e-4)
    np.testing.assert_allclose(table["head_probability"], expected["head"][np.arange(len(test)), expected["head"].argmax(1)], atol=1e-4)
    assert table["predicted"].tolist() == [CLASSES[i] for i in expected[ships].argmax(1)]
    assert (table["correct"] == (table["predicted"] == table["label"])).all()
    shipped = model.rebuild(done.card, {key: torch.from_numpy(value) for key, value in done.weights.items()})
    np.testing.assert_allclose(probabilities(shipped, setting, test), expected[ships], atol=1e-5)


def test_the_weights_that_ship_are_the_librarys(setting: Setting) -> None:
    tuned, with_head = (setting.evaluate(ships).weights for ships in ("fine_tuned", "head"))
    assert weights.digest(tuned) == weights.digest(setting.tuned.weights())
    assert weights.digest(with_head) == weights.digest(model.of(sources.load(setting.card.name), setting.head).weights())


def test_the_counts_and_the_plots_add_up(setting: Setting) -> None:
    done = setting.evaluate()
    sizes = setting.table["split"].value_counts()
    for split in ("train", "validation", "test"):
        assert done.metrics[f"n_{split}"] == sizes[split]
    assert done.metrics["classes"] == CLASSES
    assert (done.confusion["actual"] == done.predictions["label"]).all()
    assert (done.confusion["predicted"] == done.predictions["predicted"]).all()
    assert done.reliability["n"].sum() == sizes["test"]
    gaps = (done.reliability["accuracy"] - done.reliability["confidence"]).abs() * done.reliability["n"]
    assert done.metrics["test"]["ece"] <= gaps.sum() / sizes["test"] + 1e-9 or done.metrics["test"]["ece"] == pytest.approx(
        gaps.sum() / sizes["test"]
    )
    json.dumps(done.metrics, allow_nan=False)


def test_the_card_says_all_that_predict_and_a_reader_need(setting: Setting) -> None:
    done = setting.evaluate()
    card = json.loads(json.dumps(done.card.to_json(), allow_nan=False))
    assert card["format"] == 1
    assert card["classes"] == CLASSES
    assert (card["library"], card["architecture"], card["source"]) == ("timm", "test_resnet", setting.card.name)
    assert card["transform"] == {
        "input_size": 64,
        "mean": list(tiny.MEAN),
        "std": list(tiny.STD),
        "interpolation": "bilinear",
        "crop": 1.0,
    }
    assert card["weights_sha256"] == setting.card.weights_sha256
    assert card["parameters"] == {"select_source": {"folds": 5}, "train_head": {"folds": 3}, "fine_tune": {"depth": 2}}
    assert card["metrics"] == {key: done.metrics["test"][key] for key in ("accuracy", "balanced_accuracy", "macro_f1", "ece")}
    assert set(card["versions"]) >= {"torch", "timm", "onnxruntime"}
    assert card["data_sha256"] == manifest.split_hash(setting.table)
    made_from = setting.table[setting.table["split"] != "test"]["label"].value_counts(normalize=True)
    np.testing.assert_allclose(card["shares"], [made_from[name] for name in CLASSES])


def test_what_scaling_did_is_told(setting: Setting) -> None:
    done, plain = setting.evaluate("fine_tuned", temperature=2.0), setting.evaluate("fine_tuned")
    scaling = done.metrics["scaling"]
    assert "scaling" not in plain.metrics
    assert (scaling["temperature"], sum(one["n"] for one in scaling["bins"])) == (2.0, done.metrics["n_test"])
    sure = done.predictions["sure"].mean()
    assert np.average([one["confidence"] for one in scaling["bins"]], weights=[one["n"] for one in scaling["bins"]]) > sure, (
        "it was surer before"
    )


def test_it_is_the_same_each_time(setting: Setting) -> None:
    first, again = setting.evaluate(), setting.evaluate()
    assert first.metrics == again.metrics
    assert first.predictions.equals(again.predictions)
    assert weights.digest(first.weights) == weights.digest(again.weights)


def test_the_data_hash_tells_files_labels_and_splits(setting: Setting) -> None:
    table = setting.table
    others = [
        table.assign(sha256=["0" * 64, *table["sha256"][1:]]),
        table.assign(split=["train" if s == "test" else s for s in table["split"]]),
        table.assign(path=["ant/x.png", *table["path"][1:]]),
        table[1:],
    ]
    assert len({manifest.split_hash(t) for t in (table, *others)}) == 5
    assert manifest.split_hash(table) == manifest.split_hash(table.copy())
    assert manifest.data_hash(others[1]) == manifest.data_hash(table)


def test_a_changed_source_is_refused(setting: Setting) -> None:
    from headstart.machinery.errors import HeadstartError

    changed = replace(setting.card, weights_sha256="0" * 64)
    with pytest.raises(HeadstartError, match="have changed since it was chosen"):
        setting.evaluate("head", card=changed)


def test_an_average_that_ships_is_a_contender_of_its_own(setting: Setting) -> None:
    done = setting.evaluate("average")
    assert done.metrics["test"] == done.metrics["average"] != done.metrics["fine_tuned"]
    assert done.card.shipped == "average"
    assert done.card.source == setting.card.name
    assert done.metrics["transfer"] is None


def test_a_network_from_random_weights_ships_with_its_own_transform(setting: Setting) -> None:
    done = setting.evaluate("scratch")
    assert done.card.transform.input_size == 32
    assert done.card.source == "random weights"
    assert set(done.metrics) >= {"head", "fine_tuned", "scratch"}
    assert "average" not in done.metrics


def test_if_fine_tuning_brought_nothing_the_frozen_head_is_compared(setting: Setting) -> None:
    done = setting.evaluate("head", scratch=True, tuning=False)
    assert "fine_tuned" not in done.metrics
    difference = done.metrics["head"]["accuracy"] - done.metrics["scratch"]["accuracy"]
    assert done.metrics["transfer"]["asymptote"]["difference"] == pytest.approx(difference)


def test_the_test_images_confirm_or_contradict_and_change_nothing(setting: Setting) -> None:
    done = setting.evaluate("head", scratch=True)
    transfer = done.metrics["transfer"]
    difference = done.metrics["head"]["accuracy"] - done.metrics["scratch"]["accuracy"]
    assert transfer["asymptote"]["difference"] == pytest.approx(difference)
    assert transfer["verdict"] == "positive"
    expected = {"positive": "confirms", "none_shown": "leaves open", "too_few": "leaves open", "negative": "contradicts"}
    assert transfer["says"] == expected[transfer["answer"]]
    assert transfer["evidence"].startswith("the frozen head")
    assert done.metrics["shipped"] == "head"


@pytest.mark.parametrize(
    ("found", "answer", "says"),
    [
        ("positive", "positive", "confirms"),
        ("too_few", "too_few", "leaves open"),
        ("negative", "positive", "contradicts"),
        ("positive", "too_few", "answers positive"),
        ("negative", "none_shown", "answers negative"),
        ("too_few", "positive", "leaves open"),
        ("none_shown", "too_few", "leaves open"),
    ],
)
def test_what_test_images_say_of_an_answer(found: str, answer: str, says: str) -> None:
    """What they show is never beside the words that they leave it open."""
    assert test_split._says(found, answer) == says
    assert says in naming.TEST
