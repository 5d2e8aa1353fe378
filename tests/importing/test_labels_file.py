"""headstart.labels_file: labels from a CSV, and every problem of one at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headstart.importing import labels_file
from headstart.machinery.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for name in ("1.jpg", "2.jpg", "sub/1.jpg", "sub/a b, c.jpg", "notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def read(folder: Path, text: str, where: str = "labels.csv", encoding: str = "utf-8") -> tuple[list[tuple[str, str, str]], list[str]]:
    file = folder.parent / where
    file.write_text(text, encoding=encoding)
    items, unlisted = labels_file.read(file, folder, shown="PHOTOS")
    return [tuple(item) for item in items], unlisted  # type: ignore[misc]


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, text)
    return str(caught.value)


def test_labels_and_what_is_not_listed(folder: Path) -> None:
    items, unlisted = read(folder, "path,label\nsub/1.jpg,dog\n1.jpg, cat \n")
    assert items == [("1.jpg", "cat", ""), ("sub/1.jpg", "dog", "")]
    assert unlisted == ["2.jpg", "sub/a b, c.jpg"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ('path,label\n1.jpg,cat\n"sub/a b, c.jpg",dog\n', "utf-8"),
        ("Path;Label\r\n1.jpg;cat\r\nsub/a b, c.jpg;dog\r\n", "utf-8-sig"),
        ("id\tlabel\tpath\n7\tcat\t1.jpg\n8\tdog\tsub\\a b, c.jpg\n", "utf-8"),
        ('path,label\nphotos/1.jpg,cat\n"photos/sub/a b, c.jpg",dog\n', "utf-8"),  # relative to the CSV
        ('path,label\n./1.jpg,cat\n"sub/../sub/a b, c.jpg",dog\n', "utf-8"),
    ],
)
def test_dialects(folder: Path, text: str, encoding: str) -> None:
    assert read(folder, text, encoding=encoding)[0] == [("1.jpg", "cat", ""), ("sub/a b, c.jpg", "dog", "")]


def test_splits(folder: Path) -> None:
    items, _ = read(folder, "path,label,split\n1.jpg,cat,Train\n2.jpg,cat,val\nsub/1.jpg,dog,testing\n")
    assert [split for *_, split in items] == ["train", "validation", "test"]
    assert read(folder, "path,label,split\n1.jpg,cat,\n2.jpg,dog,\n")[0][0] == ("1.jpg", "cat", "")


def test_the_csv_may_lie_in_the_folder(folder: Path) -> None:
    (folder / "meta").mkdir()
    (folder / "meta/labels.csv").write_text("path,label\n../1.jpg,cat\nsub/1.jpg,dog\n")
    items, _ = labels_file.read(Path("meta/labels.csv"), folder, shown="PHOTOS")
    assert [item.path for item in items] == ["1.jpg", "sub/1.jpg"]


def test_all_missing_files_at_once(folder: Path) -> None:
    lines = "".join(f"gone{number}.jpg,cat\n" for number in range(14))
    message = refusal(folder, "path,label\n1.jpg,dog\n" + lines)
    assert "14 file(s) are missing: gone0.jpg (line 3), gone1.jpg (line 4)" in message
    assert "gone9.jpg (line 12) and 4 more" in message


def test_every_kind_of_problem_in_one_message(folder: Path) -> None:
    (folder.parent / "secret.jpg").write_text("x")
    text = (
        "path,label,split\n1.jpg,a/b,train\n2.jpg,,train\nsub/1.jpg,cat,fold\n1.jpg,cat,train\n../secret.jpg,cat,train\ngone.jpg,cat,train\n"
    )
    message = refusal(folder, text)
    for part in (
        "2 label(s) cannot be the name of a folder: 'a/b' holds a slash (line 2), '' is empty (line 3)",
        "'fold' (line 4)",
        "1 file(s) are named twice: 1.jpg (lines 2 and 5)",
        "1 file(s) lie outside PHOTOS: ../secret.jpg (line 6)",
        "1 file(s) are missing: gone.jpg (line 7)",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the columns (none); it needs path,label[,split]"),
        ("file,class\n1.jpg,cat\n", "has the columns file, class; it needs path,label[,split]"),
        ("path,label\n", "names no files"),
        ("path,label,split\n1.jpg,cat,train\n2.jpg,dog,\n", "1 line(s) have no split while others do: line 3"),
        ("path,label,split\n1.jpg,cat,val\n2.jpg,dog,test\n", "split is missing: train"),
        ('path,label\n1.jpg,"cat\n', "is not valid CSV"),
        ("path,label\n,cat\n", "1 file(s) are missing"),
    ],
)
def test_refused(folder: Path, text: str, message: str) -> None:
    assert message in refusal(folder, text)


def test_files_that_are_no_csv(folder: Path) -> None:
    with pytest.raises(DataError, match="there is no labels file"):
        labels_file.read(folder.parent / "gone.csv", folder, shown="PHOTOS")
    (folder.parent / "latin.csv").write_bytes("path,label\n1.jpg,café\n".encode("latin1"))
    with pytest.raises(DataError, match="is not UTF-8 text; save it as CSV in UTF-8"):
        labels_file.read(folder.parent / "latin.csv", folder, shown="PHOTOS")


def test_links_out_of_the_folder_are_refused(folder: Path) -> None:
    (folder.parent / "secret.jpg").write_text("x")
    (folder / "link.jpg").symlink_to("../secret.jpg")
    assert "1 file(s) lie outside PHOTOS: link.jpg (line 2)" in refusal(folder, "path,label\nlink.jpg,cat\n")


def test_unlisted_names_that_are_not_utf8_can_be_shown(folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9.jpg")).touch()
    assert r"caf\xe9.jpg" in read(folder, "path,label\n1.jpg,cat\n2.jpg,dog\n")[1]
