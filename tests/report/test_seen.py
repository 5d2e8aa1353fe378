"""What the model sees, in the report: what counted for mistakes, and the map of what it finds alike."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart.report import alike, charts, findings, mistakes
from headstart.report import page as pages
from headstart.report.findings import Findings
from tests import toy
from tests.left import Page, dump, leave


@pytest.fixture
def found(tmp_path: Path) -> Findings:
    """Findings whose first two mistakes were looked at: the upper left corner counted."""
    paths = leave(tmp_path, side=160)
    predictions = pd.read_parquet(paths["predictions"])
    corner = [[4.0 if (row, column) == (0, 0) else -1.0 for column in range(8)] for row in range(8)]
    worst = list(predictions[~predictions["correct"]].sort_values("probability", ascending=False)["path"][:2])
    dump(paths["seen"] / "heat.json", {"crop": 1.0, "parts": dict.fromkeys(worst, corner)})
    return findings.gather(findings.Places(**paths))


def opened(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("L"), np.float64)


def test_what_counted_for_a_mistake_stays_bright(found: Findings) -> None:
    shown = mistakes.mistakes(found, 24)
    assert shown.looked
    assert [one.counted is not None for one in shown.shown[:3]] == [True, True, False]
    first = shown.shown[0]
    assert first.counted is not None
    whole, counted = opened(first.picture.url), opened(first.counted.url)
    assert counted.shape == whole.shape
    high, wide = (side // 2 for side in whole.shape)
    left = wide - high  # of the square that the network sees
    assert counted[:8, left : left + 8].mean() > 0.85 * whole[:8, left : left + 8].mean()
    assert counted[high:, wide:].mean() < 0.5 * whole[high:, wide:].mean()
    parsed = Page(pages.render(found, mistakes=24))
    assert "bright is what counted for the answer" in parsed.text
    assert sum("dark where nothing counted for" in (image["alt"] or "") for image in parsed.all("img")) == 2


def test_nothing_is_said_of_what_was_not_looked_at(tmp_path: Path) -> None:
    text = Page(pages.render(findings.gather(findings.Places(**leave(tmp_path))), mistakes=24)).text
    assert "bright is what counted" not in text


def test_the_map_has_a_mark_for_each_image_and_a_picture_for_each_that_is_there(found: Findings) -> None:
    section = alike.alike(found)
    assert section is not None
    assert section.chart.count('class="mark"') == len(found.map)
    there = sum((found.images / path).exists() for path in found.map["path"])
    assert 0 < section.chart.count("<image ") == there
    assert [label for _, label in section.legend] == sorted(set(found.map["label"]))
    assert "What the model finds alike" in Page(pages.render(found, mistakes=0)).text


def test_classes_look_different_and_names_stay_text() -> None:
    assert len({charts.key(number) for number in range(charts.KINDS)}) == charts.KINDS
    drawn = charts.marks([charts.Mark(0.5, 0.5, 0, "<script>", "data:,")], alt="<b>")
    assert "<script>" not in drawn
    assert "<b>" not in drawn


def test_no_map_no_section(found: Findings) -> None:
    text = pages.render(Findings(**{**vars(found), "map": found.map.head(0)}), mistakes=0)
    assert "finds alike" not in text
    assert '#alike"' not in text


def test_a_thousand_pictures_are_two_megabytes(tmp_path: Path) -> None:
    paths = leave(tmp_path)
    names = [f"{number:03}.jpg" for number in range(40)]
    for number, name in enumerate(names):
        toy.photo(number % 3, number, size=400).save(paths["images"] / name)
    pd.DataFrame({"path": names, "label": "a", "split": "train", "x": 0.5, "y": 0.5}).to_parquet(paths["seen"] / "map.parquet")
    section = alike.alike(findings.gather(findings.Places(**paths)))
    assert section is not None
    assert len(section.chart) * 1000 / len(names) < 4e6
