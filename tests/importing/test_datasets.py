"""headstart.datasets: every kind of source fills a fresh folder; a refused one leaves nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headstart.data import belonging, clutter
from headstart.importing import copying, datasets, public_sets
from headstart.importing.options import Options
from headstart.importing.shelf import Shelf
from headstart.indexing import indexer, layout
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from tests import toy


def files(folder: Path) -> dict[str, bytes]:
    """The files below a folder; not the tables that go with them."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def load(source: Path | str, target: Path, **options: Any) -> datasets.Summary:
    return datasets.import_dataset(str(source), target / "target", current=target / "data/images", **options)


def refusal(source: Path | str, tmp_path: Path, kind: type[HeadstartError] = DataError, **options: Any) -> str:
    """The message of a refusal, which must leave no target and the source as it was."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(kind) as caught:
        load(source, tmp_path, **options)
    assert type(caught.value) is kind
    assert sorted(tmp_path.rglob("*")) == before
    return str(caught.value)


def test_a_folder_of_classes(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", ("a b", 'it\'s "ü" 写真'), per_class=3)
    (tmp_path / "in/.DS_Store").touch()
    summary = load(tmp_path / "in", tmp_path)
    (tmp_path / "in/.DS_Store").unlink()
    assert summary == datasets.Summary(6, ["a b", 'it\'s "ü" 写真'], {})
    assert str(summary) == "6 files in 2 classes"
    assert files(tmp_path / "target") == files(tmp_path / "in")


def test_a_folder_of_splits_gets_canonical_names(tmp_path: Path) -> None:
    toy.split_images(tmp_path / "in", {"Training": 3, "validation": 2, "testing": 1})
    summary = load(tmp_path / "in", tmp_path)
    assert str(summary) == "18 files in 3 classes (9 train, 6 validation, 3 test)"
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == ["test", "train", "val"]
    assert files(tmp_path / "target/val") == files(tmp_path / "in/validation")
    table = indexer.index(tmp_path / "target", **toy.INDEX)
    assert table["split"].value_counts().to_dict() == {"train": 9, "validation": 6, "test": 3}


def test_train_alone_is_no_split(tmp_path: Path) -> None:
    toy.split_images(tmp_path / "in", {"train": 3})
    assert load(tmp_path / "in", tmp_path).splits == {}
    assert files(tmp_path / "target") == files(tmp_path / "in/train")


def test_a_folder_around_it_is_passed_by(tmp_path: Path) -> None:
    toy.images(tmp_path / "in/outer/inner", per_class=2)
    (tmp_path / "in/outer/README.md").write_text("about")
    (tmp_path / "in/__MACOSX").mkdir()
    load(tmp_path / "in", tmp_path)
    assert files(tmp_path / "target") == files(tmp_path / "in/outer/inner")


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_archives(tmp_path: Path, kind: str, wrapped: bool) -> None:
    toy.split_images(tmp_path / "in/photos", {"train": 2, "val": 1})
    archive = shutil.make_archive(str(tmp_path / "photos"), kind, tmp_path / "in" / ("" if wrapped else "photos"))
    summary = load(archive, tmp_path)
    assert (summary.files, summary.splits) == (9, {"train": 6, "validation": 3})
    assert files(tmp_path / "target") == files(tmp_path / "in/photos")
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == ["train", "val"]


def test_a_refused_archive_leaves_nothing(tmp_path: Path) -> None:
    toy.images(tmp_path / "in")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "in", "in")
        tar.add(tmp_path / "in/ant/0000.png", "../evil.png")
    assert "its member '../evil.png' points outside the archive" in refusal(tmp_path / "a.tar", tmp_path)
    toy.images(tmp_path / "one", ("cat",))
    archive = shutil.make_archive(str(tmp_path / "one"), "zip", tmp_path / "one")
    assert refusal(archive, tmp_path).startswith(f"{archive} has one class, 'cat'")


@pytest.mark.parametrize("archived", [False, True])
def test_labels_from_a_csv(tmp_path: Path, archived: bool) -> None:
    for number in range(6):
        (tmp_path / "in/deep").mkdir(parents=True, exist_ok=True)
        toy.photo(number).save(tmp_path / f"in/deep/{number}.png")
        toy.photo(number, 1).save(tmp_path / f"in/{number}.png")
    lines = [f"{folder}{number}.png,{'even' if number % 2 == 0 else 'odd'}" for folder in ("", "deep/") for number in range(5)]
    (tmp_path / "labels.csv").write_text("path,label\n" + "\n".join(lines))
    source = shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "in") if archived else tmp_path / "in"
    summary = load(source, tmp_path, labels=tmp_path / "labels.csv")
    assert (summary.files, summary.classes, summary.splits, summary.renamed) == (10, ["even", "odd"], {}, 5)
    assert summary.skipped == ["5.png", "deep/5.png"]
    assert str(summary) == (
        "10 files in 2 classes; 5 renamed because their name was taken; left out, as they have no label: 5.png, deep/5.png"
    )
    found = files(tmp_path / "target")
    assert found["even/0.png"] == (tmp_path / "in/0.png").read_bytes()
    assert found["even/0_2.png"] == (tmp_path / "in/deep/0.png").read_bytes()


def test_splits_from_a_csv(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", ("x",), per_class=6)
    rows = [f"x/{number:04d}.png,{'ab'[number % 2]},{('train', 'val', 'test')[number // 2]}" for number in range(6)]
    (tmp_path / "in/labels.csv").write_text("path,label,split\n" + "\n".join(rows))
    summary = load(tmp_path / "in", tmp_path, labels=Path("labels.csv"))
    assert summary.splits == {"train": 2, "validation": 2, "test": 2}
    assert sorted(files(tmp_path / "target")) == [
        "test/a/0004.png",
        "test/b/0005.png",
        "train/a/0000.png",
        "train/b/0001.png",
        "val/a/0002.png",
        "val/b/0003.png",
    ]


def test_bad_labels_files_are_refused(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", ("x",), per_class=4)
    csv = tmp_path / "labels.csv"
    for text, message in [
        ("path,label\nx/0000.png,a/b\nx/0001.png,\n", "1 label(s) cannot be the name of a folder"),
        ("path,label\nx/0000.png,Cat\nx/0001.png,cat\n", "the labels 'Cat' and 'cat' differ only in case"),
        ("path,label\nx/0000.png,cat\nx/0001.png,cat\n", "has one class, 'cat'"),
        ("path,label\nx/0000.png,train\nx/0001.png,test\n", "are names of splits"),
        ("path,label\ngone.png,cat\n", "1 file(s) are missing: gone.png (line 2)"),
    ]:
        csv.write_text(text)
        assert message in refusal(tmp_path / "in", tmp_path, labels=csv)
    assert "--labels goes with a folder or an archive" in refusal("digits", tmp_path, ParamsError, labels=csv)


def test_names_that_differ_only_in_case_get_a_suffix(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", per_class=2)
    for name in ("A.PNG", "a.png", "a_2.png"):
        toy.photo(len(name), ord(name[0])).save(tmp_path / "in/ant" / name)
    assert load(tmp_path / "in", tmp_path).renamed == 2
    assert sorted(path.name for path in (tmp_path / "target/ant").iterdir()) == ["0000.png", "0001.png", "A.PNG", "a_2.png", "a_2_2.png"]


def test_torchvision_sets_are_copied_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "somewhere/x.jpg"
    source.parent.mkdir()
    toy.photo().save(source)

    def fake(root: Path) -> Iterator[public_sets.Sample]:
        assert root.is_dir()
        (root / "download.tar").write_bytes(b"large")
        yield public_sets.Sample("train", "ant", source)
        yield public_sets.Sample("train", "bee", toy.photo(1))
        yield public_sets.Sample("test", "ant", source)
        yield public_sets.Sample("test", "bee", toy.photo(1, 1))

    monkeypatch.setitem(public_sets.SETS, "dtd", fake)
    summary = load("torchvision:DTD", tmp_path)
    assert summary.splits == {"train": 2, "test": 2}
    found = files(tmp_path / "target")
    assert sorted(found) == ["test/ant/x.jpg", "test/bee/000003.png", "train/ant/x.jpg", "train/bee/000001.png"]
    assert found["train/ant/x.jpg"] == source.read_bytes()
    with Image.open(tmp_path / "target/train/bee/000001.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(toy.photo(1)))


def test_torchvision_failures_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(root: Path) -> Iterator[public_sets.Sample]:
        yield public_sets.Sample("", "ant", toy.photo())
        raise HeadstartError("torchvision's DTD could not be downloaded")

    monkeypatch.setitem(public_sets.SETS, "dtd", offline)
    assert "could not be downloaded" in refusal("torchvision:dtd", tmp_path, HeadstartError)
    assert "torchvision:nothing is unknown; known are torchvision:caltech101" in refusal("torchvision:nothing", tmp_path, ParamsError)


def test_sources_that_are_none(tmp_path: Path) -> None:
    assert "there is no " in refusal(tmp_path / "gone", tmp_path)
    assert "torchvision:NAME, demo or digits" in refusal("dmeo", tmp_path)
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "photos.rar").touch()
    assert "is empty" in refusal(tmp_path / "photo.jpg", tmp_path)
    Image.new("RGB", (9, 9)).save(tmp_path / "photo.jpg")
    assert "is one image: give a folder" in refusal(tmp_path / "photo.jpg", tmp_path)
    (tmp_path / "photos.rar").write_bytes(b"words")
    assert "is a file, and no archive Headstart knows" in refusal(tmp_path / "photos.rar", tmp_path)
    (tmp_path / "photos.zip").write_bytes(b"PK")
    assert "is damaged or none" in refusal(tmp_path / "photos.zip", tmp_path)


def test_folders_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no images" in refusal(tmp_path / "empty", tmp_path)
    toy.images(tmp_path / "one", ("cat",), per_class=3)
    assert "has one class, 'cat'" in refusal(tmp_path / "one", tmp_path)
    toy.images(tmp_path / "case", ("Cat", "cat"), per_class=3)
    assert "the labels 'Cat' and 'cat' differ only in case" in refusal(tmp_path / "case", tmp_path)
    for name in ("src/a", "docs/b.c"):
        (tmp_path / "code" / name).parent.mkdir(parents=True)
        (tmp_path / "code" / name).write_text("no photo")
    assert "holds no photo, but 1 .c, 1 a; give a folder CLASS/FILE" in refusal(tmp_path / "code", tmp_path)
    toy.images(tmp_path / "hollow", per_class=2)
    (tmp_path / "hollow/cow").mkdir()
    assert "no file in the class folder(s) cow; fill or remove them" in refusal(tmp_path / "hollow", tmp_path)


def test_what_lies_beside_the_classes(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", per_class=2)
    (tmp_path / "in/LICENSE").write_text("free")
    (tmp_path / "in/README.md").write_text("about")
    (tmp_path / "in/ant/notes.txt").write_text("a sidecar: left out and said")
    (tmp_path / "in/ant/call.mp3").write_bytes(b"ID3 no picture, and no name of one")
    (tmp_path / "in/ant/broken.jpg").write_bytes(b"meant to be one: kept, not counted, and quarantined later")
    toy.photo().save(tmp_path / "in/ant/IMG0001", "JPEG")
    summary = load(tmp_path / "in", tmp_path)
    assert summary.skipped == []
    assert summary.sidecars == ["ant/call.mp3", "ant/notes.txt", "LICENSE", "README.md"]
    assert summary.unreadable == [("ant/broken.jpg", "not an image")]
    assert str(summary) == (
        "7 files in 3 classes; left out, as they are no photos: 1 .md, 1 .mp3, 1 .txt, 1 LICENSE; "
        "not counted, as they cannot be read: ant/broken.jpg"
    )
    assert (tmp_path / "target/ant/broken.jpg").exists()
    assert (tmp_path / "target/ant/IMG0001").exists()
    assert not (tmp_path / "target/ant/notes.txt").exists()
    shutil.rmtree(tmp_path / "target")
    toy.photo().save(tmp_path / "in/stray.JPG")
    assert "1 image(s) lie beside the class folders of" in refusal(tmp_path / "in", tmp_path)


def test_names_that_are_not_utf8_are_refused_before_anything_is_copied(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", per_class=2)
    (tmp_path / "in/bee" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    assert r"the name bee/caf\xe9.png is not valid UTF-8; rename it" in refusal(tmp_path / "in", tmp_path)


def test_a_folder_whose_files_have_one_reason_says_it(tmp_path: Path) -> None:
    for name in ("cat/1.jpg", "dog/2.jpg", "dog/3.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    says = refusal(tmp_path / "in", tmp_path)
    assert "none of the 3 files in" in says
    assert says.endswith("is an image that can be read: a git-lfs pointer, not the file itself: run git lfs pull, then import again")
    (tmp_path / "in/cat/4.pdf").write_text("%PDF-1.7")
    assert "3 of them: a git-lfs pointer" in refusal(tmp_path / "in", tmp_path)


def test_a_root_that_is_too_low_and_a_table_that_lies_beside(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", ("cat",), per_class=3)
    assert "the 3 image(s) of" in (says := refusal(tmp_path / "in/cat", tmp_path))
    assert "lie in no class folder, so nothing gives their labels; if they are one class, give the folder above" in says
    for place in ("in/cat", "in"):
        (tmp_path / place / "labels.csv").write_text("path,label\n")
        assert "holds labels.csv beside its images or folders, which is a table of labels, it seems: add --labels labels.csv" in refusal(
            tmp_path / place, tmp_path
        )
        (tmp_path / place / "labels.csv").unlink()
    (tmp_path / "in/cat/labels.csv").write_text("path,label\n")
    assert "it seems: add --labels cat/labels.csv" in refusal(tmp_path / "in", tmp_path)
    toy.images(tmp_path / "whole", per_class=2)
    (tmp_path / "whole/sizes.csv").write_text("path,size\n")
    assert load(tmp_path / "whole", tmp_path).sidecars == ["sizes.csv"]


def test_sub_folders_and_unlabelled_folders(tmp_path: Path) -> None:
    toy.split_images(tmp_path / "in", {"train": 2, "dev": 2})
    toy.images(tmp_path / "in/train/ant", ("camera1", "camera2"), per_class=1)
    toy.images(tmp_path / "flat", ("test",), per_class=2)
    (tmp_path / "flat/test").rename(tmp_path / "in/test")
    assert "add --recursive" in refusal(tmp_path / "in", tmp_path)
    summary = load(tmp_path / "in", tmp_path, how=Options(recursive=True))
    assert (summary.files, summary.splits) == (14, {"train": 8, "validation": 6})
    assert "left out test/: 2 files without class folders, hence without labels; `headstart predict` labels such files" in summary.notes


def test_a_class_that_is_empty_in_every_split_is_refused(tmp_path: Path) -> None:
    toy.split_images(tmp_path / "in", {"train": 2, "val": 2})
    (tmp_path / "in/train/cow").mkdir()
    (tmp_path / "in/val/cow").mkdir()
    (tmp_path / "in/val/cow/about.txt").write_text("no image")
    assert "no file in the class folder(s) train/cow, val/cow (with no photo but 1 .txt); fill or remove them" in refusal(
        tmp_path / "in", tmp_path
    )
    toy.photo(9).save(tmp_path / "in/train/cow/1.png")
    assert load(tmp_path / "in", tmp_path).files == 13


def test_the_manifest_keeps_where_files_came_from(tmp_path: Path) -> None:
    for camera in ("north", "south"):
        toy.images(tmp_path / f"in/{camera}", ("x",), per_class=4, seed=ord(camera[0]))
    rows = [f"{camera}/x/{n:04d}.png,{'ab'[n % 2]}" for camera in ("north", "south") for n in range(4)]
    (tmp_path / "labels.csv").write_text("path,label\n" + "\n".join(rows))
    summary = load(tmp_path / "in", tmp_path, labels=tmp_path / "labels.csv")
    assert summary.notes[0] == "files that got another name keep their origin in the manifest: a/0000_2.png is south/x/0000.png"
    table = indexer.index(tmp_path / "target", **toy.INDEX).set_index("path")
    assert table.loc["a/0000.png", "origin"] == "north/x/0000.png"
    assert table.loc["a/0000_2.png", "origin"] == "south/x/0000.png"
    shutil.rmtree(tmp_path / "target")
    toy.split_images(tmp_path / "plain", {"Training": 2, "testing": 1})
    load(tmp_path / "plain", tmp_path)
    assert not (tmp_path / "target/.origins.csv").exists()
    table = indexer.index(tmp_path / "target", **toy.INDEX)
    assert (table["origin"] == table["path"]).all()


def test_long_names_that_collide_get_short_ones(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    long = "ü" * 125 + ".jpeg"
    names = [shelf.place("a", "", name).name for name in (long, long, "x.png", "X.PNG", "x.png")]
    assert names[0] == long
    assert names[2:] == ["x.png", "X_2.PNG", "x_3.png"]
    assert names[1].startswith("ü" * 27 + "_")
    assert names[1].endswith("_2.jpeg")
    assert len(names[1].encode()) < 80
    assert shelf.place("a", "", "y" * 300 + ".png").name.endswith(".png")
    for name in names:
        (tmp_path / "a" / name).touch()


def test_many_files_of_one_name_take_no_time_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, folded = Shelf(tmp_path), layout.folded
    calls = []
    monkeypatch.setattr(layout, "folded", lambda name: calls.append(name) or folded(name))
    for _ in range(500):
        shelf.place("a", "", "image.jpg")
    assert len(calls) < 500 * 4


def test_links(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", per_class=2)
    (tmp_path / "in/ant/link.png").symlink_to("../bee/0000.png")
    load(tmp_path / "in", tmp_path)
    copied = tmp_path / "target/ant/link.png"
    assert not copied.is_symlink()
    assert copied.read_bytes() == (tmp_path / "in/bee/0000.png").read_bytes()
    shutil.rmtree(tmp_path / "target")
    toy.photo().save(tmp_path / "outside.png")
    for to, message in [
        (str(tmp_path / "outside.png"), "ant/link.png is a link that points outside the folder"),
        ("gone.png", "ant/link.png is a link that leads nowhere"),
        ("link.png", "ant/link.png is a link that leads nowhere"),
        ("../..", "ant/link.png is a link to a folder"),
    ]:
        (tmp_path / "in/ant/link.png").unlink()
        (tmp_path / "in/ant/link.png").symlink_to(to)
        assert message in refusal(tmp_path / "in", tmp_path)


def test_the_source_may_itself_be_a_link(tmp_path: Path) -> None:
    toy.images(tmp_path / "real", per_class=2)
    (tmp_path / "in").symlink_to("real")
    assert load(tmp_path / "in", tmp_path).files == 6


def test_the_data_set_in_use_is_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.images(tmp_path / "data/images", per_class=2)
    (tmp_path / "alias").symlink_to("data")
    for source in ("data/images", "data/images/ant", "data", "alias", "."):
        assert "where the imported data set lives; copy it elsewhere first" in refusal(tmp_path / source, tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="overlaps data/images"):
        datasets.import_dataset("data/images", Path("data/.import"))
    assert not Path("data/.import").exists()


def test_a_target_in_use_is_left_alone(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", per_class=2)
    (tmp_path / "target").mkdir()
    (tmp_path / "target/precious").touch()
    with pytest.raises(HeadstartError, match="is not empty; an import needs a fresh folder"):
        load(tmp_path / "in", tmp_path)
    assert (tmp_path / "target/precious").exists()


def test_no_permission_and_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.images(tmp_path / "in", per_class=2)
    secret = str(tmp_path / "in/bee/0001.png")

    def copyfile(source: Path, target: Path) -> None:
        if str(source) == secret:
            raise OSError(number, os.strerror(number), secret)
        Path(target).write_bytes(b"x")

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    monkeypatch.setattr(copying.Cloner, "_share", lambda *_: False)
    number = errno.EACCES
    assert f"no permission: {secret}" in refusal(tmp_path / "in", tmp_path)
    number = errno.ENOSPC
    assert refusal(tmp_path / "in", tmp_path, HeadstartError).startswith(f"the disk is full at {secret}: make room")
    number = errno.EIO
    assert "the disk failed to read or write" in refusal(tmp_path / "in", tmp_path, HeadstartError)


def test_an_interrupted_import_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.images(tmp_path / "in", per_class=2)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(copying.Cloner, "clone", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path / "in", tmp_path)
    assert not (tmp_path / "target").exists()


def test_blocks_are_shared_where_they_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.images(tmp_path / "in", per_class=2)
    calls = []

    def shares(target: int, request: int, source: int) -> int:
        calls.append(request)
        os.write(target, os.pread(source, 1 << 20, 0))
        return 0

    def must_not(*_: object) -> None:
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "ioctl", shares)
        patch.setattr(shutil, "copyfile", must_not)
        load(tmp_path / "in", tmp_path)
    assert calls == [0x40049409] * 6
    assert files(tmp_path / "target") == files(tmp_path / "in")

    def cannot(*_: object) -> int:
        calls.append(0)
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    shutil.rmtree(tmp_path / "target")
    monkeypatch.setattr(fcntl, "ioctl", cannot)
    load(tmp_path / "in", tmp_path)
    assert calls[6:] == [0]  # asked once, not for every file
    assert files(tmp_path / "target") == files(tmp_path / "in")


def labelled(tmp_path: Path, text: str, **how: Any) -> datasets.Summary:
    """Import the toy photos of a folder `in` with this table."""
    (tmp_path / "labels.csv").write_text(text)
    shutil.rmtree(tmp_path / "target", ignore_errors=True)
    return load(tmp_path / "in", tmp_path, labels=tmp_path / "labels.csv", how=Options(**how))


def test_what_is_bad_is_left_out_and_listed(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", ("x",), per_class=9)
    cut = tmp_path / "in/x/0003.png"
    cut.write_bytes(cut.read_bytes()[:-300])
    rows = [f"x/{number:04d}.png,{'ab'[number % 2]}" for number in range(7)]
    text = "path,label\n" + "\n".join([*rows, "x/0007.png,c", "gone.png,a", "x/0008.png,"])
    summary = labelled(tmp_path, text, skip_bad=True, least=2)
    assert (summary.files, summary.classes) == (6, ["a", "b"])
    assert [(one.path, one.reason) for one in summary.left_out] == [
        ("gone.png", "missing"),
        ("x/0008.png", "no label"),
        ("x/0003.png", "truncated: the file ends early"),
        ("x/0007.png", "its class has 1 image(s), fewer than the 2 of validate_data.min_images_per_class"),
    ]
    with pytest.raises(DataError, match=r"1 row.s. have no label") as refused:
        labelled(tmp_path, text)
    assert "Mend them, or go on without: --skip-bad" in str(refused.value)


def test_small_classes_are_told_at_import(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", per_class=2)
    notes = load(tmp_path / "in", tmp_path, how=Options(least=3)).notes
    assert notes[0].startswith("3 class(es) have fewer than the 3 images of validate_data.min_images_per_class")
    assert "ant, bee, cat; --skip-bad leaves them out" in notes[0]


def test_of_copies_one_is_kept(tmp_path: Path) -> None:
    toy.split_images(tmp_path / "in", {"train": 2, "test": 1})
    image = Image.open(tmp_path / "in/train/ant/0000.png")
    image.save(tmp_path / "in/test/ant/same.png", compress_level=0)  # other bytes, the same pixels
    image.save(tmp_path / "in/train/ant/again.bmp")
    summary = load(tmp_path / "in", tmp_path, how=Options(drop_duplicates=True))
    assert [(one.path, one.reason) for one in summary.left_out] == [
        ("train/ant/again.bmp", "copy of train/ant/0000.png"),
        ("test/ant/same.png", "copy of train/ant/0000.png"),
    ]
    assert summary.files == 9
    image.save(tmp_path / "in/train/bee/wrong.png")
    shutil.rmtree(tmp_path / "target")
    assert "1 image(s) lie under two labels, so no copy can be dropped" in refusal(
        tmp_path / "in", tmp_path, how=Options(drop_duplicates=True)
    )


def test_groups(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", ("p1", "p2"), per_class=4)
    rows = [f"{patient}/{number:04d}.png,{'ab'[number % 2]},{patient}" for patient in ("p1", "p2") for number in range(4)]
    text = "path,label,patient\n" + "\n".join(rows)
    for how in ({"columns": {"group": "patient"}}, {"group_by_folder": True}, {"group_pattern": r"(p\d)/"}):
        assert labelled(tmp_path, text, **how).groups == 2
        groups = belonging.read(tmp_path / "target")
        assert len(groups) == 8
        for path, group in groups.items():
            content = (tmp_path / "target" / path).read_bytes()
            assert content in [file.read_bytes() for file in (tmp_path / "in" / group).iterdir()]
    assert labelled(tmp_path, text, group_pattern="p2").notes[-1].startswith("4 file(s) belong to no group, such as p1/0000.png")
    with pytest.raises(DataError, match=r"--group-pattern finds no groups: no path matches, such as p1/0000\.png"):
        labelled(tmp_path, text, group_pattern="camera")
    with pytest.raises(DataError, match="--group-by-folder finds no groups: it wants a folder for each group"):
        load(tmp_path / "in", tmp_path, how=Options(group_by_folder=True))
    with pytest.raises(ParamsError, match="both say what belongs together"):
        Options(group_by_folder=True, columns={"group": "patient"})
    with pytest.raises(ParamsError, match="is no regular expression"):
        Options(group_pattern="(")


def test_sub_folders_of_a_class_can_be_its_groups(tmp_path: Path) -> None:
    for label in ("ant", "bee"):
        toy.images(tmp_path / "in" / label, ("p1", "p2"), per_class=3)
    assert load(tmp_path / "in", tmp_path, how=Options(group_by_folder=True)).groups == 4
    groups = belonging.read(tmp_path / "target")
    assert sorted(set(groups.values())) == ["ant/p1", "ant/p2", "bee/p1", "bee/p2"]
    assert {path.partition("/")[0] for path, group in groups.items() if group.startswith("ant/")} == {"ant"}
    assert len(groups) == 12


def test_a_group_may_be_called_like_its_class(tmp_path: Path) -> None:
    for label in ("ant", "bee"):
        toy.images(tmp_path / "in" / label, (label, "p2"), per_class=2)
    assert load(tmp_path / "in", tmp_path, how=Options(recursive=True, group_by_folder=True)).groups == 4
    assert sorted(set(belonging.read(tmp_path / "target").values())) == ["ant/ant", "ant/p2", "bee/bee", "bee/p2"]
    toy.images(tmp_path / "doubled/ant", ("ant",), per_class=3)
    toy.images(tmp_path / "doubled/bee", ("p1", "p2"), per_class=3)
    shutil.rmtree(tmp_path / "target")
    assert load(tmp_path / "doubled", tmp_path, how=Options(recursive=True, group_by_folder=True)).groups == 2


def test_options_are_kept_for_an_update(tmp_path: Path) -> None:
    how = Options(columns={"path": "a", "label": "b"}, skip_bad=True, group_pattern="x", least=4)
    assert Options.from_json(how.to_json(), tmp_path, 4) == how
    assert Options().to_json() == {}
    for wrong in (["skip_bad"], {"skip_bad": "yes"}, {"colour": "red"}, {"columns": {"path": 1}}):
        with pytest.raises(DataError, match="does not say how its images were imported"):
            Options.from_json(wrong, tmp_path, 1)


def test_options_that_do_not_fit_the_source(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", per_class=2)
    assert "--columns goes with --labels" in refusal(tmp_path / "in", tmp_path, ParamsError, how=Options(columns={"path": "a"}))
    assert "drop-duplicates goes with a folder" in refusal("demo", tmp_path, ParamsError, how=Options(drop_duplicates=True))


def test_folders_of_annotations_beside_the_classes_are_left_out_and_said(tmp_path: Path) -> None:
    toy.images(tmp_path / "in/images", per_class=2)
    (tmp_path / "in/annotations").mkdir()
    (tmp_path / "in/annotations/0.xml").write_text("<x/>")
    assert "left out the folder annotations: no photo is in it" in load(tmp_path / "in", tmp_path).notes
    shutil.rmtree(tmp_path / "target")
    (tmp_path / "in/annotations").rename(tmp_path / "in/images/labels")
    summary = load(tmp_path / "in", tmp_path)
    assert summary.classes == ["ant", "bee", "cat"]
    assert "left out the folder labels: no photo is in it" in summary.notes


def test_class_folders_without_a_photo_can_be_left_out(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", per_class=2)
    (tmp_path / "in/cow").mkdir()
    (tmp_path / "in/ant/gone.png").symlink_to("nowhere")
    assert "--skip-bad" in refusal(tmp_path / "in", tmp_path)
    left = load(tmp_path / "in", tmp_path, how=Options(skip_bad=True)).left_out
    assert [one.path for one in left] == ["ant/gone.png", "cow"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("labels.csv", "add --labels labels.csv"),
        ("labels.txt", "add --labels labels.txt"),
        ("annotations.json", "save it as CSV, with a column of file names and one of labels, and add --labels annotations.csv"),
        ("Labels.xlsx", "save it as CSV"),
    ],
)
def test_a_table_beside_images_without_classes_is_named(tmp_path: Path, table: str, says: str) -> None:
    toy.images(tmp_path / "in", ("images",), per_class=2)
    (tmp_path / "in" / table).write_text("x")
    assert says in refusal(tmp_path / "in", tmp_path)


def test_a_table_beside_flat_splits_is_named(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", ("train", "test"), per_class=2)
    (tmp_path / "in/train.csv").write_text("x")
    assert "if train.csv is a table of labels, add --labels train.csv" in refusal(tmp_path / "in", tmp_path)


def test_what_holds_archives_or_tables_of_pictures_says_so(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "README.md").write_text("hello")
    assert f"{source} holds no photo, but 1 .md; give a folder" in refusal(source, tmp_path)
    for name in ("cat.zip", "dog.zip"):
        (source / name).write_bytes(b"PK\3\4 and so on")
    assert "none of the 2 files in" in (said := refusal(source, tmp_path))
    assert "an archive: unpack it, or import it by itself" in said
    shutil.rmtree(source)
    (source / "data").mkdir(parents=True)
    (source / "data/train-00000.parquet").write_bytes(b"PAR1 and so on PAR1")
    assert "none of the 1 files in" in (said := refusal(source, tmp_path))
    assert "a table or a file of records: save its pictures as files" in said


@pytest.mark.parametrize(
    ("count", "how", "says"),
    [
        (
            3,
            {"skip_bad": True, "least": 5},
            "nothing is left, as 6 files or rows cannot be used: 6 its class has 3 image(s), fewer than the 5",
        ),
        (
            1,
            {"drop_duplicates": True, "skip_bad": True},
            "nothing is left, as 2 files or rows cannot be used: 2 the same image under several labels",
        ),
    ],
)
def test_if_too_little_is_left_it_says_why(tmp_path: Path, count: int, how: dict[str, Any], says: str) -> None:
    toy.images(tmp_path / "in", ("ant", "bee"), per_class=count)
    if count == 1:
        shutil.copy(tmp_path / "in/ant/0000.png", tmp_path / "in/bee/0000.png")
    assert says in refusal(tmp_path / "in", tmp_path, how=Options(**how))


def test_an_image_under_two_labels_can_be_left_out(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", ("ant", "bee"), per_class=3)
    shutil.copy(tmp_path / "in/ant/0000.png", tmp_path / "in/bee/other.png")
    summary = load(tmp_path / "in", tmp_path, how=Options(drop_duplicates=True, skip_bad=True))
    assert summary.files == 5
    assert [(one.path, one.reason) for one in summary.left_out] == [
        (path, "the same image under several labels: 'ant' and 'bee'") for path in ("ant/0000.png", "bee/other.png")
    ]


def test_one_group_for_all_is_refused(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", per_class=2)
    assert "all 6 images belong to one group, 'png', so none can be held out" in refusal(
        tmp_path / "in", tmp_path, how=Options(group_pattern="png")
    )


def test_names_of_sidecars_are_one_line(tmp_path: Path) -> None:
    assert clutter.kinds(["a/x.a\nb", "y.\x1b[2J", "z.a\nb"]) == "2 .a\\nb, 1 .\\x1b[2j"


def test_a_part_of_a_pattern_that_finds_nothing_is_no_group(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", ("ant", "bee"), per_class=2)
    summary = load(tmp_path / "in", tmp_path, how=Options(group_pattern="(nt/)?000(1)?"))
    assert (summary.groups, summary.notes[0]) == (1, "2 file(s) belong to no group, such as bee/0000.png, bee/0001.png")
    assert set(belonging.read(tmp_path / "target").values()) == {"nt/"}
