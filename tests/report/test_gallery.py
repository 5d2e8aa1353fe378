"""Pictures of the report: some of each class, the least sure, those unlike all others; and what comes of leaving answers to a person."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from headstart.report import alike, findings, following, gallery, result, summary, training, transfer
from headstart.report.findings import Findings
from tests.left import Page, leave, page, prove


def gathered(folder: Path) -> Findings:
    return findings.gather(findings.Places(**leave(folder)))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return gathered(tmp_path_factory.mktemp("left"))


def test_pictures_of_a_class_are_spread_over_its_files() -> None:
    assert gallery.spread([str(number) for number in range(9)], 3) == ["0", "3", "6"]
    assert gallery.spread(["a"], 3) == ["a"]


def test_every_class_is_shown_and_the_least_sure_come_first(found: Findings) -> None:
    shown = gallery.gallery(found)
    assert [one.label for one in shown.classes] == sorted(set(found.predictions["label"]))
    assert {len(one.pictures) for one in shown.classes} == {gallery.OF_CLASS}
    least = found.predictions.sort_values("probability").head(gallery.LEAST_SURE)
    assert [one.path for one in shown.unsure] == list(least["path"])
    assert [one.odd for one in shown.unsure] == [not right for right in least["correct"]]


def test_what_is_beyond_the_threshold_is_marked(found: Findings) -> None:
    (far,) = gallery.gallery(found).far
    assert (far.odd, far.said) == (True, "test, distance 0.61")
    nearer = {"distance": 0.7, "images": found.far["images"]}
    assert not gallery.gallery(Findings(**{**vars(found), "far": nearer})).far[0].odd
    none = Findings(**{**vars(found), "far": {"distance": None, "images": found.far["images"]}})
    assert (gallery.gallery(none).far[0].odd, gallery.gallery(none).beyond) == (False, "")


def test_classes_beyond_the_most_are_counted(found: Findings) -> None:
    many = pd.DataFrame(
        {"path": [f"{n}.png" for n in range(45)], "label": [f"c{n:02}" for n in range(45)], "split": "test", "x": 0, "y": 0}
    )
    shown = gallery.gallery(Findings(**{**vars(found), "map": many}))
    assert (len(shown.classes), shown.left) == (gallery.MOST_CLASSES, "5 more classes are not shown.")


def test_the_page_has_the_section(tmp_path: Path) -> None:
    text = page(tmp_path).text
    for words in ("Your pictures", "Some of each class", "The least sure", "Unlike the others"):
        assert words in text


def test_fewer_answers_are_better_ones(found: Findings) -> None:
    limits = {"answered": 0.75, "error": 0.02, "false_alarms": 0.05}
    metrics = {**found.metrics, "limits": limits}
    made = result.coverage(Findings(**{**vars(found), "metrics": metrics}))
    assert made is not None
    assert made.chart.count('class="ring"') == 1
    right = float(found.predictions["correct"].mean())
    assert f"100% answered: {100 * right:.1f}% right" in made.chart
    assert result.coverage(found) is None  # an earlier version left no limits
    unanswered = {**metrics, "limits": {**limits, "answered": 0.0, "error": None}}
    empty = result.coverage(Findings(**{**vars(found), "metrics": unanswered}))
    assert empty is not None
    assert 'class="ring"' not in empty.chart


def test_the_first_screen_says_what_is_confused_and_that_photos_are_too_few(found: Findings) -> None:
    pairs = pd.DataFrame({"actual": ["ants"] * 4 + ["bees"], "predicted": ["bees", "bees", "bees", "ants", "bees"]})
    confused = Findings(**{**vars(found), "confusion": pairs})
    assert "Most often ants is taken for bees (3 of its 4 test images)." in summary.summary(confused)
    assert any(said.startswith("Look at ants beside bees") for said in following.following(confused))
    assert not any(said.startswith("Add photos") for said in following.following(found))
    test = {**found.metrics["test"], "interval": {**found.metrics["test"]["interval"], "accuracy": [0.7, 0.95]}}
    few = Findings(**{**vars(found), "metrics": {**found.metrics, "test": test}})
    assert any("cannot tell whether 70.0% or 95.0%" in said for said in following.following(few))


def test_start_slope_and_end_are_drawn_in(found: Findings) -> None:
    chart = transfer.transfer(found).chart
    assert chart.count('class="ring"') == 4
    assert "90% of the better end" in chart
    proved = prove()
    short = {**proved, "curves": {name: rows[:1] for name, rows in proved["curves"].items()}}
    assert transfer.transfer(Findings(**{**vars(found), "verdict": short})).chart == ""


def test_the_rates_are_drawn(found: Findings) -> None:
    rated = found.curve.assign(rate=[None, *(0.001 / number for number in range(1, len(found.curve)))])
    assert len(training.tuning(Findings(**{**vars(found), "curve": rated})).panels) == 3
    assert len(training.tuning(Findings(**{**vars(found), "curve": found.curve.drop(columns="rate", errors="ignore")})).panels) == 2


def test_a_point_of_the_map_can_be_chosen_without_a_mouse(found: Findings) -> None:
    section = alike.alike(found)
    assert section is not None
    assert section.chart.count('type="radio" name="mark"') == len(found.map)
    radios = [one for one in Page(f"<html>{section.chart}</html>").all("input") if one["aria-label"]]
    assert len(radios) == len(found.map)


def test_reliability_before_and_after_scaling(found: Findings) -> None:
    bins = [{"bin": 3, "confidence": 0.7, "accuracy": 0.5, "n": 4}, {"bin": 4, "confidence": 0.95, "accuracy": 0.9, "n": 40}]
    scaling = {"temperature": 1.4, "ece": 0.08, "interval": [0.02, 0.1], "bins": bins}
    made = result.calibration(Findings(**{**vars(found), "metrics": {**found.metrics, "scaling": scaling}}))
    assert "sure 95.0%, right 90.0%, 40 images" in made.before
    assert "divided by 1.4" in made.said
    assert "was 8.0% before and is 3.1%" in made.said
    assert result.calibration(found).before == ""
    head = Findings(**{**vars(found), "metrics": {**found.metrics, "shipped": "head"}})
    assert "nothing was scaled" in result.calibration(head).said
