"""Images without labels join the heads only if left-out images show that it helps, and never one that looks like a test image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.base.devices import CPU
from headstart.indexing import indexer, partly
from headstart.linear import frozen_head, joining, self_training
from headstart.linear.joining import Joining
from headstart.networks.cards import SourceCard
from tests import tiny, toy

SETTINGS: dict[str, Any] = {"penalties": [10.0, 1.0], "folds": 3, "balanced": False, "seed": 0}
ROOT = Path("images")


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceCard:
    monkeypatch.chdir(tmp_path)
    tiny.use(monkeypatch, {"seeing": lambda: tiny.source("seeing", tiny.trunk())})
    return tiny.source("seeing", tiny.trunk()).card()


@pytest.fixture
def tables(card: SourceCard) -> tuple[pd.DataFrame, pd.DataFrame]:
    table = tiny.table(ROOT, per_class=10)
    toy.images(ROOT / ".rest", per_class=15, seed=7)
    rest = indexer.index_unlabelled(ROOT, sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / ".rest").rglob("*.png")), 10**8)
    return table, partly.settled(table, rest, 4, 20)


def train(tables: tuple[pd.DataFrame, pd.DataFrame], card: SourceCard, when: str, most: int = 1_000) -> Any:
    table, rest = tables
    return frozen_head.train(table, ROOT, card, without=Joining(rest, when, most), **SETTINGS)


def test_they_teach_both_heads_if_they_always_do(tables: tuple[pd.DataFrame, pd.DataFrame], card: SourceCard) -> None:
    alone, before = frozen_head.train(tables[0], ROOT, card, **SETTINGS)
    made, summary = train(tables, card, "always")
    told = summary["self_training"]
    assert (told["joined"], told["images"], told["held_out"], told["left_out"]) == (True, 45, 0, summary["final"]["n"])
    assert "train_head.self_training is always" in told["reason"]
    assert sum(told["per_class"].values()) == told["learned"] > 30
    assert all(np.abs(made[name].weight - alone[name].weight).max() > 1e-4 for name in ("final", "train_only"))
    assert made["final"].held_out.shape == alone["final"].held_out.shape  # type: ignore[union-attr]
    assert summary["final"] == before["final"], "the penalty is that of the labels alone"
    assert "self_training" not in before


def test_labels_alone_stay_if_it_is_not_shown(
    tables: tuple[pd.DataFrame, pd.DataFrame], card: SourceCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, _ = frozen_head.train(tables[0], ROOT, card, **SETTINGS)
    compared = self_training.compared
    for helps in (False, True):

        def found(*given: Any, helps: bool = helps) -> self_training.Compared:
            side = compared(*given)
            return self_training.Compared(helps, "as planted", side.alone, side.taught, side.difference)

        monkeypatch.setattr(self_training, "compared", found)
        made, summary = train(tables, card, "if_shown")
        assert (summary["self_training"]["joined"], summary["self_training"]["reason"]) == (helps, "as planted")
        assert np.array_equal(made["final"].weight, alone["final"].weight) is not helps
        assert summary["self_training"]["labels_alone"] is not None


def test_never_computes_nothing_of_them(tables: tuple[pd.DataFrame, pd.DataFrame], card: SourceCard) -> None:
    table, rest = tables
    _, summary = train((table, rest.assign(path="gone.png")), card, "never")
    assert summary["self_training"]["reason"] == "train_head.self_training is never"
    assert summary["self_training"]["difference"] == []


def test_what_looks_like_a_test_image_is_not_in_the_pool(tables: tuple[pd.DataFrame, pd.DataFrame], card: SourceCard) -> None:
    table, rest = tables
    tested = table.loc[table["split"] == "test", "group"].iloc[0]
    rest.loc[3, "group"] = tested
    found = joining.pool(Joining(rest, "always", 1_000), table, ROOT, card, seed=0, device=CPU)
    assert (found.images, found.held_out, len(found.pool.groups)) == (45, 1, 44)
    assert tested not in found.pool.groups
    assert len(joining.pool(Joining(rest, "always", 20), table, ROOT, card, seed=0, device=CPU).pool.groups) == 20


def test_too_few_of_one_kind_or_many_of_the_other(
    tables: tuple[pd.DataFrame, pd.DataFrame], card: SourceCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, rest = tables
    _, summary = train((table, rest.head(4)), card, "always")
    assert summary["self_training"]["reason"] == "there are 4 that may teach; fewer than 10 teach nothing"
    monkeypatch.setattr(joining, "MOST", 5)
    assert "beside more than 5 they teach little" in train(tables, card, "always")[1]["self_training"]["reason"]
