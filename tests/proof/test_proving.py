"""headstart.proof.proving: the answer speaks of what ships, and says what would tell if images are too few."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from headstart.networks.cards import SourceCard, Transform
from headstart.params import Baseline, FineTune, TrainHead, Verdict
from headstart.proof import proving, trained
from headstart.proof.contenders import Contender, DataSet
from headstart.proof.trained import Blocks
from headstart.statistics.records import Record, Records

Seeds = int | Literal["auto"]
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


def prove(some: DataSet, tuned: Record, random: Records, ships: Contender, seeds: Seeds = 1) -> proving.Proof:
    blocks, block = Blocks(TrainHead(), FineTune(), Baseline()), Verdict(seeds=seeds, resamples=100)
    return proving.prove(tuned, random, ships=ships, data=some, card=CARD, design=CARD.at(32).design, blocks=blocks, block=block, seed=0)


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


FOLDED = 45  # images in train and validation of `data(9)`


@pytest.mark.parametrize(
    ("ships", "began", "unfrozen", "of", "size"),
    [("head", 0.2, False, "head", 64), ("average", 0.2, True, "fine_tuned", 32), ("average", 0.8, False, "head", 64)],
    ids=["the head ships", "what ships is better than the head", "what ships may be better than the head"],
)
def test_few_images_that_leave_it_open_are_looked_at_in_folds(
    monkeypatch: pytest.MonkeyPatch, ships: str, began: float, unfrozen: bool, of: str, size: int
) -> None:
    asked: list[bool] = []

    def folds(*given: Any, unfrozen: bool, seed: int) -> tuple[Records, Records]:
        asked.append(unfrozen)
        rows = np.array_split(np.arange(FOLDED), 5)
        groups = [
            {
                (0, k): Record(np.array([f"{i:064x}" for i in part]), (part % m > 0)[None], np.zeros(1, int), 0)
                for k, part in enumerate(rows)
            }
            for m in (9, 2)
        ]
        return groups[0], groups[1]

    monkeypatch.setattr(trained, "folds", folds)
    some = data(9)
    proof = prove(some, record(some, began, 0.89), {(0, 0): record(some, 0.3, 0.78)}, contender(ships, some, 0.89), "auto")
    assert asked == [unfrozen]
    assert (proof["answer"], proof["standing"], proof["of"], proof["settle"]) == ("positive", "established", of, "")
    whole = proof["pretrained_against_random"]
    assert (whole["design"], whole["asymptote"]["n_images"], whole["asymptote"]["n_seeds"]) == ("folds", FOLDED, 5)
    assert proof["input_size"] == {"pretrained": size, "random": 32}


@pytest.mark.parametrize(("n", "ours", "theirs"), [(80, 0.9, 0.5), (200, 0.9, 0.9)], ids=["settled", "enough images"])
def test_no_folds_are_trained_if_one_look_is_enough(monkeypatch: pytest.MonkeyPatch, n: int, ours: float, theirs: float) -> None:
    monkeypatch.delattr(trained, "folds")
    some = data(n)
    proof = prove(some, record(some, 0.8, ours), {(0, 0): record(some, 0.3, theirs)}, contender("head", some), "auto")
    assert proof["pretrained_against_random"]["asymptote"]["n_seeds"] == 1


def test_what_is_positive_by_a_little_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first look is the last one only if it is ten times as sure: else two looks err more often than one."""
    some = data(80)
    known = {(0, 0): record(some, 0.3, 0.825)}
    assert prove(some, record(some, 0.9), known, contender("head", some))["answer"] == "positive"
    monkeypatch.delattr(trained, "folds")
    with pytest.raises(AttributeError):
        prove(some, record(some, 0.9), known, contender("head", some), "auto")
