"""headstart.evaluation.limits: chosen on validation, checked on test, from the network that ships."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headstart.data import encoding
from headstart.evaluation import limits, test_split
from headstart.features import of_source
from headstart.linear import frozen_head
from headstart.networks import model, sources
from headstart.statistics import likelihood, operating
from headstart.statistics import limits as cuts
from tests import tiny

CLASSES = ["ant", "bee", "cat"]
HOW = {"by": "coverage", "asked": 0.7, "false_alarms": 0.1, "seed": 0}


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, test_split.Model, dict[str, limits.Limits]]:
    """The limits of the frozen head, and of the same network as one that is run as a whole."""
    folder = tmp_path_factory.mktemp("limits")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        table = tiny.table(folder / "images", per_class=30)
        card = sources.load(tiny.checkpoint(folder / "source")).card()
        made, _ = frozen_head.train(table, folder / "images", card, penalties=[1.0, 0.1], folds=3, balanced=False, seed=0)
        network = model.of(sources.load(card.name), made["train_only"])
        whole = {key: value.numpy() for key, value in network.weights().items()}
        point, found = operating.plain(3), {}
        for name in ("head", "fine_tuned"):
            chosen = test_split.Model(name, whole, card)
            twins = made["train_only"], made["final"] if name == "head" else made["train_only"]
            found[name] = limits.choose(table, folder / "images", chosen, *twins, CLASSES, point, **HOW)  # type: ignore[arg-type]
        held, test = (table[table["split"] == split].reset_index(drop=True) for split in ("validation", "test"))
        features = [of_source.of_source(card, rows, folder / "images")[:].astype(np.float32) for rows in (held, test)]
        sure = cuts.confidence(likelihood.softmax(made["train_only"].logits(features[0])))
        right = likelihood.softmax(made["train_only"].logits(features[0])).argmax(1) == encoding.encode(held["label"], CLASSES)
        expected = cuts.choose_unsure(sure, right, "coverage", 0.7)
        assert found["head"].unsure == expected
    return folder, chosen, found


def test_the_head_answers_through_its_twin_and_false_alarms_are_counted_on_test(
    setting: tuple[Path, test_split.Model, dict[str, limits.Limits]],
) -> None:
    for found in setting[2].values():
        assert found.unlike is not None
        assert found.known is not None
        assert (found.unlike.false_alarms, found.unlike.neighbours) == (0.1, limits.NEIGHBOURS)
        assert found.known.dtype == np.float16
        np.testing.assert_allclose(np.linalg.norm(found.known.astype(np.float32), axis=1), 1, atol=1e-2)
        assert 0 <= found.tested["answered"] <= 1
        assert found.tested["false_alarms"] is not None
        assert found.tested["false_alarms"] <= 0.5


def test_a_whole_network_and_the_frozen_one_have_the_same_limits(
    setting: tuple[Path, test_split.Model, dict[str, limits.Limits]],
) -> None:
    head, whole = setting[2]["head"], setting[2]["fine_tuned"]
    assert head.unlike is not None
    assert whole.unlike is not None
    assert head.unlike.distance == pytest.approx(whole.unlike.distance, rel=0.05, abs=1e-4)
    assert head.unsure.confidence == pytest.approx(whole.unsure.confidence, abs=0.01)


def test_what_learned_from_validation_images_answers_through_its_twin(
    setting: tuple[Path, test_split.Model, dict[str, limits.Limits]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, chosen, found = setting
    monkeypatch.chdir(folder)
    table, known = tiny.table(folder / "images", per_class=30), found["fine_tuned"]
    sure = {**chosen.weights, "fc.weight": 9 * chosen.weights["fc.weight"]}
    made, _ = frozen_head.train(table, folder / "images", chosen.card, penalties=[1.0, 0.1], folds=3, balanced=False, seed=0)
    again = replace(chosen, weights=sure, twin=chosen.weights)
    now = limits.choose(table, folder / "images", again, made["train_only"], made["final"], CLASSES, operating.plain(3), **HOW)  # type: ignore[arg-type]
    assert (now.unsure, now.unlike) == (known.unsure, known.unlike), "as its twin was on the validation images"
    assert now.tested["answered"] >= known.tested["answered"], "what ships is surer, on the test images"


def test_few_validation_images_give_no_threshold() -> None:
    assert cuts.conformal(np.arange(8.0), 0.1) is None
