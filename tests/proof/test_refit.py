"""headstart.proof.refit: what ships is fitted once more if it has been fine-tuned and images are few; its parts are put together as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.data.folding import ENOUGH_IMAGES
from headstart.networks import heads, kept
from headstart.networks.cards import SourceCard, Transform
from headstart.networks.heads import Head
from headstart.params import FineTune
from headstart.proof import refit
from headstart.proof.contenders import AVERAGE, BOTH, FINE_TUNED, HEAD, SCRATCH, Contender, DataSet
from headstart.training import refitting

CARD = SourceCard("toy", "timm", "timm", "toy", Transform(64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic", 1.0), "0" * 64)


def data(validation: int) -> DataSet:
    return DataSet(pd.DataFrame({"split": ["train"] * 9 + ["validation"] * validation, "label": "a"}), Path(), ["a", "b"])


@pytest.mark.parametrize(
    ("asked", "name", "validation", "wanted"),
    [
        ("auto", FINE_TUNED, ENOUGH_IMAGES - 1, True),
        ("auto", BOTH, 9, True),
        ("auto", AVERAGE, 9, True),
        ("auto", HEAD, 9, False),
        ("auto", SCRATCH, 9, False),
        ("auto", FINE_TUNED, ENOUGH_IMAGES, False),
        (True, FINE_TUNED, ENOUGH_IMAGES, True),
        (True, HEAD, 9, False),
        (False, FINE_TUNED, 9, False),
    ],
)
def test_it_is_done_for_what_was_fine_tuned_on_few_images(asked: bool | str, name: str, validation: int, wanted: bool) -> None:
    ships = Contender(name, {}, CARD, np.zeros((1, 2)))
    assert refit.wanted(asked, ships, data(validation)) is wanted


@pytest.mark.parametrize(("name", "mix"), [(FINE_TUNED, None), (AVERAGE, 0.25), (BOTH, 0.25)])
def test_its_parts_are_put_together_as_they_were(name: str, mix: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = {"conv": np.full(2, 8, np.float32), "fc.weight": np.full((2, 3), 4, np.float32), "fc.bias": np.full(2, 4, np.float32)}
    monkeypatch.setattr(refitting, "refit", lambda *given, **more: tuned)
    monkeypatch.setattr(kept, "of_source", lambda card: {"conv": np.zeros(2, np.float32)})
    heads.save(tmp_path / "head.safetensors", {"final": Head(np.full((2, 3), 2, np.float32), np.zeros(2, np.float32))})
    ships = Contender(name, {}, CARD, np.zeros((1, 2)), mix)
    found = refit.refit(ships, data(9), CARD, tmp_path, FineTune(), {}, seed=0)  # type: ignore[arg-type,typeddict-item]
    assert found is not None
    if name == FINE_TUNED:
        assert found is tuned
    elif name == AVERAGE:
        assert (found["conv"][0], found["fc.weight"][0, 0], found["fc.bias"][0]) == (2, 2.5, 1)
    else:
        assert (found["first.conv"][0], found["second.conv"][0], found["fc.bias"][0]) == (0, 8, 1)
        assert found["fc.weight"].tolist() == [[1.5, 1.5, 1.5, 1, 1, 1]] * 2


def test_what_was_lost_is_not_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refitting, "refit", lambda *given, **more: None)
    heads.save(tmp_path / "head.safetensors", {"final": Head(np.ones((2, 3), np.float32), np.zeros(2, np.float32))})
    for name in (FINE_TUNED, AVERAGE, BOTH):
        ships = Contender(name, {}, CARD, np.zeros((1, 2)), 0.5)
        assert refit.refit(ships, data(9), CARD, tmp_path, FineTune(), {}, seed=0) is None  # type: ignore[arg-type,typeddict-item]
