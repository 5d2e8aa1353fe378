"""Images without labels: whatever folders they lie in, they come as they are, and what says something of labels is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from headstart.data import belonging, settings
from headstart.importing import datasets
from headstart.importing.options import Options
from headstart.indexing import indexer
from headstart.machinery.errors import DataError, ParamsError
from tests import toy

ALIKE = {"duplicate_distance": 4, "duplicate_group_limit": 20, "max_pixels": 10**8}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos beside a folder and deep in others, a note, and a file that is no picture."""
    given = tmp_path / "in"
    toy.images(given / "one", ("a", "b"), per_class=4)
    toy.photo(2, 1).save(given / "loose.png")
    (given / "notes.txt").write_text("about them")
    (given / "broken.jpg").write_bytes(b"no picture")
    return given


def load(folder: Path, labels: Path | None = None, **how: object) -> datasets.Summary:
    options = Options(no_labels=True, **how)  # type: ignore[arg-type]
    return datasets.import_dataset(str(folder), folder.parent / "images", labels=labels, how=options, current=folder.parent / "none")


def test_folders_are_no_classes(folder: Path) -> None:
    summary = load(folder)
    images = folder.parent / "images"
    assert (summary.files, summary.classes, summary.splits, summary.sidecars) == (9, [], {}, ["notes.txt"])
    assert [path for path, _ in summary.unreadable] == ["broken.jpg"]
    assert settings.of(images).name == "no_labels"
    assert sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png")) == [
        "loose.png",
        *(f"one/{name}/000{number}.png" for name in "ab" for number in range(4)),
    ]
    table = indexer.index_without_labels(images, **ALIKE)
    assert set(table["label"]) == {""}
    assert table.loc[table["readable"], "split"].unique().tolist() == [indexer.UNLABELLED]
    assert table.loc[~table["readable"], "path"].tolist() == ["broken.jpg"]


def test_copies_share_a_group(folder: Path) -> None:
    shutil.copy(folder / "loose.png", folder / "again.png")
    load(folder)
    table = indexer.index_without_labels(folder.parent / "images", **ALIKE).set_index("path")
    assert table["lookalike"]["loose.png"] == table["lookalike"]["again.png"]
    assert table["group"]["loose.png"] == table["group"]["again.png"]


def test_an_archive_does_as_well(folder: Path) -> None:
    shutil.make_archive(str(folder.parent / "photos"), "zip", folder)
    summary = load(folder.parent / "photos.zip")
    assert summary.files == 9
    assert not (folder.parent / "images/.unpacked").exists()


def test_what_is_bad_is_left_out_if_asked(folder: Path) -> None:
    shutil.copy(folder / "loose.png", folder / "again.png")
    summary = load(folder, skip_bad=True, drop_duplicates=True)
    assert (summary.files, summary.unreadable) == (9, [])
    assert sorted(one.path for one in summary.left_out) == ["broken.jpg", "loose.png"]


def test_what_belongs_together_is_kept(folder: Path) -> None:
    assert load(folder, group_pattern="one/[ab]").groups == 2
    assert belonging.read(folder.parent / "images")["one/a/0001.png"] == "one/a"


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ({"target": "x"}, "--target"),
        ({"recursive": True}, "--recursive"),
        ({"reviewed": "r.csv"}, "--reviewed"),
        ({"labels": Path("l.csv")}, "--labels"),
    ],
)
def test_what_says_something_of_labels_is_refused(folder: Path, how: dict[str, object], named: str) -> None:
    with pytest.raises(ParamsError, match=f"{named} does not go with --no-labels"):
        load(folder, **how)
    assert not (folder.parent / "images").exists()


def test_a_folder_without_an_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/notes.txt").write_text("nothing else")
    with pytest.raises(DataError, match="holds no image"):
        load(tmp_path / "in")
    with pytest.raises(DataError, match="holds no images; import some"):
        indexer.index_without_labels(tmp_path / "in", **ALIKE)


def test_examples_have_labels(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="--no-labels goes with a folder or an archive"):
        datasets.import_dataset("digits", tmp_path / "images", how=Options(no_labels=True))
