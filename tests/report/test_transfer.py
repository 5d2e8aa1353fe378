"""The report on whether transfer helped: each answer with its standing, both curves, what was tried, and what the test images say."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from headstart.report import findings, summary, transfer
from headstart.report import page as pages
from tests.left import LITE, Page, changed, leave, page, prove, rendered, svg


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Path]]:
    paths = leave(tmp_path_factory.mktemp("usual"))
    return pages.render(findings.gather(findings.Places(**paths)), mistakes=24), paths


def test_the_learning_curves_are_those_of_the_verdict(usual: tuple[str, dict[str, Path]]) -> None:
    chart = svg(usual[0], "Validation accuracy over the steps")
    assert "pretrained from 91.2% to 96.2% in 80 steps; random weights from 25.0% to 45.0% in 80 steps" in chart
    heights = [
        [float(y) for y in re.findall(r",([\d.]+)", points)] for points in re.findall(r'<polyline class="s\d[^"]*" points="([^"]*)"', chart)
    ]
    assert [len(line) for line in heights] == [3, 3]
    assert all(above < below for above, below in zip(*heights, strict=True))
    assert "ended early" not in usual[0]


def test_a_learning_curve_that_ends_early_is_said_to(tmp_path: Path) -> None:
    proved = prove()
    curves = {**proved["curves"], "pretrained": proved["curves"]["pretrained"][:2]}
    assert "The shorter line ended early" in page(tmp_path, proved={**proved, "curves": curves}).text


def test_the_label_curve_is_shown_where_there_is_one(tmp_path: Path, usual: tuple[str, dict[str, Path]]) -> None:
    assert "With fewer labels" not in Page(usual[0]).text
    paths = leave(tmp_path, proved=prove(labels=True))
    text = pages.render(findings.gather(findings.Places(**paths)), mistakes=0)
    assert "5: 60.0% and 30.0%; all: 96.2% and 45.0%" in svg(text, "Validation accuracy over the labels")
    assert [">5<" in text, ">all<" in text] == [True, True]
    assert "5 60.0% 30.0% +30.0 points" in Page(text).text


@pytest.mark.parametrize(
    ("random", "seeds", "answer"),
    [
        ((0.25, 0.3, 0.45), 5, "Transfer helped. established"),
        ((0.25, 0.9, 0.9625), 1, "Transfer is not shown to help. indicative"),
        ((0.25, 0.9, 1.0), 5, "Too few images to tell whether transfer helped (80)."),
        ((0.95, 0.99, 1.0), 1, "Transfer hurt. indicative"),
    ],
)
def test_the_answer_on_transfer_is_said_with_its_standing(tmp_path: Path, random: tuple[float, ...], seeds: int, answer: str) -> None:
    pretrained = (0.6, 0.7, 0.75) if "hurt" in answer else (0.9125, 0.95, 0.9625)
    paths = leave(tmp_path, proved=prove(pretrained, random, seeds=seeds))
    text = rendered(paths).text
    assert answer in text
    assert ("established" in text) == answer.endswith("established"), "few images establish nothing"
    assert ("5 seeds each" in text) == (seeds == 5)
    assert ("Indicative: one run of each network" in text) == (seeds == 1)
    first = summary.caveats(findings.gather(findings.Places(**paths)))[0]
    told = {"Transfer hurt.": "Transfer hurt (indicative)", "Too few": "Too few images to tell whether transfer helped (80). About "}
    assert first.startswith(next((words for start, words in told.items() if answer.startswith(start)), "Only 96 images"))


def test_a_run_without_a_baseline_says_how_to_get_one(tmp_path: Path) -> None:
    proved = prove()
    lacking = ("pretrained_against_random", "label_curve", "curves", "input_size")
    proved = {key: value for key, value in proved.items() if key not in lacking} | {
        "answer": "not tested",
        "evidence": "no baseline was trained",
    }
    paths = leave(tmp_path, proved={**proved, "arms": proved["arms"][:3]})
    paths["baseline_curve"].write_text("\n")
    changed(paths["metrics"], scratch=None, transfer=None)
    text = rendered(paths).text
    assert "Whether transfer helped was not tested. No network was trained from random weights to compare with. Set baseline.epochs" in text
    assert "Random weights" not in text
    assert "From random weights" not in text
    assert "Fine-tuned against the frozen head" in text
    assert "What weakens the answer" not in text


def test_what_weakens_the_answer_is_said(tmp_path: Path) -> None:
    paths = leave(tmp_path)

    def notes() -> str:
        return rendered(paths).text.partition("What weakens the answer")[2].partition("Worst mistakes")[0]

    assert "80 held-out images can show only large differences" in notes()
    assert "saw images of 128 pixels, the pretrained one 240" in notes()
    assert "was at its best after its last epoch" in notes()
    assert "at most" not in notes()
    changed(paths["verdict"], input_size={"pretrained": 240, "random": 240})
    changed(paths["baseline"] / "summary.json", parameters={"baseline": {"max_images": 200}})
    pd.DataFrame({"epoch": range(3), "validation_loss": [1.4, 0.8, 0.9]}).to_csv(paths["baseline_curve"], index=False)
    assert "pixels" not in notes()
    assert "last epoch" not in notes()
    assert "saw at most 200 images of each split" in notes()


def test_remedies_are_listed_in_their_order(tmp_path: Path) -> None:
    tried = [
        {"name": "another_source", "source": "timm:<b>resnet18", "validation_accuracy": 0.9, "ships": False},
        {"name": "l2_sp", "source": LITE.format(1), "validation_accuracy": 0.975, "ships": True},
    ]
    text = page(tmp_path, shipped="l2_sp", proved={**prove(), "remedies": tried}).text
    assert "Another source the next source of the ranking, fine-tuned in the same way timm:<b>resnet18 90.0% no L2-SP" in text
    assert f"held near the source's {LITE.format(1)} 97.5% yes" in text


def test_an_average_that_ships_is_the_one_of_its_mix(tmp_path: Path) -> None:
    proved = prove()
    arms = [*proved["arms"], {**proved["arms"][2], "mix": 0.5, "validation_accuracy": 0.97}]
    text = page(tmp_path, shipped="average", proved={**proved, "mix": 0.5, "arms": arms}).text
    assert "Average, 50% fine-tuned ships 97.0%" in text
    assert "Average, 25% fine-tuned 93.8%" in text


def test_what_could_ship_is_shown_by_what_decides(tmp_path: Path) -> None:
    """The aim of these runs is balanced accuracy; before a run had an aim, accuracy alone was known."""
    proved = prove()
    assert "Model Right Balanced accuracy Log loss Frozen head" in page(tmp_path, proved=proved).text
    arms = [{key: value for key, value in arm.items() if key != "validation_gain"} for arm in proved["arms"]]
    assert "Model Right Log loss Frozen head" in page(tmp_path, proved={**proved, "arms": arms}).text


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("contradicts", "The test images contradict the answer."),
        ("leaves open", "The test images leave it open."),
        ("answers positive", "The test images show that it helped."),
    ],
)
def test_what_the_test_images_say(tmp_path: Path, says: str, words: str) -> None:
    paths = leave(tmp_path)
    changed(paths["metrics"], transfer={"verdict": "positive", "says": says, "answer": "negative", "evidence": "few were right"})
    assert f"{words} Few were right." in rendered(paths).text


@pytest.mark.parametrize(
    ("low", "high", "difference", "said"),
    [
        (-40.0, -10.0, -20.0, ("-20 steps", "-40 to -10")),
        (None, -10.0, None, ("", "-10 or less")),
        (-40.0, None, -20.0, ("-20 steps", "-40 or more")),
        (None, None, None, ("", "")),
        (0.0, 1200.0, 0.0, ("0 steps", "0 to +1,200")),
    ],
)
def test_an_open_end_of_the_steps_is_said_to_be(
    low: float | None, high: float | None, difference: float | None, said: tuple[str, str]
) -> None:
    slope = {"first": 1280.0, "second": None, "difference": difference, "interval": [low, high]}
    assert transfer._steps(slope) == ("1,280", "never", *said)
