"""What is expected of images without labels: nothing about classes and splits, enough images, and few copies."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from headstart.checks import expectations, validation
from headstart.checks.of_no_labels import FEWEST
from headstart.indexing import indexer
from tests import toy

LIMITS = expectations.Limits(5, 0.05, 10.0, 16)


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    toy.images(tmp_path / "images", per_class=8)
    return indexer.index_without_labels(tmp_path / "images", duplicate_distance=0, duplicate_group_limit=20, max_pixels=10**8)


def test_images_without_labels_have_a_suite_of_their_own(table: pd.DataFrame) -> None:
    names = [check.name for check in expectations.suite(table)]
    assert "enough_images" in names
    assert not {"two_classes", "images_per_class", "classes_in_every_split", "balance"} & set(names)
    assert expectations.suite(table.assign(label="ant")) == expectations.CHECKS
    result = validation.validate(table, LIMITS)
    assert result["success"]
    assert result["warnings"] == []


def test_too_few_images_stop_the_pipeline(table: pd.DataFrame) -> None:
    result = validation.validate(table.head(FEWEST - 1), LIMITS)
    assert [failure["name"] for failure in result["critical"]] == ["enough_images"]
    assert f"There are {FEWEST - 1} usable images" in result["critical"][0]["message"]


def test_copies_and_look_alikes_are_told_once_each(table: pd.DataFrame) -> None:
    same = table.copy()
    for column in ("pixels_sha256", "lookalike"):
        same.loc[1, column] = same.loc[0, column]
    same.loc[3, "lookalike"] = same.loc[2, "lookalike"]
    found = {failure["name"]: failure for failure in validation.validate(same, LIMITS)["warnings"]}
    assert found["identical_images"]["files"] == same["path"][[0, 1]].tolist()
    assert found["near_duplicates"]["files"] == same["path"][[2, 3]].tolist()
    assert "1 set of near-duplicates (2 files)" in found["near_duplicates"]["message"]
