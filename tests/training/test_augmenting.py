"""Which changes of the pictures keep their labels, on planted features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.networks.cards import SourceCard, Transform
from headstart.params import Augmentation, MeasuredAugmentation
from headstart.training import augmenting
from tests import tiny

CLASSES = ["six", "nine"]


def table(n: int) -> pd.DataFrame:
    names = [f"{number}.png" for number in range(n)]
    return pd.DataFrame({"path": names, "sha256": names, "label": [CLASSES[i % 2] for i in range(n)], "group": names, "split": "train"})


@pytest.fixture
def card() -> SourceCard:
    transform = Transform(32, tiny.MEAN, tiny.STD, "bilinear", 1.0)
    return SourceCard(
        name="toy", kind="wheel", library="timm", architecture="toy", transform=transform, weights_sha256="0", fixed_size=False, features=8
    )


def plant(patch: pytest.MonkeyPatch, tell: float = 2.0) -> list[list[str]]:
    """Mirroring top to bottom and turning make a nine of a six; mirroring left to right makes another six. Returns what was asked for.

    `tell`: how far apart the classes are, in standard deviations of a feature.
    """
    asked: list[list[str]] = []

    def features(names: list[str], some: pd.DataFrame, root: Path, card: SourceCard, device: object) -> list[np.ndarray]:
        asked.append(names)
        random = np.random.default_rng(0)
        side = np.where(some["label"] == "six", 1.0, -1.0)
        signs = {"horizontal_flip": 1, "vertical_flip": -1, "quarter_turns": -1}

        def drawn(sign: int) -> np.ndarray:
            return random.normal(size=(len(some), 8)).astype(np.float32) + tell * (sign * side)[:, None].astype(np.float32) * (
                np.arange(8) == 0
            )

        return [drawn(1), *(drawn(signs[name]) for name in names)]

    patch.setattr(augmenting, "_features", features)
    return asked


def test_what_keeps_the_labels_is_done_and_nothing_else(card: SourceCard, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    changes = augmenting.measure(table(400), Path(), card, CLASSES, seed=0)
    assert drawn(changes, rotation=5) == Augmentation(rotation=5, horizontal_flip=True, vertical_flip=False, quarter_turns=False)
    assert [(change["change"], change["source"], change["n"], change["made"]) for change in changes] == [
        ("horizontal_flip", "toy", 400, True),
        ("vertical_flip", "toy", 400, False),
        ("quarter_turns", "toy", 400, False),
    ]
    harmless, *harmful = (change["difference"] for change in changes)
    assert abs(harmless) < 0.03
    assert max(harmful) < -0.5
    assert all(0.95 < change["accuracy"] < 1 for change in changes)


def test_few_images_show_nothing(card: SourceCard, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, tell=5.0)
    few = augmenting.measure(table(40), Path(), card, CLASSES, seed=0)
    assert few[0]["difference"] == 0
    assert drawn(few) == Augmentation()
    assert drawn(augmenting.measure(table(80), Path(), card, CLASSES, seed=0)).horizontal_flip


def test_what_makes_all_pictures_unlike_the_plain_ones_is_not_done(card: SourceCard, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    features = augmenting._features

    def moved(*arguments: Any) -> list[np.ndarray]:
        plain, *changed = features(*arguments)
        return [plain, *(each + 10 for each in changed)]

    monkeypatch.setattr(augmenting, "_features", moved)
    changes = augmenting.measure(table(400), Path(), card, CLASSES, seed=0)
    assert [change["made"] for change in changes] == [False, False, False]
    assert changes[0]["difference"] < -0.3, "though mirroring keeps the labels"


def test_what_is_said_is_done_whatever_was_measured(card: SourceCard, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    changes = augmenting.measure(table(400), Path(), card, CLASSES, seed=0)
    assert drawn(changes, horizontal_flip=False, vertical_flip=True) == Augmentation(horizontal_flip=False, vertical_flip=True)
    assert drawn([]) == Augmentation(), "what was not measured is not made"


def test_random_weights_show_nothing(card: SourceCard, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = plant(monkeypatch)
    assert augmenting.measure(table(400), Path(), replace(card, features=None), CLASSES, seed=0) == []
    assert asked == []


def drawn(changes: list[augmenting.Change], **block: Any) -> Augmentation:
    """How views are drawn after these changes were measured."""
    return augmenting.settled(MeasuredAugmentation(**block), changes).settled()
