"""The report on images without labels: groups with their pictures, how sure, the map, what to do next."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from headstart.base import outputs
from headstart.grouping import outcome
from headstart.machinery.errors import HeadstartError
from headstart.report import grouped
from tests import toy
from tests.left import Page


@pytest.fixture
def left(tmp_path: Path) -> Path:
    toy.images(tmp_path / "images", ("a", "b"), per_class=6)
    paths = [f"{name}/{number:04d}.png" for name in "ab" for number in range(6)]
    with (tmp_path / "groups.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(outcome.TABLE)
        table.writerows(
            (path, number // 6 + 1, 1, 0.1 * number, number == 11, *((number / 11, 0.5) if number % 2 else ("", "")))
            for number, path in enumerate(paths)
        )
    groups = [
        {"group": 1, "images": 6, "medoids": ["a/0000.png", "a/0001.png"], "stability": 0.97, "outliers": 0},
        {"group": 2, "images": 6, "medoids": ["b/0000.png"], "stability": 0.61, "outliers": 1},
    ]
    curve = [{"groups": 2, "stability": 0.9, "silhouette": 0.4}, {"groups": 3, "stability": 0.5, "silhouette": 0.2}]
    sources = [
        {"name": "wheel:<one>", "stability": 0.9, "silhouette": 0.4, "reason": ""},
        {"name": "wheel:two", "stability": None, "silhouette": None, "reason": "no network"},
    ]
    methods = [{"name": "kmeans", "silhouette": 0.3, "groups": 2}, {"name": "turtle", "silhouette": 0.4, "groups": 2}]
    made = {**outcome.nothing("no_labels", ""), "images": 12, "source": "wheel:<one>", "method": "turtle", "groups": groups, "curve": curve}
    made |= {
        "interval": [2, 3],
        "stability": 0.85,
        "silhouette": 0.4,
        "by_chance": 0.1,
        "shown": True,
        "sources": sources,
        "methods": methods,
    }
    outputs.write_json(tmp_path / "groups.json", made | {"outliers": 1, "near_duplicates": 2})
    checked = {"images": {"total": 13, "usable": 12}, "warnings": [{"message": "1 set of identical images."}], "expectations": [{}]}
    outputs.write_json(tmp_path / "validation.json", checked)
    return tmp_path


def page(left: Path) -> Page:
    return Page(grouped.render(left / "groups.json", left / "validation.json", left / "images"))


def test_the_page_says_what_was_found_and_how_sure(left: Path) -> None:
    made = page(left)
    assert "2 groups of 12 images" in made.text
    assert "95% of random halves of them have 2 to 3" in made.text
    assert "where they end is clear" in made.text
    assert "Groups are what the networks find alike" in made.text
    assert "headstart review" in made.text
    assert "61% of it stays together" in made.text
    assert "wheel:<one>" in made.text
    assert "no network" in made.text
    assert "1 set of identical images." in made.text


def test_each_group_shows_what_stands_for_it_and_what_is_unlike_all_others(left: Path) -> None:
    pictures = [image["alt"] for image in page(left).all("img")]
    assert pictures.count("Image that stands for group 1") == 2
    assert pictures.count("Image that stands for group 2") == 1
    assert pictures.count("Image that is unlike all others") == 1


def test_the_map_is_coloured_by_group(left: Path) -> None:
    made = page(left)
    labels = [svg["aria-label"] for svg in made.all("svg") if svg.get("aria-label")]
    assert "Map of 6 images in 2 groups by what the network sees of them" in labels
    assert {"group 1", "group 2"} <= {word.strip() for word in made.words}


def test_it_is_not_surer_than_the_data(left: Path) -> None:
    values = outputs.read_json(left / "groups.json")
    outputs.write_json(left / "groups.json", {**values, "shown": False, "by_chance": 0.5})
    assert "No groups are shown" in page(left).text


def test_nothing_is_asked_of_a_network(left: Path) -> None:
    text = grouped.render(left / "groups.json", left / "validation.json", left / "images")
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in text


def test_a_missing_output_is_named(left: Path) -> None:
    (left / "groups.csv").unlink()
    with pytest.raises(HeadstartError, match="which is missing"):
        page(left)
