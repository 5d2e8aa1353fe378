"""headstart.training.refitting: the same training on train and validation together, for as long, at the temperature that validation gave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.base import weights
from headstart.networks import sources
from headstart.networks.cards import SourceCard
from headstart.networks.heads import Head
from headstart.params import FineTune
from headstart.training import fine_tuning, refitting
from headstart.training.outcome import Result
from tests import tiny

CLASSES = ["ant", "bee", "cat"]
BLOCK = FineTune(depth=2, epochs=4, rate=1e-3, views=2)


@dataclass(frozen=True)
class Begun:
    """A training on the train split alone, and what it was given."""

    given: tuple[pd.DataFrame, Path, SourceCard, Head, list[str]]
    alone: Result

    def again(self, **known: Any) -> dict[str, np.ndarray] | None:
        """The training on train and validation, after one of which all this is known, and `phase` of its only phase."""
        phases = [{**self.alone.summary["phases"][0], **known.pop("phase")}]
        summary: Any = {**self.alone.summary, "phases": phases, **known}
        return refitting.refit(*self.given, BLOCK, summary, seed=0)


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begun:
    monkeypatch.chdir(tmp_path)
    table = tiny.table(tmp_path / "images", per_class=10, size=48)
    card = sources.load(tiny.checkpoint(Path("source"))).card()
    given = (table, tmp_path / "images", card, tiny.head(card.features or 0), CLASSES)
    return Begun(given, fine_tuning.run(*given, fine_tuning.plan_of(BLOCK, table, CLASSES, 0)))


def test_it_learns_from_validation_images_for_as_many_epochs(begun: Begun, monkeypatch: pytest.MonkeyPatch) -> None:
    table, alone = begun.given[0], begun.alone
    seen = []
    run = fine_tuning.run

    def watched(*given, **more):  # type: ignore[no-untyped-def]
        seen.append(run(*given, **more))
        return seen[-1]

    monkeypatch.setattr(fine_tuning, "run", watched)
    known = {"temperature": 2.5, "phase": {"best_epoch": 3}}
    made = begun.again(**known)
    assert made is not None
    done = seen[0]
    assert done.summary["image_passes"] == 3 * int((table["split"] != "test").sum())
    assert made.keys() == alone.network.weights().keys()
    assert not np.array_equal(made["fc.weight"], alone.network.weights()["fc.weight"].numpy())
    np.testing.assert_allclose(done.network.weights()["fc.weight"].numpy(), made["fc.weight"], rtol=1e-6)
    assert weights.digest(begun.again(**known) or {}) == weights.digest(made)
    assert (table["split"] == "validation").any(), "the table that was given stays as it is"


def test_the_temperature_is_the_one_that_validation_gave(begun: Begun) -> None:
    made = [begun.again(temperature=temperature, phase={"best_epoch": 2}) or {} for temperature in (1.0, 4.0)]
    np.testing.assert_allclose(made[0]["fc.weight"], 4 * made[1]["fc.weight"], rtol=1e-5)
    assert np.array_equal(made[0]["layer4.0.conv1.weight"], made[1]["layer4.0.conv1.weight"])


def test_a_training_that_has_been_lost_gives_nothing(begun: Begun) -> None:
    """It knows what it has learned from less well than the network that never saw it."""
    for loss, lost in ((0.0, True), (100.0, False)):
        assert (begun.again(phase={"best_epoch": 2, "validation_loss": loss}) is None) is lost
