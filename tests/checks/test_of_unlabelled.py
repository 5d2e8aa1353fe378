"""What is expected of images without labels that lie beside labelled ones: warnings alone, told with those of the labelled images."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from headstart.checks import expectations, of_unlabelled, validation
from headstart.indexing import indexer, partly
from tests import toy

LIMITS = expectations.Limits(3, 0.05, 10.0, 16)
Tables = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Labelled images, and forty without labels, one of which is a test image."""
    toy.images(tmp_path / "images", per_class=10)
    table = indexer.index(tmp_path / "images", **toy.INDEX)
    toy.images(tmp_path / "images/.more", ("x",), per_class=39, seed=9)
    shutil.copy(tmp_path / "images" / table.loc[table["split"] == "test", "path"].iloc[0], tmp_path / "images/.more/again.png")
    paths = sorted(path.relative_to(tmp_path / "images").as_posix() for path in (tmp_path / "images/.more").rglob("*.png"))
    rest = indexer.index_unlabelled(tmp_path / "images", paths, 10**8)
    return table, partly.settled(table, rest, 4, 20)


def names(table: pd.DataFrame, rest: pd.DataFrame) -> list[str]:
    return [one["name"] for one in validation.validate_all(table, rest, LIMITS)[0]["warnings"]]


def test_look_alikes_of_held_out_images_are_told(tables: Tables) -> None:
    result, lists = validation.validate_all(*tables, LIMITS)
    assert result["success"]
    assert [one["name"] for one in result["warnings"]] == ["unlabelled_like_held_out"]
    assert "1 image without labels look like held-out images: 1 like one of test" in result["warnings"][0]["message"]
    assert lists["unlabelled_like_held_out"]["path"].tolist() == [".more/again.png"]
    assert result["images"]["total"] == 30, "the labelled ones"
    assert len(result["expectations"]) == len(expectations.CHECKS) + len(of_unlabelled.CHECKS)


def test_few_copies_and_unreadable_ones(tables: Tables) -> None:
    table, rest = tables
    usual = "unlabelled_like_held_out"
    assert names(table, rest.head(20)) == ["enough_unlabelled", usual]
    assert names(table, pd.concat([rest, rest.tail(1)], ignore_index=True)) == ["unlabelled_copies", usual]
    rest.loc[5:9, ["readable", "group"]] = [False, -1]
    assert names(table, rest) == ["unlabelled_readable", usual]


def test_without_such_images_the_result_is_that_of_the_labelled_ones(tables: Tables) -> None:
    table, rest = tables
    assert validation.validate_all(table, rest.head(0), LIMITS)[0] == validation.validate(table, LIMITS)
