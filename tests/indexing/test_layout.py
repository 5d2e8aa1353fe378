"""headstart.layout: classes and splits of a folder, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headstart.indexing import layout
from headstart.machinery.errors import DataError


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("content")
    return root


def refusal(root: Path, **options: Path) -> str:
    with pytest.raises(DataError) as caught:
        layout.check(layout.scan(root, shown="FOLDER", **options), "FOLDER")
    return str(caught.value)


def test_classes(tmp_path: Path) -> None:
    contents = layout.scan(touch(tmp_path, "dog/2.jpg", "cat/1.jpg", "cat/0.jpg"))
    assert contents.items == [("cat/0.jpg", "cat", ""), ("cat/1.jpg", "cat", ""), ("dog/2.jpg", "dog", "")]
    assert (contents.beside, contents.empty) == ([], [])


@pytest.mark.parametrize(
    ("name", "split"), [("val", "validation"), ("valid", "validation"), ("Validation", "validation"), ("testing", "test")]
)
def test_splits(tmp_path: Path, name: str, split: str) -> None:
    contents = layout.scan(touch(tmp_path, "Training/cat/1.jpg", f"{name}/cat/1.jpg", f"{name}/dog/1.jpg"))
    assert [(item.label, item.split) for item in contents.items if item.path.startswith("Tr")] == [("cat", "train")]
    assert [(item.label, item.split) for item in contents.items if item.path.startswith(name)] == [("cat", split), ("dog", split)]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    contents = layout.scan(touch(tmp_path, "train/1.jpg", "bus/1.jpg"))
    assert [(item.label, item.split) for item in contents.items] == [("bus", ""), ("train", "")]


def test_hidden_things_are_left_out(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "cat/1.jpg",
        "dog/1.jpg",
        ".DS_Store",
        "cat/.DS_Store",
        "cat/Thumbs.db",
        "__MACOSX/cat/._1.jpg",
        ".git/config",
        "dog/desktop.ini",
    )
    contents = layout.scan(tmp_path)
    assert [item.path for item in contents.items] == ["cat/1.jpg", "dog/1.jpg"]
    assert contents.beside == []


def test_files_beside_and_empty_classes_are_told(tmp_path: Path) -> None:
    touch(tmp_path / "flat", "cat/1.jpg", "dog/1.jpg", "README.md")
    (tmp_path / "flat" / "cow").mkdir()
    assert layout.scan(tmp_path / "flat")[1:] == (["README.md"], ["cow"])
    touch(tmp_path / "split", "train/cat/1.jpg", "train/stray.jpg", "test/cat/1.jpg", "notes.txt")
    (tmp_path / "split/test/dog").mkdir()
    assert layout.scan(tmp_path / "split")[1:] == (["notes.txt", "train/stray.jpg"], ["test/dog"])


def test_names_of_any_kind(tmp_path: Path) -> None:
    names = ['it\'s a "cat"/a b.jpg', "Größe 写真/🐜.jpg", "x/new\nline.jpg"]
    assert [item.path for item in layout.scan(touch(tmp_path, *names)).items] == sorted(names)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "FOLDER holds no images; import some with `headstart import PATH`"),
        (["cat/1.jpg"], "FOLDER has one class, 'cat'"),
        (["Cat/1.jpg", "cat/2.jpg", "dog/1.jpg"], "the labels 'Cat' and 'cat' differ only in case"),
        (["caf\u00e9/1.jpg", "cafe\u0301/2.jpg"], "differ only in case"),
        (["train/cat/1.jpg", "test/CAT/1.jpg"], "the labels 'CAT' and 'cat' differ only in case"),
        (["train/cat/1.jpg", "dog/1.jpg"], "FOLDER mixes layouts: train hold(s) class folders, dog not"),
        (["train/cat/1.jpg", "test/1.jpg"], "FOLDER mixes layouts: train hold(s) class folders, test not"),
        (["train/1.jpg", "test/1.jpg"], "test, train hold(s) files but no class folders"),
        (["cat/old/1.jpg", "dog/1.jpg"], "the folder cat/old lies inside a class folder"),
        (["train/cat/old/1.jpg", "train/dog/1.jpg"], "the folder train/cat/old lies inside a class folder"),
        (["train/cat/1.jpg", "val/cat/1.jpg", "valid/cat/1.jpg"], "the folders 'val' and 'valid' both mean validation"),
        (["val/cat/1.jpg", "test/cat/1.jpg"], "FOLDER has test, val but no train folder"),
        (["cat /1.jpg", "dog/1.jpg"], "'cat ' begins or ends with a space"),
        (["a\\b/1.jpg", "dog/1.jpg"], "holds a slash"),
        (["a\nb/1.jpg", "dog/1.jpg"], "holds a control character"),
    ],
)
def test_refused(tmp_path: Path, paths: list[str], message: str) -> None:
    assert message in refusal(touch(tmp_path, *paths))


def test_no_folder(tmp_path: Path) -> None:
    assert "there is no folder FOLDER" in refusal(tmp_path / "gone")
    touch(tmp_path, "file")
    assert "FOLDER is not a folder" in refusal(tmp_path / "file")


@pytest.mark.parametrize("raw", [b"cat/caf\xe9.jpg", b"caf\xe9/1.jpg"])
def test_names_that_are_not_utf8(tmp_path: Path, raw: bytes) -> None:
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg")
    touch(tmp_path, os.fsdecode(raw))
    message = refusal(tmp_path)
    assert r"caf\xe9" in message
    assert "is not valid UTF-8; rename it" in message
    message.encode()


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "cat/1.jpg", "dog/1.jpg")
    touch(tmp_path, "outside.jpg")
    (root / "cat/2.jpg").symlink_to("1.jpg")
    assert [item.path for item in layout.scan(root, links_within=root).items] == ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]
    (root / "cat/3.jpg").symlink_to(tmp_path / "outside.jpg")
    assert "cat/3.jpg" in [item.path for item in layout.scan(root).items]  # as DVC links into its cache
    assert "FOLDER/cat/3.jpg is a link that points outside the folder; replace it" in refusal(root, links_within=root)


def test_links_that_are_refused(tmp_path: Path) -> None:
    root = touch(tmp_path, "cat/1.jpg", "dog/1.jpg")
    link = root / "cat/link"
    for to, message in [
        ("gone.jpg", "FOLDER/cat/link is a link that leads nowhere"),
        ("link", "FOLDER/cat/link is a link that leads nowhere"),
        ("..", "FOLDER/cat/link is a link to a folder"),
        ("/dev/null", "FOLDER/cat/link is a link to something that is no file"),
    ]:
        link.symlink_to(to)
        assert message in refusal(root)
        link.unlink()
    (root / "cow").symlink_to("cat")
    assert "FOLDER/cow is a link to a folder" in refusal(root)


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg")
    os.mkfifo(tmp_path / "cat/pipe")
    assert "FOLDER/cat/pipe is neither a file nor a folder" in refusal(tmp_path)


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg")
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root, who runs the tests in a container, may read everything
    assert refusal(tmp_path) == "no permission to read the folder FOLDER/dog; allow it with chmod u+rx"


def test_labels() -> None:
    assert [layout.check_label(label) for label in ("cat", "T-shirt", "f-18?", "ö ö")] == [""] * 4
    bad = ["", " ", "a/b", "..", ".", ".cat", "__MACOSX", "a\0b", "x" * 201]
    assert all(layout.check_label(label) for label in bad)
    layout.check_labels(["cat", "cat", "dog"])
