"""headstart.training.refitting: the same training on train and validation together, for as long, at the temperature that validation gave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headstart.base import weights
from headstart.networks import sources
from headstart.params import FineTune
from headstart.training import fine_tuning, refitting
from tests import tiny

CLASSES = ["ant", "bee", "cat"]
BLOCK = FineTune(depth=2, epochs=4, rate=1e-3, views=2)


def test_it_learns_from_validation_images_for_as_many_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = tiny.table(tmp_path / "images", per_class=10, size=48)
    card = sources.load(tiny.checkpoint(Path("source"))).card()
    head = tiny.head(card.features or 0)
    plan = fine_tuning.plan_of(BLOCK, table, CLASSES, 0)
    alone = fine_tuning.run(table, tmp_path / "images", card, head, CLASSES, plan)
    seen = []
    run = fine_tuning.run

    def watched(*given, **more):  # type: ignore[no-untyped-def]
        seen.append(run(*given, **more))
        return seen[-1]

    monkeypatch.setattr(fine_tuning, "run", watched)
    known = {**alone.summary, "temperature": 2.5, "phases": [{**alone.summary["phases"][0], "best_epoch": 3}]}

    def again() -> dict[str, np.ndarray]:
        return refitting.refit(table, tmp_path / "images", card, head, CLASSES, BLOCK, known, seed=0)  # type: ignore[arg-type]

    made = again()
    assert made is not None
    done = seen[0]
    assert done.summary["image_passes"] == 3 * int((table["split"] != "test").sum())
    assert made.keys() == alone.network.weights().keys()
    assert not np.array_equal(made["fc.weight"], alone.network.weights()["fc.weight"].numpy())
    np.testing.assert_allclose(done.network.weights()["fc.weight"].numpy(), made["fc.weight"], rtol=1e-6)
    assert weights.digest(again() or {}) == weights.digest(made)
    assert (table["split"] == "validation").any(), "the table that was given stays as it is"


def test_the_temperature_is_the_one_that_validation_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = tiny.table(tmp_path / "images", per_class=10, size=48)
    card = sources.load(tiny.checkpoint(Path("source"))).card()
    head = tiny.head(card.features or 0)
    alone = fine_tuning.run(table, tmp_path / "images", card, head, CLASSES, fine_tuning.plan_of(BLOCK, table, CLASSES, 0))
    made = []
    for temperature in (1.0, 4.0):
        known = {**alone.summary, "temperature": temperature, "phases": [{**alone.summary["phases"][0], "best_epoch": 2}]}
        made.append(refitting.refit(table, tmp_path / "images", card, head, CLASSES, BLOCK, known, seed=0))  # type: ignore[arg-type]
    np.testing.assert_allclose(made[0]["fc.weight"], 4 * made[1]["fc.weight"], rtol=1e-5)
    assert np.array_equal(made[0]["layer4.0.conv1.weight"], made[1]["layer4.0.conv1.weight"])


def test_a_training_that_has_been_lost_gives_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows what it has learned from less well than the network that never saw it."""
    monkeypatch.chdir(tmp_path)
    table = tiny.table(tmp_path / "images", per_class=10, size=48)
    card = sources.load(tiny.checkpoint(Path("source"))).card()
    head = tiny.head(card.features or 0)
    alone = fine_tuning.run(table, tmp_path / "images", card, head, CLASSES, fine_tuning.plan_of(BLOCK, table, CLASSES, 0))
    phase = {**alone.summary["phases"][0], "best_epoch": 2}
    for loss, lost in ((0.0, True), (100.0, False)):
        known = {**alone.summary, "phases": [{**phase, "validation_loss": loss}]}
        found = refitting.refit(table, tmp_path / "images", card, head, CLASSES, BLOCK, known, seed=0)  # type: ignore[arg-type]
        assert (found is None) is lost
