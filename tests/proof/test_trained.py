"""headstart.proof.trained: real trainings of toy networks, in folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headstart.networks import sources
from headstart.params import Baseline, FineTune, TrainHead
from headstart.proof import contenders, trained
from headstart.statistics.records import Record
from headstart.training import designs
from tests import tiny

BLOCKS = trained.Blocks(TrainHead(folds=2), FineTune(epochs=1, views=1, depth=1), Baseline(epochs=1, views=1, batch_size=8))


@pytest.mark.parametrize("unfrozen", [False, True], ids=["frozen head", "fine-tuned"])
def test_each_image_of_train_and_validation_is_held_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unfrozen: bool) -> None:
    monkeypatch.chdir(tmp_path)
    data = contenders.DataSet(tiny.table(Path("images"), per_class=10), Path("images"), ["ant", "bee", "cat"])
    card = sources.load(tiny.checkpoint(Path("source"))).card().at(32)
    held = data.validation["sha256"].to_numpy(str)
    learned = not unfrozen  # the random network, on the validation split
    known = Record(held, np.zeros((1 + learned, len(held)), bool), np.arange(1 + learned), int(learned))
    design = designs.random_card(card.design, 32, 0).design
    ours, theirs = trained.folds(data, card, design, BLOCKS, known, unfrozen=unfrozen, seed=0)
    both = data.table[data.table["split"] != "test"]["sha256"]
    assert sorted(np.concatenate([one.images for one in ours.values()])) == sorted(both)
    assert sorted(ours) == sorted(theirs) == [(0, number) for number in range(designs.FOLDS)]
    assert theirs[0, 0] is known, "what was trained already is not trained again"
    assert {len(one.right) for one in ours.values()} == {2 if unfrozen else 1}
    assert {len(one.right) for one in theirs.values() if one is not known} == {2 if learned else 1}, "it trains if that brought anything"
    assert all(np.array_equal(np.sort(ours[at].images), np.sort(theirs[at].images)) for at in ours)
    assert np.mean([one.right[one.best].mean() for one in ours.values()]) > 0.8, "toy classes differ by colour"
