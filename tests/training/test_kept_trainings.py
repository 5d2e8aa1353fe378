"""headstart.training.checkpoints in use: fine-tuning, networks from random weights and sources of one's own go on where they were killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from headstart.base import weights
from headstart.developing import develop
from headstart.indexing import indexer
from headstart.networks import sources
from headstart.params.developing import RANDOM, TrainSource
from headstart.training.checkpoints import Keeper, keeping
from tests import tiny, toy
from tests.training import test_fine_tuning, test_scratch
from tests.training.kept import FOLDER, Killed, epochs, killed_after_each

pytestmark = pytest.mark.usefixtures("checkpoints_always")
PHOTOS: dict[str, Any] = {"per_class": 10, "size": 48}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("photos")
    return folder, tiny.table(folder, **PHOTOS)


def test_fine_tuning_goes_on_to_the_same_bytes(photos: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    card = sources.load(tiny.checkpoint(Path("source"))).card()

    def tune() -> str:
        return test_fine_tuning.fingerprint(test_fine_tuning.tune(card, photos, strategy="gradual", epochs=3)[0])

    expected = tune()
    begun = epochs(monkeypatch)
    assert killed_after_each(monkeypatch, tune) == (expected, len(begun) + 1)
    assert len(begun) >= 6


@pytest.mark.usefixtures("forked")
def test_a_team_of_processes_goes_on_to_the_same_bytes(photos: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    card = sources.load(tiny.checkpoint(Path("source"))).card()
    write = Keeper.write

    def tune() -> str:
        with keeping(FOLDER):
            return test_fine_tuning.fingerprint(test_fine_tuning.tune(card, photos, strategy="full", epochs=3, processes=2)[0])

    def die(self: Keeper, *given: Any) -> None:
        write(self, *given)
        raise Killed

    expected = tune()
    monkeypatch.setattr(Keeper, "write", die)
    with pytest.raises(Killed):
        tune()
    monkeypatch.setattr(Keeper, "write", write)
    begun = epochs(monkeypatch)
    assert tune() == expected
    assert begun == [2, 3]


@pytest.fixture(scope="module")
def striped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("striped")
    test_scratch.stripes(folder)
    return folder, indexer.index(folder, **toy.INDEX)


def test_trainings_of_one_stage_go_on_one_after_the_other(striped: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """As the cells of a baseline: what was finished before the kill is not done again."""

    def cells() -> list[tuple[str, str, str]]:
        done = [test_scratch.train(striped, seed=seed) for seed in (0, 1)]
        return [(test_scratch.digest(one), str(one.curve), str(one.summary)) for one in done]

    expected = cells()
    assert expected[0] != expected[1]
    begun = epochs(monkeypatch)
    assert killed_after_each(monkeypatch, cells) == (expected, 6)
    assert begun == [1, 2] * 2


@pytest.mark.parametrize("start", [RANDOM, "candidate"])
def test_a_source_of_ones_own_goes_on_to_the_same_bytes(
    start: str, striped: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    if start != RANDOM:
        start = tiny.checkpoint(Path("source"), size=32)
    plan = TrainSource(
        start=start,
        architecture="timm:test_resnet" if start == RANDOM else None,
        input_size=32,
        depth=2,
        epochs=3,
        batch_size=16,
        views=1,
        cache_gib=1.0,
        augmentation=test_scratch.AUGMENTATION,
    )

    def train() -> tuple[str, str, str]:
        done = develop.train(striped[1], striped[0], plan, seed=0)
        return weights.digest(done.network.weights()), str(done.curve), str(done.summary)

    expected = train()
    assert killed_after_each(monkeypatch, train) == (expected, 4)
