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

from headstart.importing import datasets, public_sets
from headstart.indexing import indexer
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from tests import toy


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
        ("path,label\nx/0000.png,a/b\nx/0001.png,\n", "2 label(s) cannot be the name of a folder"),
        ("path,label\nx/0000.png,Cat\nx/0001.png,cat\n", "the labels 'Cat' and 'cat' differ only in case"),
        ("path,label\nx/0000.png,cat\nx/0001.png,cat\n", "has one class, 'cat'"),
        ("path,label\nx/0000.png,train\nx/0001.png,test\n", "hold(s) files but no class folders"),
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
    assert "is a file, and no archive Headstart knows" in refusal(tmp_path / "photo.jpg", tmp_path)
    assert "is a file, and no archive Headstart knows" in refusal(tmp_path / "photos.rar", tmp_path)
    (tmp_path / "photos.zip").write_bytes(b"PK")
    assert "is damaged or no archive" in refusal(tmp_path / "photos.zip", tmp_path)


def test_folders_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no images" in refusal(tmp_path / "empty", tmp_path)
    toy.images(tmp_path / "one", ("cat",), per_class=3)
    assert "has one class, 'cat'" in refusal(tmp_path / "one", tmp_path)
    toy.images(tmp_path / "case", ("Cat", "cat"), per_class=3)
    assert "the labels 'Cat' and 'cat' differ only in case" in refusal(tmp_path / "case", tmp_path)
    for name in ("src/a.py", "docs/b.md"):
        (tmp_path / "code" / name).parent.mkdir(parents=True)
        (tmp_path / "code" / name).write_text("no photo")
    assert "none of the 2 files in" in refusal(tmp_path / "code", tmp_path)
    toy.images(tmp_path / "hollow", per_class=2)
    (tmp_path / "hollow/cow").mkdir()
    assert "no file in the class folder(s) cow; fill or remove them" in refusal(tmp_path / "hollow", tmp_path)


def test_what_lies_beside_the_classes(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", per_class=2)
    (tmp_path / "in/LICENSE").write_text("free")
    (tmp_path / "in/ant/notes.txt").write_text("inside a class: kept, and quarantined later")
    summary = load(tmp_path / "in", tmp_path)
    assert summary.skipped == ["LICENSE"]
    assert str(summary) == "7 files in 3 classes; left out, as they have no label: LICENSE"
    shutil.rmtree(tmp_path / "target")
    toy.photo().save(tmp_path / "in/stray.JPG")
    assert "1 image(s) lie beside the class folders of" in refusal(tmp_path / "in", tmp_path)


def test_names_that_are_not_utf8_are_refused_before_anything_is_copied(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", per_class=2)
    (tmp_path / "in/bee" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    assert r"the name bee/caf\xe9.png is not valid UTF-8; rename it" in refusal(tmp_path / "in", tmp_path)


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
    monkeypatch.setattr(datasets._Cloner, "_share", lambda *_: False)
    number = errno.EACCES
    assert f"no permission: {secret}" in refusal(tmp_path / "in", tmp_path)
    number = errno.ENOSPC
    assert refusal(tmp_path / "in", tmp_path, HeadstartError) == "the disk is full; make room and import again"
    number = errno.EIO
    assert "the import failed: " in refusal(tmp_path / "in", tmp_path, HeadstartError)


def test_an_interrupted_import_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.images(tmp_path / "in", per_class=2)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets._Cloner, "clone", interrupt)
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
