"""Images without labels beside a data set: they are copied, found again, and refused if they cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.data import manifest, settings
from headstart.importing import datasets
from headstart.importing.options import Options
from headstart.indexing import indexer
from headstart.machinery.errors import DataError, ParamsError
from headstart.params import IndexImages, Seeded
from tasks.index_images import index_images
from tests import toy


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    toy.images(tmp_path / "in", per_class=10)
    toy.images(tmp_path / "other", per_class=4, seed=1)
    (tmp_path / "other/notes.txt").write_text("about them")
    return tmp_path


def load(folders: Path, target: str = "other", labels: str = "") -> datasets.Summary:
    how = Options(target=str(folders / target) if target else "", target_labels=str(folders / labels) if labels else "")
    return datasets.import_dataset(str(folders / "in"), folders / "images", how=how, current=folders / "data/images")


def test_they_lie_beside_the_classes_and_are_rows_without_a_label(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = load(folders)
    assert (summary.files, summary.classes) == (30, ["ant", "bee", "cat"])
    assert any("12 images without labels" in note for note in summary.notes)
    assert settings.of(folders / "images").name == "two_domains"
    index_images(folders / "images", folders / "m.parquet", folders / "t.parquet", block=IndexImages(), shared=Seeded())
    table, target = manifest.read(folders / "m.parquet"), manifest.read(folders / "t.parquet")
    assert len(table) == 30
    assert target["path"].tolist()[0] == ".target/ant/0000.png"
    assert (len(target), set(target["label"]), set(target["split"])) == (12, {""}, {indexer.UNLABELLED})
    assert "12 images without labels" in capsys.readouterr().out


def test_without_them_the_setting_is_labelled(folders: Path) -> None:
    load(folders, "")
    assert settings.of(folders / "images").name == "labelled"
    assert settings.of(folders / "images").unlabelled(folders / "images") == []


def test_labels_of_a_few(folders: Path) -> None:
    (folders / "few.csv").write_text("path,label\nant/0000.png,ant\nbee/0001.png,bee\ncat/0001.png,\n")
    assert any("2 labels of them" in note for note in load(folders, labels="few.csv").notes)
    assert (folders / "images/.target.csv").read_text() == "path,label\n.target/ant/0000.png,ant\n.target/bee/0001.png,bee\n"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("path,label\nant/0000.png,wasp\n", "wasp, which is no class of the labelled images"),
        ("path,label\nant/0000.png,ant\nant/9999.png,ant\n", "ant/9999.png"),
    ],
)
def test_labels_that_cannot_be(folders: Path, table: str, words: str) -> None:
    (folders / "few.csv").write_text(table)
    with pytest.raises(DataError, match=words):
        load(folders, labels="few.csv")
    assert not (folders / "images").exists()


def test_a_folder_that_cannot_be(folders: Path) -> None:
    (folders / "empty").mkdir()
    for target, words in (("empty", "holds no image"), ("nowhere", "is no folder"), ("data/images", "overlaps")):
        (folders / "data/images").mkdir(parents=True, exist_ok=True)
        with pytest.raises(DataError, match=words):
            load(folders, target)
    (folders / "few.csv").write_text("path,label\na,b\n")
    with pytest.raises(ParamsError, match="goes with --target"):
        load(folders, "", "few.csv")


def test_an_update_takes_them_again() -> None:
    how = Options(target="sketches", target_labels="few.csv")
    assert Options.from_json(how.to_json(), Path("data/images.dvc"), 1) == how
