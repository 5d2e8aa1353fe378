"""headstart.layout: classes and splits of a folder, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headstart.data import clutter
from headstart.indexing import layout, split_names
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


def test_what_systems_leave_behind_is_no_class_and_no_photo(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg")
    for folder in ("@eaDir", "#recycle", "#snapshot", "@Recycle", "$RECYCLE.BIN", "RECYCLER", "System Volume Information", "lost+found"):
        touch(tmp_path, f"{folder}/1.jpg", f"cat/{folder}/1.jpg")
    touch(tmp_path, *(f"cat/{name}" for name in ("._1.jpg", "Thumbs.db", "Icon\r", "M0100.CTG", "MVI_1.THM", "2.jpg.part", "~$3.jpg")))
    assert [item.path for item in layout.scan(tmp_path).items] == ["cat/1.jpg", "dog/1.jpg"]
    touch(tmp_path, "recycled/1.jpg", "trash/1.jpg")
    assert {item.label for item in layout.scan(tmp_path).items} == {"cat", "dog", "recycled", "trash"}


def test_sidecars_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "cat/1.xml", "cat/1.jpg.JSON", "dog/1.jpg", "dog/1.xmp", "dog/1.AAE", "dog/list.txt", "cow/1.txt")
    contents = layout.scan(tmp_path)
    assert [item.path for item in contents.items] == ["cat/1.jpg", "dog/1.jpg"]
    assert contents.sidecars == ["cat/1.jpg.JSON", "cat/1.xml", "cow/1.txt", "dog/1.AAE", "dog/1.xmp", "dog/list.txt"]
    assert contents.hollow == ["cow"]
    assert clutter.kinds(contents.sidecars) == "2 .txt, 1 .aae, 1 .json, 1 .xml, 1 .xmp"


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "dev", "test"), ("train", "validation", "test")),
        (("train", "eval"), ("train", "validation")),
        (("train", "val", "eval"), ("train", "validation", "test")),
        (("train", "dev", "holdout"), ("train", "validation", "test")),
        (("train", "test", "holdout"), ("train", "test", "validation")),
        (("train_set", "test_set"), ("train", "test")),
        (("seg_train", "seg_test"), ("train", "test")),
        (("TrainSet", "ValidationSet"), ("train", "validation")),
        (("Training Data", "hold-out"), ("train", "test")),
        (("train2017", "val2017"), ("train", "validation")),
        (("images_train", "images.dev"), ("train", "validation")),
    ],
)
def test_names_of_splits_in_other_tools(tmp_path: Path, names: tuple[str, ...], splits: tuple[str, ...]) -> None:
    touch(tmp_path, *(f"{name}/{label}/{name}.jpg" for name in names for label in ("cat", "dog")))
    found = {item.path.partition("/")[0]: item.split for item in layout.scan(tmp_path).items}
    assert found == dict(zip(names, splits, strict=True))


def test_classes_whose_names_hold_a_split_stay_classes(tmp_path: Path) -> None:
    for name in ("freight train", "train station", "test tube", "devil", "crash test", "trainer", "dataset"):
        assert split_names.of(name) == "", name
    touch(tmp_path, "train/freight train/1.jpg", "train/test tube/1.jpg")
    assert {item.label for item in layout.scan(tmp_path).items} == {"freight train", "test tube"}


def test_a_split_inside_itself_is_that_split(tmp_path: Path) -> None:
    touch(
        tmp_path, "seg_train/seg_train/sea/1.jpg", "seg_train/seg_train/ice/1.jpg", "seg_test/seg_test/sea/2.jpg", "seg_pred/seg_pred/3.jpg"
    )
    contents = layout.scan(tmp_path, links_within=tmp_path)
    assert [item[1:] for item in contents.items] == [("sea", "test"), ("ice", "train"), ("sea", "train")]
    assert contents.unlabelled == [("seg_pred", 1)]


def test_a_test_folder_without_classes_is_left_out_of_an_import(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/1.jpg", "test/2.jpg")
    contents = layout.scan(tmp_path, links_within=tmp_path)
    assert (len(contents.items), contents.unlabelled) == (2, [("test", 2)])
    touch(tmp_path, "more/1.jpg")
    assert "mixes layouts: train hold(s) class folders, more not" in refusal(tmp_path, links_within=tmp_path)


def test_sub_folders_can_belong_to_the_class_above(tmp_path: Path) -> None:
    touch(tmp_path, "cat/old/deep/1.jpg", "cat/2.jpg", "cat/old/x.xml", "dog/1.jpg", "dog/@eaDir/1.jpg")
    contents = layout.scan(tmp_path, recursive=True)
    assert [(item.path, item.label) for item in contents.items] == [
        ("cat/2.jpg", "cat"),
        ("cat/old/deep/1.jpg", "cat"),
        ("dog/1.jpg", "dog"),
    ]
    assert contents.sidecars == ["cat/old/x.xml"]


def test_two_spellings_of_a_name_are_one_class(tmp_path: Path) -> None:
    touch(tmp_path, "caf\u00e9/1.jpg", "cafe\u0301/2.jpg", "dog/1.jpg")
    contents = layout.scan(tmp_path)
    assert {item.label for item in contents.items} == {"caf\u00e9", "dog"}
    assert contents.notes == ["the class 'caf\u00e9' is written in 2 ways that look the same (composed, decomposed): one class"]


def test_a_class_that_is_empty_in_every_split_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg")
    (tmp_path / "test/dog").mkdir()
    assert layout.scan(tmp_path).hollow == []
    for split in ("train", "test"):
        (tmp_path / split / "cow").mkdir()
    assert layout.scan(tmp_path).hollow == ["test/cow", "train/cow"]


def test_links_to_folders_inside_are_followed_by_an_import(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "cat/1.jpg", "dog/1.jpg")
    (root / "cow").symlink_to("cat")
    assert [item.path for item in layout.scan(root, links_within=root).items] == ["cat/1.jpg", "cow/1.jpg", "dog/1.jpg"]
    (root / "dog/up").symlink_to("..")
    assert "so it leads round in a circle" in refusal(root, links_within=root)
    (root / "dog/up").unlink()
    (root / "dog/a").symlink_to("../cat")
    (root / "cat/b").symlink_to("../dog")
    with pytest.raises(DataError, match="is met twice by way of links"):
        layout.scan(root, links_within=root, recursive=True)
    deep = touch(tmp_path / "deep", "/".join("cd" * 40) + "/1.jpg", "e/1.jpg")
    with pytest.raises(DataError, match="more than 64 folders deep"):
        layout.scan(deep, recursive=True)


def test_files_beside_and_empty_classes_are_told(tmp_path: Path) -> None:
    touch(tmp_path / "flat", "cat/1.jpg", "dog/1.jpg", "README.md")
    (tmp_path / "flat" / "cow").mkdir()
    assert layout.scan(tmp_path / "flat")[1:3] == (["README.md"], ["cow"])
    touch(tmp_path / "split", "train/cat/1.jpg", "train/stray.jpg", "test/cat/1.jpg", "notes.txt")
    (tmp_path / "split/test/dog").mkdir()
    assert layout.scan(tmp_path / "split")[1:3] == (["notes.txt", "train/stray.jpg"], ["test/dog"])


def test_names_of_any_kind(tmp_path: Path) -> None:
    names = ['it\'s a "cat"/a b.jpg', "Größe 写真/🐜.jpg", "x/new\nline.jpg"]
    assert [item.path for item in layout.scan(touch(tmp_path, *names)).items] == sorted(names)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "FOLDER holds no images; import some with `headstart import PATH`"),
        (["cat/1.jpg"], "FOLDER has one class, 'cat'"),
        (["Cat/1.jpg", "cat/2.jpg", "dog/1.jpg"], "the labels 'Cat' and 'cat' differ only in case"),
        (["caf\u00e9/1.jpg", "CAFE\u0301/2.jpg"], "differ only in case"),
        (
            ["train/cat/1.jpg", "mine/cat/1.jpg"],
            "mine hold(s) class folders too, but by name mean(s) none that Headstart knows; rename the folder(s)",
        ),
        (["cat/cat/1.jpg", "dog/1.jpg"], "the folder cat holds nothing but a folder of the same name, cat/cat: it was doubled"),
        (["a/cat/1.jpg", "b/cat/1.jpg"], "FOLDER seems to be one level too high: its folders (a, b) hold folders"),
        (["a/cat/1.jpg", "b/cat/1.jpg"], "give one of these folders: FOLDER/a. If a, b are the classes, add --recursive"),
        (["cat/old/1.jpg", "dog/1.jpg"], "or add --recursive, and the files of sub-folders belong to the class above them"),
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
    assert "FOLDER/cat/3.jpg is a link that points outside the folder; replace a link by what it points to" in refusal(
        root, links_within=root
    )


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
    assert refusal(tmp_path) == (
        "FOLDER/cat/pipe is neither a file nor a folder (a pipe, a socket or a device); remove it, or leave it out with --skip-bad"
    )


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg")
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root, who runs the tests in a container, may read everything
    assert refusal(tmp_path) == "no permission to read the folder FOLDER/dog; allow it with chmod u+rx"


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["b/1.png", "a/1.png", "@eaDir/1.png"], ["a", "b"]),
        (["train/a/1.png", "val/b/1.png"], ["a", "b"]),
        (["train/1.png", "a/1.png"], ["a", "train"]),
        (["seg_train/seg_train/a/1.png"], []),
        ([], []),
    ],
)
def test_classes_by_the_names_of_folders_alone(tmp_path: Path, paths: list[str], names: list[str]) -> None:
    touch(tmp_path, *paths)
    assert layout.class_names(tmp_path) == names
    assert layout.class_names(tmp_path / "none") == []


def test_labels() -> None:
    assert [layout.check_label(label) for label in ("cat", "T-shirt", "f-18?", "ö ö")] == [""] * 4
    bad = ["", " ", "a/b", "..", ".", ".cat", "__MACOSX", "a\0b", "x" * 201]
    assert all(layout.check_label(label) for label in bad)
    layout.check_labels(["cat", "cat", "dog"])


def test_all_that_is_no_file_is_told_at_once_or_left_out(tmp_path: Path) -> None:
    root = touch(tmp_path, "cat/1.jpg", "dog/1.jpg")
    for number in range(3):
        (root / f"cat/gone{number}.jpg").symlink_to(f"../.git/annex/objects/{number}")
    (root / "dog/far.jpg").symlink_to("/etc/hostname")
    os.mkfifo(root / "dog/pipe.jpg")
    says = refusal(root, links_within=root)
    assert says.startswith("FOLDER holds 5 that cannot be used:")
    assert "3: each is a link that leads nowhere, or nowhere that may be read (git-annex: run git annex get): cat/gone0.jpg" in says
    assert "leave it out with --skip-bad" in says
    contents = layout.scan(root, links_within=root, skip_bad=True)
    assert [item.path for item in contents.items] == ["cat/1.jpg", "dog/1.jpg"]
    assert dict(contents.bad)["dog/pipe.jpg"] == "is neither a file nor a folder (a pipe, a socket or a device)"


@pytest.mark.parametrize("names", [("tr", "te"), ("fold0", "fold1"), ("labeled", "gold")])
def test_splits_by_names_of_their_own_are_named_as_such(tmp_path: Path, names: tuple[str, str]) -> None:
    says = refusal(touch(tmp_path, *(f"{name}/{label}/1.jpg" for name in names for label in ("cat", "dog"))))
    assert "hold the same class folders (cat, dog), so they look like splits" in says


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(("x_train", "train"), ("Train_small", "train"), ("trainval", "train"), ("train_val", "train"), ("train.v1i", "train")),
        *(("minival", "validation"), ("vld", "validation"), ("test_public", "test"), ("teST", "test"), ("trains", ""), ("test tube", "")),
    ],
)
def test_more_names_of_splits(name: str, split: str) -> None:
    assert split_names.of(name) == split


def test_a_folder_around_the_classes_of_a_split_is_passed_by(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{split}/images/{label}/1.jpg" for split in ("train", "val") for label in ("cat", "dog")))
    assert {(item.label, item.split) for item in layout.scan(tmp_path).items} == {
        (label, split) for label in ("cat", "dog") for split in ("train", "validation")
    }


@pytest.mark.parametrize(
    ("labels", "how"),
    [
        (("cafe", "cafe\u200b"), "look the same"),
        (("a b", "a\u00a0b"), "look the same"),
        (("coop", "co\u00adop"), "look the same"),
        (("1", "1.0"), "are one number"),
        (("7", "007"), "are one number"),
        (("Cat", "cat"), "differ only in case"),
    ],
)
def test_labels_that_people_cannot_tell_apart(labels: tuple[str, str], how: str) -> None:
    with pytest.raises(DataError, match=how):
        layout.check_labels(labels)
    layout.check_labels(["007", "bond", "7"])  # no numbers but names


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("pets_train", "pets_test"), ("test", "train")),
        (("my pets train 2024", "my pets val 2024", "my pets test 2024"), ("test", "train", "validation")),
    ],
)
def test_words_that_all_splits_share_say_nothing(tmp_path: Path, names: tuple[str, ...], splits: tuple[str, ...]) -> None:
    touch(tmp_path, *(f"{name}/{label}/1.jpg" for name in names for label in ("cat", "dog")))
    assert tuple(sorted({item.split for item in layout.scan(tmp_path).items})) == splits


@pytest.mark.parametrize("names", [("bullet_train", "steam_train"), ("pets_train", "pets_plane"), ("a_1", "a_2"), ("pets_train",), ()])
def test_classes_that_share_a_word_stay_classes(names: tuple[str, ...]) -> None:
    assert split_names.meanings(names) == {}
