"""headstart.outputs: an output is there whole or not at all."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from headstart.base import outputs


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def interrupted(path: Path) -> None:
    path.write_text("half")
    raise KeyboardInterrupt


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.txt"
    with outputs.whole(path) as temporary:
        temporary.write_text("half")
        assert temporary.parent == path.parent  # or the rename could cross file systems
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert names(path.parent) == ["out.txt"]


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), outputs.whole(path) as temporary:
        interrupted(temporary)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out.txt"]


def test_a_folder_replaces_the_old_one_wholly(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for name in ("old", "new"):
        with outputs.folder(path) as temporary:
            (temporary / name).touch()
            assert names(path) == ["old"] if name == "new" else not path.exists()
    assert names(path) == ["new"]
    assert names(tmp_path) == ["model"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with outputs.folder(path) as temporary:
        (temporary / "old").touch()
    with pytest.raises(KeyboardInterrupt), outputs.folder(path) as temporary:
        interrupted(temporary / "new")
    assert names(path) == ["old"]
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize("content", [{"b": 1, "a": [1.5, None, True]}, [], {"name": "Überfluß 犬"}])
def test_json_is_read_back_as_written_and_is_the_same_each_time(content: Any, tmp_path: Path) -> None:
    outputs.write_json(tmp_path / "a.json", content)
    outputs.write_json(tmp_path / "b.json", content)
    assert outputs.read_json(tmp_path / "a.json") == content
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_bytes().endswith(b"\n")


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    outputs.write_json(tmp_path / "a.json", 1)
    for bad in (math.nan, {"path": tmp_path}):
        with pytest.raises((ValueError, TypeError)):
            outputs.write_json(tmp_path / "a.json", bad)
    assert outputs.read_json(tmp_path / "a.json") == 1
    assert names(tmp_path) == ["a.json"]
