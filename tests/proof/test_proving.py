"""headstart.proof.proving: the answer speaks of what ships, and says what would tell if images are too few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.networks.cards import SourceCard, Transform
from headstart.params import FineTune, TrainHead
from headstart.proof import proving
from headstart.proof.contenders import Contender, DataSet
from headstart.statistics.records import Record

CARD = SourceCard("toy", "timm", "timm", "toy", Transform(64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic", 1.0), "0" * 64)


def data(n: int) -> DataSet:
    """n validation images of two classes, and four times as many to train on."""
    splits = ["validation"] * n + ["train"] * (4 * n)
    rows = range(len(splits))
    table = pd.DataFrame({"path": [f"{i:04}.png" for i in rows], "label": ["ab"[i % 2] for i in rows], "group": rows, "split": splits})
    return DataSet(table.assign(sha256=[f"{i:064x}" for i in rows]), Path(), ["a", "b"])


def record(some: DataSet, *shares: float) -> Record:
    """A row for each share of validation images that are right."""
    n = len(some.validation)
    right = np.stack([np.arange(n) < round(share * n) for share in shares])
    return Record(some.validation["sha256"].to_numpy(str), right, 10 * np.arange(len(shares)), len(shares) - 1)


def contender(name: str, some: DataSet, share: float = 0.0) -> Contender:
    right = np.arange(len(some.labels)) < round(share * len(some.labels))
    return Contender(name, {}, CARD, np.eye(2)[np.where(right, some.labels, 1 - some.labels)], 0.5 if name == "average" else None)


def prove(some: DataSet, tuned: Record, random: dict[tuple[int, int], Record], ships: Contender) -> proving.Proof:
    block: dict[str, Any] = {"images": 2000, "size": 32, "seeds": 1, "label_curve": False, "level": 0.05, "margin": 0.01}
    return proving.prove(
        tuned, random, ships=ships, data=some, card=CARD, head=TrainHead(), block=FineTune(), resamples=100, seed=0, **block
    )


@pytest.mark.parametrize(
    ("ships", "of", "first", "words"),
    [
        ("head", "head", 0.8, "the frozen head 80.0% of 80 held-out images right, the network from random weights 50.0%"),
        ("fine_tuned", "fine_tuned", 0.9, "the fine-tuned model 90.0%"),
        ("scratch", "fine_tuned", 0.9, "the fine-tuned model 90.0%"),
        ("average", "average", 0.95, "the average with 50% fine-tuned weights 95.0%"),
        ("l2_sp", "l2_sp", 0.95, "L2-SP 95.0%"),
    ],
)
def test_the_answer_is_about_what_ships(ships: str, of: str, first: float, words: str) -> None:
    some = data(80)
    proof = prove(some, record(some, 0.8, 0.9), {(0, 0): record(some, 0.3, 0.5)}, contender(ships, some, 0.95))
    assert proof["of"] == of
    assert proof["pretrained_against_random"]["asymptote"]["first"] == pytest.approx(first)
    assert proof["evidence"].startswith(words)
    assert (proof["answer"], proof["settle"]) == ("positive", "")
    assert proof["fine_tuned_against_head"]["asymptote"]["first"] == pytest.approx(0.9)


def test_what_would_tell_is_said_where_images_are_too_few() -> None:
    some = data(9)
    proof = prove(some, record(some, 0.8, 0.89), {(0, 0): record(some, 0.3, 0.78)}, contender("fine_tuned", some))
    assert proof["answer"] == "too_few"
    needed = proof["pretrained_against_random"]["needed"]
    assert needed is not None
    assert proof["settle"].startswith(f"About {needed} held-out images would tell")
    assert "holds out each of the 45 training and validation images once" in proof["settle"]


def test_without_a_baseline_transfer_is_not_tested() -> None:
    some = data(80)
    proof = prove(some, record(some, 0.8, 0.9), {}, contender("head", some))
    assert proof["answer"] == "not tested"
    assert "baseline.epochs is 0" in proof["evidence"]
    assert "pretrained_against_random" not in proof


@pytest.mark.parametrize("ships", ["head", "scratch"])
def test_where_nothing_was_unfrozen_nothing_is_compared_with_the_head(ships: str) -> None:
    some = data(80)
    proof = prove(some, record(some, 0.8), {(0, 0): record(some, 0.3, 0.5)}, contender(ships, some))
    assert proof["of"] == "head"
    assert "fine_tuned_against_head" not in proof
