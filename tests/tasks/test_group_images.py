"""tasks.group_images: nothing with labels; without any, a group for every image, what stands for each, the same bytes in every run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from headstart.base import outputs
from headstart.data.settings import no_labels
from headstart.grouping import describing, outcome
from headstart.params import Candidates, GroupImages, IndexImages, Report, Shared, ValidateData
from headstart.report.pages import environment
from tasks.group_images import group_images
from tasks.index_images import index_images
from tasks.report import report
from tasks.validate_data import validate_data
from tests import tiny, toy

BLOCK = GroupImages(resamples=5, most=6, method="joint_spectral")


def test_with_labels_there_is_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    toy.images(Path("data/images"), per_class=4)
    group_images(block=GroupImages(), select_source=Candidates(), shared=Shared())
    assert "nothing to group: the images have labels" in capsys.readouterr().out
    assert outputs.read_json(Path("reports/groups.json")) == outcome.nothing(
        "labelled", outputs.read_json(Path("reports/groups.json"))["reason"]
    )
    assert Path("reports/groups.csv").read_text() == "path,group,part,distance,outlier,x,y\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Candidates:
    """What the stages before leave of 45 images in three colours, two of them the same; and two sources."""
    monkeypatch.chdir(tmp_path)
    toy.images(Path("data/images"), per_class=15)
    shutil.copy("data/images/ant/0000.png", "data/images/copy.png")
    no_labels.mark(Path("data/images"))
    index_images(block=IndexImages(), shared=Shared())
    validate_data(block=ValidateData())
    for name, seed in (("one", 0), ("two", 1)):
        tiny.checkpoint(Path(name), seed=seed)
    return Candidates(candidates=["checkpoint:one", "checkpoint:two", "checkpoint:gone"])


def test_every_image_has_a_group(run: Candidates, capsys: pytest.CaptureFixture[str]) -> None:
    group_images(block=BLOCK, select_source=run, shared=Shared())
    table, made = pd.read_csv("reports/groups.csv"), outputs.read_json(Path("reports/groups.json"))
    assert tuple(table.columns) == outcome.TABLE
    assert len(table) == made["images"] == 46
    assert made["near_duplicates"] >= 1
    by_path = table.set_index("path")["group"]
    assert by_path["copy.png"] == by_path["ant/0000.png"]
    assert {one["name"]: bool(one["reason"]) for one in made["sources"]} == {
        "checkpoint:one": False,
        "checkpoint:two": False,
        "checkpoint:gone": True,
    }
    assert [one["images"] for one in made["groups"]] == table["group"].value_counts().sort_index().tolist()
    for one in made["groups"]:
        assert all(by_path[path] == one["group"] for path in one["medoids"])
        assert len(one["medoids"]) <= describing.MEDOIDS
    assert table["x"].notna().all()
    out = capsys.readouterr().out
    assert f"{len(made['groups'])} groups of 46 images" in out
    first = Path("reports/groups.csv").read_bytes(), Path("reports/groups.json").read_bytes()
    group_images(block=BLOCK, select_source=run, shared=Shared())
    assert (Path("reports/groups.csv").read_bytes(), Path("reports/groups.json").read_bytes()) == first


def test_of_many_images_some_are_grouped_and_the_others_join(run: Candidates) -> None:
    group_images(block=GroupImages(resamples=5, groups=3, max_images=30, mapped=0, method="ward"), select_source=run, shared=Shared())
    table, made = pd.read_csv("reports/groups.csv"), outputs.read_json(Path("reports/groups.json"))
    assert (len(table), made["asked"], made["interval"], len(made["groups"])) == (46, True, [3, 3], 3)
    assert set(table["group"]) == {1, 2, 3}
    assert table["x"].isna().all()


def test_the_report_is_made_of_groups_alone(run: Candidates) -> None:
    group_images(block=BLOCK, select_source=run, shared=Shared())
    report(block=Report())
    text = Path("reports/report.html").read_text()
    assert "groups <small>of 46 images" in text
    assert environment().autoescape
