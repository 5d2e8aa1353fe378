"""Batches: images that come later join a data set, what was there keeps its split, and nothing is doubled or half done."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pandas as pd
import pytest

from headstart.data import batches, manifest, settings
from headstart.importing import datasets, joining, relabelling, reviewed
from headstart.importing.joining import Indexing
from headstart.importing.options import Options
from headstart.importing.reviewed import Reviewed
from headstart.indexing.arrivals import Cut
from headstart.machinery.errors import DataError, ParamsError
from tests import toy

HOW = Indexing(Cut(0.2, 0.2, 4, 20, 0), 100_000_000)
PART = Options(fewest=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def start(folder: Path, source: Path, batch: str = "") -> Path:
    datasets.import_dataset(str(source), folder, how=PART if batch else Options(), current=folder.parent / "none")
    if batch:
        joining.name_all(folder, batch, HOW)
    return folder


def add(current: Path, source: Path, batch: str = "", known: Path = Path("no/manifest"), options: Options = PART) -> datasets.Summary:
    """Add a batch and put the result in the place of what was there, as flows/projects does."""
    target = current.parent / "next"
    summary = joining.add(str(source), target, current, known, HOW, batch=batch, options=options)
    shutil.rmtree(current)
    target.rename(current)
    return summary


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    for number, name in enumerate("abc"):
        toy.images(tmp_path / name, ("ant", "bee"), per_class=10, seed=number)
    toy.images(tmp_path / "new", ("wasp",), per_class=6, seed=9)
    return {name: tmp_path / name for name in ("a", "b", "c", "new")}


def test_a_batch_joins_and_what_was_there_keeps_its_split(tmp_path: Path, sources: dict[str, Path]) -> None:
    images = start(tmp_path / "images", sources["a"])
    assert settings.of(images).name == "labelled"
    assert not (images / batches.FILE).exists(), "a data set whose images came at once keeps its version"
    before = HOW.index(images).set_index("path")
    summary = add(images, sources["b"])
    assert (summary.files, summary.classes, sum(summary.splits.values())) == (20, ["ant", "bee"], 20)
    assert summary.notes[0] == "batch batch-2: 20 images beside 20, whose splits stay as they are"
    after = HOW.index(images).set_index("path")
    assert settings.of(images).name == "in_batches"
    assert settings.of(images).unlabelled(images) == []
    assert len(after) == 40
    assert (after.loc[before.index, "split"] == before["split"]).all()
    assert after.loc[before.index, "batch"].unique().tolist() == ["batch-1"]
    new = after.drop(before.index)
    assert new["batch"].unique().tolist() == ["batch-2"]
    assert new["split"].value_counts().to_dict() == {"train": 12, "test": 4, "validation": 4}
    assert new["origin"].tolist() == [f"batch-2/{label}/{number:04d}.png" for label in ("ant", "bee") for number in range(10)]
    assert all(path.split("/")[1].startswith("batch-2__") for path in new.index)


def test_a_new_class_alone_is_a_batch(tmp_path: Path, sources: dict[str, Path]) -> None:
    images = start(tmp_path / "images", sources["a"])
    summary = add(images, sources["new"], "2026-11-27")
    assert "1 new class: wasp" in summary.notes
    table = HOW.index(images)
    assert set(table.loc[table["label"] == "wasp", "split"]) == {"train", "validation", "test"}
    assert batches.names(batches.read(images)) == ["batch-1", "2026-11-27"]


def test_what_is_there_already_is_said_and_not_doubled(tmp_path: Path, sources: dict[str, Path]) -> None:
    images = start(tmp_path / "images", sources["a"])
    again = tmp_path / "again"
    shutil.copytree(sources["b"], again)
    shutil.copy(sources["a"] / "ant/0001.png", again / "ant/copy.png")
    shutil.copy(sources["a"] / "ant/0002.png", again / "bee/another label.png")
    summary = add(images, again)
    assert (summary.files, len(list(images.glob("*/*.png")))) == (20, 40)
    assert summary.notes[1] == "2 images not added: the same pixels are here already, 1 of them under another label, which stays"
    assert [one.reason for one in summary.left_out] == [
        "the same pixels are here already: ant/0001.png",
        "the same pixels are here already, where its label is ant: ant/0002.png",
    ]
    before = contents(images)
    with pytest.raises(DataError, match=r"all 20 images of .* are here already; nothing to add") as refused:
        joining.add(str(sources["a"]), tmp_path / "next", images, Path("none"), HOW, options=PART)
    assert len(refused.value.rows) == 20
    assert contents(images) == before
    assert not (tmp_path / "next").exists()


def test_the_splits_of_the_last_run_are_those_that_stay(tmp_path: Path, sources: dict[str, Path]) -> None:
    """Whatever params.yaml says by now: what the last run held out was held out."""
    images = start(tmp_path / "images", sources["a"])
    other = Indexing(Cut(0.4, 0.2, 4, 20, 7), 100_000_000)
    ran = other.index(images)
    manifest.write(ran, tmp_path / "manifest.parquet")
    add(images, sources["b"], known=tmp_path / "manifest.parquet")
    after = HOW.index(images).set_index("path")
    assert after.loc[ran["path"], "split"].tolist() == ran["split"].tolist()
    (images / "ant/by hand.png").write_bytes((sources["c"] / "ant/0000.png").read_bytes())
    assert len(joining.indexed(images, tmp_path / "manifest.parquet", HOW)) == 41, "a manifest of other files does not count"


def test_batches_in_any_order_are_one_data_set(tmp_path: Path, sources: dict[str, Path]) -> None:
    tables = []
    for number, order in enumerate(itertools.permutations("abc")):
        images = start(tmp_path / str(number) / "images", sources[order[0]], order[0])
        for name in order[1:]:
            add(images, sources[name], name)
        manifest.write(HOW.index(images), tmp_path / "manifest.parquet")
        files = contents(images)
        rows = sorted(files.pop(batches.FILE).splitlines())
        tables.append((files, rows, (tmp_path / "manifest.parquet").read_bytes()))
        assert batches.names(batches.read(images)) == list(order), "which came last is still known"
    assert all(one == tables[0] for one in tables[1:])


def test_splits_that_folders_give(tmp_path: Path, sources: dict[str, Path]) -> None:
    for split, seed in (("train", 21), ("test", 22)):
        toy.images(tmp_path / "given" / split, ("ant", "bee"), per_class=4, seed=seed)
    images = start(tmp_path / "images", tmp_path / "given")
    add(images, sources["c"])
    table = HOW.index(images)
    new = table[table["batch"] == "batch-2"]
    assert new["path"].str.partition("/")[0].unique().tolist() == ["test", "train", "val"]
    assert new["split"].value_counts().to_dict() == {"train": 12, "test": 4, "validation": 4}
    (tmp_path / "late/test").mkdir(parents=True)
    shutil.copytree(tmp_path / "given/train", tmp_path / "late/train")
    toy.images(tmp_path / "late/train", ("ant",), per_class=3, seed=5)
    toy.images(tmp_path / "late/test", ("ant",), per_class=3, seed=6)
    images = start(tmp_path / "other/images", sources["c"])
    add(images, tmp_path / "late")
    table = HOW.index(images)
    assert set(table.loc[table["origin"].str.contains("/test/"), "split"]) == {"test"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("batch-1", "there is a batch batch-1 already"),
        ("Batch-1", "already"),
        ("a__b", "a name of a batch has"),
        ("a/b", "a name"),
        ("-x", "a n"),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, sources: dict[str, Path], name: str, words: str) -> None:
    images = start(tmp_path / "images", sources["a"])
    with pytest.raises(ParamsError, match=words):
        joining.add(str(sources["b"]), tmp_path / "next", images, Path("none"), HOW, batch=name, options=PART)


def test_labels_that_cannot_stand_beside_those_there(tmp_path: Path, sources: dict[str, Path]) -> None:
    images = start(tmp_path / "images", sources["a"])
    toy.images(tmp_path / "case", ("ANT",), per_class=3, seed=4)
    with pytest.raises(DataError, match="differ only in case"):
        joining.add(str(tmp_path / "case"), tmp_path / "next", images, Path("none"), HOW, options=PART)
    assert not (tmp_path / "next").exists()
    with pytest.raises(DataError, match="no data set to add to"):
        joining.add(str(sources["b"]), tmp_path / "next", tmp_path / "nothing", Path("none"), HOW, options=PART)


def test_a_batch_is_forgotten(tmp_path: Path, sources: dict[str, Path]) -> None:
    images = start(tmp_path / "images", sources["a"])
    before = contents(images)
    add(images, sources["b"])
    add(images, sources["new"])
    assert joining.forget(tmp_path / "next", images, "batch-3") == 6
    assert joining.forget(tmp_path / "fewer", tmp_path / "next", "batch-2") == 20
    left = contents(tmp_path / "fewer")
    assert {path for path in left if not path.startswith(".")} == set(before)
    assert batches.names(batches.read(tmp_path / "fewer")) == ["batch-1"]
    with pytest.raises(ParamsError, match=r"no batch 'x'; there are batch-1"):
        joining.forget(tmp_path / "none", images, "x")
    with pytest.raises(DataError, match="what is left without batch-1 holds no images"):
        joining.forget(tmp_path / "none", tmp_path / "fewer", "batch-1")
    assert not (tmp_path / "none").exists()


def test_a_table_that_is_damaged_is_no_table(tmp_path: Path, sources: dict[str, Path]) -> None:
    images = start(tmp_path / "images", sources["a"])
    for text in ("path,batch\n", "path,batch,split\na,b,elsewhere\n", "", "path,batch,split\na\n"):
        (images / batches.FILE).write_text(text)
        with pytest.raises(DataError, match=r"other columns than|names splits"):
            batches.read(images)


def test_files_put_there_by_hand_follow_what_they_look_like(tmp_path: Path, sources: dict[str, Path]) -> None:
    images = start(tmp_path / "images", sources["a"])
    add(images, sources["b"])
    table = HOW.index(images)
    for split in ("train", "test"):
        path = table.loc[(table["split"] == split) & (table["label"] == "ant"), "path"].iloc[0]
        shutil.copy(images / path, images / f"ant/copy of {split}.png")
    after = HOW.index(images).set_index("path")
    assert after.loc[["ant/copy of train.png", "ant/copy of test.png"], "split"].tolist() == ["train", "test"]
    assert after.loc[table["path"], "split"].tolist() == table["split"].tolist()
    assert isinstance(after, pd.DataFrame)


def test_labels_that_were_reviewed_change_in_place(tmp_path: Path, sources: dict[str, Path]) -> None:
    images = start(tmp_path / "images", sources["a"])
    add(images, sources["b"])
    before = HOW.index(images).set_index("sha256")
    rows = [
        Reviewed("ant/0001.png", "ant", "change", "bee"),
        Reviewed("batch-2/bee/0002.png", "bee", "drop", ""),
        Reviewed("bee/0003.png", "ant", "change", "ant"),  # it has another label than was reviewed
    ]
    reviewed.write(tmp_path / "reviewed.csv", rows)
    summary = relabelling.apply(tmp_path / "next", images, tmp_path / "reviewed.csv")
    assert summary.notes[0].startswith("1 label changed and 1 image left out")
    after = HOW.index(tmp_path / "next").set_index("sha256")
    assert len(after) == summary.files == 39
    kept = before.loc[after.index]
    assert (after["split"] == kept["split"]).all()
    assert (after["batch"] == kept["batch"]).all()
    changed = after[after["label"] != kept["label"]]
    assert changed["path"].tolist() == ["bee/0001_2.png"]
    assert changed["origin"].tolist() == ["ant/0001.png"]
    assert not (tmp_path / "next/bee/batch-2__0002.png").exists()
    reviewed.write(tmp_path / "reviewed.csv", [Reviewed("ant/0001.png", "bee", "change", "BEE")])
    with pytest.raises(DataError, match="differ only in case"):
        relabelling.apply(tmp_path / "none", tmp_path / "next", tmp_path / "reviewed.csv")
    assert not (tmp_path / "none").exists()


def test_a_batch_of_which_nothing_can_be_read_is_refused_and_what_cannot_be_is_told(tmp_path: Path, sources: dict[str, Path]) -> None:
    images = start(tmp_path / "images", sources["a"])
    (tmp_path / "cut/ant").mkdir(parents=True)
    whole = (sources["b"] / "ant/0000.png").read_bytes()
    (tmp_path / "cut/ant/1.png").write_bytes(whole[:-300])
    before = contents(images)
    with pytest.raises(DataError, match=r"none of the 1 new file of .* can be read: 1 truncated"):
        add(images, tmp_path / "cut")
    assert contents(images) == before
    (tmp_path / "cut/ant/2.png").write_bytes(whole)
    summary = add(images, tmp_path / "cut")
    assert (summary.files, summary.unreadable) == (1, [("ant/1.png", "truncated: the file ends early")])


def test_a_folder_of_a_known_class_is_that_class_and_not_passed_by(tmp_path: Path, sources: dict[str, Path]) -> None:
    images = start(tmp_path / "images", sources["a"])
    shutil.copytree(sources["b"] / "ant", tmp_path / "more/ant/monday")
    with pytest.raises(DataError, match="ant/monday lies inside a class folder"):
        add(images, tmp_path / "more")
    assert add(images, tmp_path / "more", options=Options(fewest=1, recursive=True)).classes == ["ant"]
