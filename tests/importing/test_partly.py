"""Folders that are labelled in part: what has no label lies beside the classes, is in no split, and look-alikes of held-out images are known."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from headstart.data import manifest, settings
from headstart.data.settings import partly
from headstart.importing import datasets
from headstart.importing.options import Options
from headstart.indexing import indexer
from headstart.machinery.errors import DataError, ParamsError
from headstart.params import IndexImages, Seeded
from tasks.index_images import index_images
from tests import toy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty labelled images; beside their folders one, and four in a folder that says that they have none."""
    toy.images(tmp_path / "in", per_class=10)
    toy.images(tmp_path / "in", ("unlabelled",), per_class=4, seed=3)
    toy.photo(1, 7, seed=4).save(tmp_path / "in/loose.png")
    return tmp_path


def load(folder: Path, labels: str = "", **how: object) -> datasets.Summary:
    options = Options(unlabelled=True, **how)  # type: ignore[arg-type]
    table = folder / labels if labels else None
    return datasets.import_dataset(str(folder / "in"), folder / "images", labels=table, how=options, current=folder / "data/images")


def without(folder: Path) -> list[str]:
    return partly.PARTLY.unlabelled(folder / "images")


def test_files_outside_class_folders(folder: Path) -> None:
    with pytest.raises(DataError, match=r"1 image\(s\) lie beside the class folders .* --unlabelled"):
        datasets.import_dataset(str(folder / "in"), folder / "other", current=folder / "none")
    summary = load(folder)
    assert (summary.files, summary.classes, summary.unlabelled) == (30, ["ant", "bee", "cat"], 5)
    assert "5 images without labels: they join by self-training if held-out images show that it helps" in summary.notes
    assert "; 5 without labels" in str(summary)
    assert settings.of(folder / "images").name == "partly"
    assert without(folder) == [".unlabelled/loose.png", *(f".unlabelled/unlabelled/000{number}.png" for number in range(4))]


def test_a_split_without_class_folders(folder: Path) -> None:
    shutil.rmtree(folder / "in")
    toy.split_images(folder / "in", {"train": 8, "val": 4})
    (folder / "in/test").mkdir()
    toy.photo(0, 50).save(folder / "in/test/a.png")
    toy.photo(0, 51).save(folder / "in/train/b.png")
    assert load(folder).unlabelled == 2
    assert without(folder) == [".unlabelled/test/a.png", ".unlabelled/train/b.png"]


def test_rows_without_a_label_and_files_without_a_row(folder: Path) -> None:
    rows = [f"{name}/000{number}.png,{name if number < 8 else ''}" for name in toy.CLASSES for number in range(9)]
    (folder / "few.csv").write_text("\n".join(["path,label", *rows, "ant/0000.png,"]) + "\n")
    with pytest.raises(DataError, match=r"(?s)4 row\(s\) have no label.*--unlabelled keeps what has no label as images without labels"):
        datasets.import_dataset(str(folder / "in"), folder / "other", labels=folder / "few.csv", current=folder / "none")
    summary = load(folder, "few.csv")
    assert (summary.files, summary.skipped, summary.unlabelled) == (24, [], 11)
    named = [f".unlabelled/{name}/000{number}.png" for name in toy.CLASSES for number in (8, 9)]
    assert without(folder)[:6] == named, "one that has a label in another row has a label"


def test_a_row_without_a_label_needs_no_split(folder: Path) -> None:
    rows = [
        f"{name}/000{number}.png,{name if number else ''},{'' if not number else ('train', 'val', 'test')[number % 3]}"
        for name in toy.CLASSES
        for number in range(9)
    ]
    (folder / "few.csv").write_text("\n".join(["path,label,split", *rows]) + "\n")
    assert load(folder, "few.csv").splits == {"train": 6, "validation": 9, "test": 9}


def test_what_cannot_be_used_is_left_out(folder: Path) -> None:
    (folder / "in/broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    shutil.copy(folder / "in/loose.png", folder / "in/unlabelled/copy.png")
    summary = load(folder, skip_bad=True, drop_duplicates=True)
    assert sorted(one.path for one in summary.left_out) == ["broken.jpg", "unlabelled/copy.png"]
    assert len(without(folder)) == 5


def test_what_belongs_together_is_known_of_both(folder: Path) -> None:
    for number, name in enumerate(("one", "two")):
        toy.photo(0, 60 + number).save(folder / f"in/ant/case{name}.png")
        toy.photo(0, 70 + number).save(folder / f"in/case{name}.png")
    load(folder, group_pattern="case([a-z]+)")
    index_images(folder / "images", folder / "m.parquet", folder / "t.parquet", block=IndexImages(), shared=Seeded())
    table, rest = manifest.read(folder / "m.parquet"), manifest.read(folder / "t.parquet")
    of = dict(zip(table["path"], table["group"], strict=True))
    beside = dict(zip(rest["origin"], rest["group"], strict=True))
    assert [beside[f"case{name}.png"] for name in ("one", "two")] == [of[f"ant/case{name}.png"] for name in ("one", "two")]
    assert beside["loose.png"] > max(of.values())


def test_they_are_in_no_split_and_look_alikes_share_a_group(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(folder / "in/ant/0003.png", folder / "in/again.png")
    (folder / "in/broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    load(folder)
    index_images(folder / "images", folder / "m.parquet", folder / "t.parquet", block=IndexImages(), shared=Seeded())
    table, rest = manifest.read(folder / "m.parquet"), manifest.read(folder / "t.parquet").set_index("origin")
    assert (len(table), set(rest["split"]), set(rest["label"])) == (30, {indexer.UNLABELLED}, {""})
    assert rest.loc["again.png", "group"] == table.set_index("path").loc["ant/0003.png", "group"]
    assert rest.loc["broken.jpg", "group"] == -1
    others = rest.drop(["again.png", "broken.jpg"])["group"]
    assert others.is_unique
    assert not set(others) & set(table["group"])
    assert "images of which some have a label: 6 images without labels" in capsys.readouterr().out


def test_every_image_may_have_a_label(folder: Path) -> None:
    shutil.rmtree(folder / "in/unlabelled")
    (folder / "in/loose.png").unlink()
    assert "every image has a label, so --unlabelled changes nothing" in load(folder).notes
    assert settings.of(folder / "images").name == "labelled"


@pytest.mark.parametrize(
    ("how", "words"),
    [({"target": "x"}, "--target for those of another"), ({"no_labels": True}, "--unlabelled does not go with --no-labels")],
)
def test_options_that_do_not_go_together(folder: Path, how: dict[str, object], words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        load(folder, **how)


def test_images_alone_are_refused(folder: Path) -> None:
    for name in toy.CLASSES:
        shutil.rmtree(folder / "in" / name)
    with pytest.raises(DataError, match=r"in no class folder|no images"):
        load(folder)
