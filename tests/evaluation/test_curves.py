"""headstart.evaluation.curves: what other operating points would give."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.evaluation import curves
from headstart.statistics import operating
from headstart.statistics.goals import ACCURACY, Goal
from headstart.statistics.operating import Point

CLASSES = ["cracked", "sound"]
PROBABILITIES = np.array([0.9, 0.7, 0.6, 0.4, 0.2, 0.1])[:, None] * [1, -1] + [0, 1]
LABELS = np.array([0, 1, 0, 0, 1, 1])


def test_every_cut_of_the_rarer_class_and_the_chosen_one() -> None:
    table = curves.table(ACCURACY, operating.plain(2), PROBABILITIES, LABELS, CLASSES)
    cuts, chosen = table[~table["chosen"]], table[table["chosen"]]
    assert cuts["recall"].tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1, 1, 1])
    assert cuts["precision"].tolist() == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4, 3 / 5, 1 / 2])
    assert cuts["false_alarms"].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 2 / 3, 1])
    assert cuts["threshold"].tolist() == pytest.approx(PROBABILITIES[:, 0])
    assert chosen[["recall", "precision", "false_alarms", "threshold"]].to_numpy().tolist() == [pytest.approx([2 / 3, 2 / 3, 1 / 3, 0.5])]


@pytest.mark.parametrize("factors", [(2.0, 1.0), (4.0, 2.0), (1.0, 0.5)])
def test_of_two_classes_only_the_ratio_of_the_factors_counts(factors: tuple[float, float]) -> None:
    table = curves.table(Goal("recall", "cracked", 0.9), Point(factors), PROBABILITIES, LABELS, CLASSES)
    chosen = table[table["chosen"]].iloc[0]
    assert (chosen["recall"], chosen["threshold"]) == (1, pytest.approx(1 / 3))
    assert table["threshold"][:6].tolist() == pytest.approx(PROBABILITIES[:, 0])


def test_which_classes_and_how_many_points() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), [50, 40, 30, 20, 100, 0])
    names = list("abcdef")
    assert curves.shown(ACCURACY, labels, names) == [3, 2, 1, 0]
    assert curves.shown(Goal("precision", "e", 0.9), labels, names) == [4]
    p = random.dirichlet(np.ones(6), len(labels))
    table = curves.table(Goal("precision", "e", 0.9), operating.plain(6), p, labels, names)
    assert len(table) == curves.MOST + 1
    assert table["threshold"].isna().all()
    assert (table["recall"][: curves.MOST].diff().dropna() >= 0).all()
    assert table["recall"].iloc[curves.MOST - 1] == table["false_alarms"].iloc[curves.MOST - 1] == 1
