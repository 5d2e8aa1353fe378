"""headstart.labels_file: labels from a CSV, and every problem of one at once."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from headstart.importing import label_columns, labels_file
from headstart.machinery.errors import DataError, ParamsError


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
    done = labels_file.read(file, folder, shown="PHOTOS")
    return [tuple(item) for item in done.items], done.skipped  # type: ignore[misc]


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
    items = labels_file.read(Path("meta/labels.csv"), folder, shown="PHOTOS").items
    assert [item.path for item in items] == ["1.jpg", "sub/1.jpg"]


def test_all_missing_files_at_once(folder: Path) -> None:
    lines = "".join(f"gone{number}.jpg,cat\n" for number in range(14))
    message = refusal(folder, "path,label\n1.jpg,dog\n" + lines)
    assert "14 file(s) are missing: gone0.jpg (line 3), gone1.jpg (line 4)" in message
    assert "gone9.jpg (line 12) and 4 more" in message


def test_every_kind_of_problem_in_one_message(folder: Path) -> None:
    (folder.parent / "secret.jpg").write_text("x")
    text = (
        "path,label,split\n1.jpg,a/b,train\n2.jpg,,train\nsub/1.jpg,cat,later\n1.jpg,cat,train\n../secret.jpg,cat,train\ngone.jpg,cat,train\n"
        '"sub/a b, c.jpg",cat,train\n"sub/a b, c.jpg",cat,train\n'
    )
    message = refusal(folder, text)
    for part in (
        "1 label(s) cannot be the name of a folder: 'a/b' holds a slash (line 2)",
        "1 row(s) have no label: 2.jpg (line 3)",
        "'later' (line 4)",
        "1 file(s) have two labels: 1.jpg: 'a/b' and 'cat' (lines 2 and 5)",
        "1 file(s) are named twice: sub/a b, c.jpg (lines 8 and 9)",
        "1 file(s) lie outside PHOTOS: ../secret.jpg (line 6)",
        "1 file(s) are missing: gone.jpg (line 7)",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no files; give a CSV with a column of file names and one of labels"),
        ("colour,taste\nred,sour\n", "has the columns colour, taste; it is not clear which names the files and which holds the labels"),
        ("path,taste,colour\n1.jpg,sour,red\n", "say which it is: --columns path=NAME,label=NAME"),
        ("1.jpg,cat\n2.jpg,dog\n", "its first line names the file 1.jpg; say which column is which: --columns path=1,label=2"),
        ("cat 1.jpg\ndog 2.jpg\n", "--columns path=2,label=1"),
        ("path,label,Label\n1.jpg,cat,dog\n", "two columns of one name: label, Label; rename or remove one of them"),
        ("path,label\n1.jpg,cat,dog\n", "1 line(s) have more than the 2 fields of the first"),
        ("path,cat,dog\n1.jpg,0,1\n2.jpg,1,0\n", "several labels: a column of 0 and 1 for each of 2 (cat, dog)"),
        ("path,label\n1.jpg,cat|dog\n2.jpg,dog\n", "several labels to 1 file(s), such as 'cat|dog'"),
        ('path,label\n1.jpg,"cat, dog"\n2.jpg,dog\n', "several labels to 1 file(s), such as 'cat, dog'"),
        ('path,label\n1.jpg,"[""cat"", ""dog""]"\n', "several labels"),
        ("path,label\n", "names no files"),
        ("path,label,split\n1.jpg,cat,train\n2.jpg,dog,\n", "1 row(s) have no split while others do: 2.jpg (line 3)"),
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
    with pytest.raises(DataError, match=r"is not UTF-8 text; save it as CSV in UTF-8, or give --encoding, .*cp1252: 1.jpg,café"):
        labels_file.read(folder.parent / "latin.csv", folder, shown="PHOTOS")


def test_links_out_of_the_folder_are_refused(folder: Path) -> None:
    (folder.parent / "secret.jpg").write_text("x")
    (folder / "link.jpg").symlink_to("../secret.jpg")
    assert "1 file(s) lie outside PHOTOS: link.jpg (line 2)" in refusal(folder, "path,label\nlink.jpg,cat\n")


def test_unlisted_names_that_are_not_utf8_can_be_shown(folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9.jpg")).touch()
    assert r"caf\xe9.jpg" in read(folder, "path,label\n1.jpg,cat\n2.jpg,dog\n")[1]


@pytest.mark.parametrize("path", ["filename", "file_name", "File Name", "file", "image", "image_id", "id", "filepath", "img_path"])
@pytest.mark.parametrize("label", ["class", "target", "category", "choice", "Class-Name"])
def test_usual_names_of_columns(folder: Path, path: str, label: str) -> None:
    assert read(folder, f"{label},{path}\ncat,1.jpg\ndog,2.jpg\n")[0] == [("1.jpg", "cat", ""), ("2.jpg", "dog", "")]


def test_of_two_columns_of_files_the_one_that_names_them_counts(folder: Path) -> None:
    assert read(folder, "path,image,label\n17,1.jpg,cat\n18,2.jpg,dog\n")[0] == [("1.jpg", "cat", ""), ("2.jpg", "dog", "")]


def test_the_only_other_column_holds_the_labels(folder: Path) -> None:
    done = given(folder, "id,breed,patient_id\n1,beagle,7\n2,poodle,8\n", ("sub",))
    assert [item.label for item in done.items] == ["beagle", "poodle"]
    assert done.notes[0] == "labels are from the column breed"
    assert done.notes[1] == "ignored columns: patient_id"
    assert done.notes[2] == "group=patient_id in --columns keeps the images of one patient_id in one split"


def given(folder: Path, text: str, without: tuple[str, ...] = (), **options: Any) -> labels_file.Labelled:
    for name in without:
        shutil.rmtree(folder / name)
    (folder.parent / "labels.csv").write_text(text)
    return labels_file.read(folder.parent / "labels.csv", folder, shown="PHOTOS", **options)


def test_columns_may_be_said(folder: Path) -> None:
    columns = label_columns.parse("path=Photo,label=what, group = shop")
    done = given(folder, "Photo;what;taste;shop\n1.jpg;cat;sour;a\n2.jpg;dog;sweet;\n", columns=columns)
    assert [tuple(item) for item in done.items] == [("1.jpg", "cat", ""), ("2.jpg", "dog", "")]
    assert (done.groups, done.notes) == ({"1.jpg": "a"}, ["ignored columns: taste"])
    for wrong in ("path", "path=a,path=b", "colour=1", "path=,label=2"):
        with pytest.raises(ParamsError, match="give path=NAME,label=NAME"):
            label_columns.parse(wrong)
    with pytest.raises(ParamsError, match=r"label=size: .*no such column; its columns are path, label"):
        given(folder, "path,label\n1.jpg,cat\n", columns={"label": "size"})
    with pytest.raises(ParamsError, match=r"label=3: .*no such column"):
        given(folder, "1.jpg,cat\n", columns={"path": "1", "label": "3"})


@pytest.mark.parametrize("text", ["1.jpg cat\n2.jpg dog\n", "name kind\n1.jpg cat\n2.jpg  dog\n", "1.jpg\tcat\n2.jpg\tdog\n"])
def test_numbers_of_columns_where_there_is_no_header(folder: Path, text: str) -> None:
    done = given(folder, text, columns={"path": "1", "label": "2"})
    assert [tuple(item) for item in done.items] == [("1.jpg", "cat", ""), ("2.jpg", "dog", "")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize(
    "text",
    ["sep=;\r\npath;label\r\n1.jpg;cat\r\n2.jpg;dög\r\n", "path\tlabel\n1.jpg\tcat\n2.jpg\tdög\n", "path label\n1.jpg cat\n2.jpg dög\n"],
)
def test_encodings_and_separators(folder: Path, encoding: str, text: str) -> None:
    assert read(folder, text, encoding=encoding)[0] == [("1.jpg", "cat", ""), ("2.jpg", "dög", "")]


@pytest.mark.parametrize(
    "name", ["2", "2.JPG", "2.png", "data/train/2.jpg", "C:\\photos\\2.jpg", "/kaggle/input/2.jpeg", "https://shop.example/2.jpg?size=big"]
)
def test_files_of_another_prefix_or_ending(folder: Path, name: str) -> None:
    done = given(folder, f"path,label\n{name},cat\n")
    assert [item.path for item in done.items] == ["2.jpg"]
    assert done.notes == [f"1 file(s) were found under another name, such as 2.jpg for {name}"] * (not name.endswith("2.jpg"))


def test_the_nearest_of_several_files_of_one_name(folder: Path) -> None:
    assert read(folder, "path,label\nphotos/data/sub/1,cat\n")[0] == [("sub/1.jpg", "cat", "")]
    assert "1 file(s) may be any of several: 1 (line 2: 1.jpg, sub/1.jpg)" in refusal(folder, "path,label\n1,cat\n")
    message = refusal(folder, "path,label\n3,cat\n")
    assert "looked for them below PHOTOS, where 4 image(s), such as 1.jpg, 2.jpg, sub/1.jpg lie(s), and beside" in message


def test_accents_in_either_encoding(folder: Path) -> None:
    composed, apart = unicodedata.normalize("NFC", "café.jpg"), unicodedata.normalize("NFD", "café.jpg")
    (folder / apart).touch()
    assert read(folder, f"path,label\n{composed},cat\n")[0] == [(apart, "cat", "")]


@pytest.mark.parametrize(("column", "rows"), [("is_valid", ("True", "False")), ("is_test", ("1", "0")), ("IsValid", ("yes", "no"))])
def test_a_column_of_yes_and_no_is_a_split(folder: Path, column: str, rows: tuple[str, str]) -> None:
    done = given(folder, f"path,label,{column}\n1.jpg,cat,{rows[0]}\n2.jpg,dog,{rows[1]}\n")
    assert [item.split for item in done.items] == ["test" if "test" in column else "validation", "train"]


def test_what_is_bad_can_be_left_out(folder: Path) -> None:
    rows = ["1.jpg,cat", "2.jpg,cat", "2.jpg,dog", "gone.jpg,cat", "sub/1.jpg,", "sub/1.jpg,cat", "sub/1.jpg,cat"]
    text = "path,label\n" + "".join(f"{row}\n" for row in rows)
    done = given(folder, text, skip_bad=True)
    assert [tuple(item) for item in done.items] == [("1.jpg", "cat", ""), ("sub/1.jpg", "cat", "")]
    assert [(one.path, one.line, one.reason) for one in done.left_out] == [
        ("gone.jpg", 5, "missing"),
        ("sub/1.jpg", 6, "no label"),
        ("2.jpg", 3, "two labels: 'cat' and 'dog'"),
        ("2.jpg", 4, "two labels: 'cat' and 'dog'"),
        ("sub/1.jpg", 8, "named twice: lines 7 and 8"),
    ]
    assert "Mend them, or go on without: --skip-bad leaves these out" in refusal(folder, text)
    with pytest.raises(DataError, match="the other problems need mending"):
        given(folder, text.replace("1.jpg,cat", "1.jpg,a/b"))


def test_labels_that_look_like_amounts_are_told(folder: Path) -> None:
    for number in range(60):
        (folder / f"n{number}.jpg").touch()
    lines = "".join(f"n{number}.jpg,{number / 7:.3f}\n" for number in range(60))
    assert "the labels look like amounts: 60 different numbers" in given(folder, "path,label\n" + lines).notes[-1]
    assert not given(folder, "path,label\n" + "".join(f"n{number}.jpg,{number % 10}\n" for number in range(60))).notes


def test_a_workbook_is_named(folder: Path) -> None:
    (folder.parent / "labels.xlsx").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(DataError, match="is an Excel workbook or another archive, not text; save the table as CSV in UTF-8"):
        labels_file.read(folder.parent / "labels.xlsx", folder, shown="PHOTOS")


@pytest.mark.parametrize(
    "name", ["https://shop.example/my%20photos/%32.jpg", "3fa85f64-2.jpg", '"""2.jpg"""', "2.jpg.png", "2.dcm", "2.", "002", "2.0"]
)
def test_files_as_other_tools_name_them(folder: Path, name: str) -> None:
    assert [item.path for item in given(folder, f"path,label\n{name},cat\n").items] == ["2.jpg"]


def test_a_number_means_one_file_or_none(folder: Path) -> None:
    (folder / "02.jpg").write_bytes((folder / "1.jpg").read_bytes())
    assert "may be any of several" in refusal(folder, "path,label\n0002,cat\n")


@pytest.mark.parametrize(
    "text",
    [
        "# made by a tool\n# on a day\npath,label\n1.jpg,cat\n2.jpg,dog\n",
        "#path,label\n1.jpg,cat\n2.jpg,dog\n",
        "Labels of 2023\n\npath,label\n1.jpg,cat\n2.jpg,dog\n",
        "'path','label'\n'1.jpg','cat'\n'2.jpg','dog'\n",
        '"sep=;"\npath;label\n1.jpg;cat\n2.jpg;dog\n',
        "sep=\\t\npath\tlabel\n1.jpg\tcat\n2.jpg\tdog\n",
        "path label\n\n1.jpg cat\n\n2.jpg dog\n",
    ],
)
def test_what_stands_before_the_rows(folder: Path, text: str) -> None:
    assert read(folder, text)[0] == [("1.jpg", "cat", ""), ("2.jpg", "dog", "")]


def test_the_column_that_names_files_is_found_by_them(folder: Path) -> None:
    done = given(folder, "uri,kind,age\n1.jpg,cat,3\n2.jpg,dog,4\n", columns={"label": "kind"})
    assert [item.path for item in done.items] == ["1.jpg", "2.jpg"]
    assert done.notes[0] == "files are named in the column uri"
    done = given(folder, "id,asset,label\n77,1.jpg,cat\n78,2.jpg,dog\n")
    assert done.notes == ["files are named in the column asset", "ignored columns: id"]


def test_an_encoding_can_be_given(folder: Path) -> None:
    (folder.parent / "labels.csv").write_bytes("path,label\n1.jpg,café\n".encode("cp1252"))
    read = labels_file.read(folder.parent / "labels.csv", folder, shown="PHOTOS", encoding="cp1252")
    assert [item.label for item in read.items] == ["café"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'[{"path": "1.jpg", "label": "cat"}]', "is JSON; make it a CSV"),
        (b'{"path": "1.jpg"}\n{"path": "2.jpg"}\n', "is JSON; make it a CSV"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "run git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "is a web page"),
        (b"\x1f\x8b\x08" + bytes(40), "is an archive; give a CSV"),
    ],
)
def test_what_is_no_table_is_named(folder: Path, content: bytes, says: str) -> None:
    (folder.parent / "labels.csv").write_bytes(content)
    with pytest.raises(DataError, match=says):
        labels_file.read(folder.parent / "labels.csv", folder, shown="PHOTOS")


@pytest.mark.parametrize("rows", ["0.3,0.7", "1,-1", "x,", "yes,no", "1.0,0.0"])
def test_a_column_for_each_label_is_several_labels(folder: Path, rows: str) -> None:
    assert "several labels: a column of 0 and 1 for each of 2 (cat, dog)" in refusal(folder, f"path,cat,dog\n1.jpg,{rows}\n2.jpg,{rows}\n")


def test_two_spellings_of_a_label(folder: Path) -> None:
    done = given(folder, "path,label\n1.jpg,caf\u00e9\n2.jpg,cafe\u0301\n")
    assert {item.label for item in done.items} == {"caf\u00e9"}


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (("None", "dog"), "None is taken as a class; if it means that there is no label, leave the field empty"),
        (("N/A", "dog"), ""),
        (("0.25", "0.75"), ""),
    ],
)
def test_labels_that_may_be_none(folder: Path, labels: tuple[str, str], note: str) -> None:
    done = given(folder, f"path,label\n1.jpg,{labels[0]}\n2.jpg,{labels[1]}\n", skip_bad=True)
    assert done.notes == [note] * bool(note)
    assert [one.reason for one in done.left_out] == ["no label"] * (labels[0] == "N/A")


def test_labels_that_are_splits_and_splits_by_other_names(folder: Path) -> None:
    assert "the labels test, train are names of splits" in refusal(folder, "path,label\n1.jpg,train\n2.jpg,test\n")
    assert [item.split for item in given(folder, "path,label,usage\n1.jpg,a,Training\n2.jpg,b,PublicTest\n").items] == ["train", "test"]
    assert [item.split for item in given(folder, "path,label,is_train\n1.jpg,a,1\n2.jpg,b,0\n").items] == ["train", "test"]
    assert (
        "split=mode in --columns keeps the split that this column gives"
        in given(folder, "path,label,mode\n1.jpg,a,train\n2.jpg,b,test\n").notes
    )
    assert [one.reason for one in given(folder, "path,label,split\n1.jpg,a,train\n2.jpg,b,\n", skip_bad=True).left_out] == ["no split"]


def test_a_file_named_in_two_ways_is_told_once(folder: Path) -> None:
    assert "1 file(s) have two labels: 2.jpg: 'cat' and 'dog' (lines 2 and 3)" in refusal(folder, "path,label\n2.jpg,cat\n2,dog\n")
