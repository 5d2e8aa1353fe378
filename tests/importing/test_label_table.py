"""Tables of labels: what stands before the rows, encodings, broken CSV, columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headstart.importing import label_columns, labels_file
from headstart.importing.options import Options
from headstart.machinery.errors import DataError, ParamsError


def read(folder: Path, table: str | bytes, **options: Any) -> labels_file.Labelled:
    file = folder.parent / "labels.csv"
    file.write_bytes(table if isinstance(table, bytes) else table.encode())
    return labels_file.read(file, folder, shown="PHOTOS", **options)


def labels_of(folder: Path, table: str | bytes, **options: Any) -> dict[str, str]:
    return {item.path: item.label for item in read(folder, table, **options).items}


def refusal(folder: Path, table: str | bytes) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, table)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('path,label\n1.jpg,"cat\n2.jpg,dog\n', "the quotes of the row that begins on line 2 do not close"),
        ('path,label\n1.jpg,"c"at\n2.jpg,dog\n', "on line 2 something follows a closing quote"),
        ("path,label\n1.jpg," + "c" * 200_000 + "\n", "a field of the row that begins on line 2 has more than 131,072 characters"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said_in_words_of_our_own(folder: Path, text: str, says: str) -> None:
    assert f"is not valid CSV: {says}" in refusal(folder, text)


def test_a_name_without_end_does_not_fill_the_message(folder: Path) -> None:
    assert len(refusal(folder, f"path,label\n{'x' * 100_000},cat\n2.jpg,dog\n")) < 1500


@pytest.mark.parametrize("title", ["exported on Monday\n", "Site A\nexported on Monday\n", "---\n"])
def test_titles_without_an_empty_line_after_them(folder: Path, title: str) -> None:
    assert labels_of(folder, f"{title}path,label\n1.jpg,cat\n2.jpg,dog\n") == {"1.jpg": "cat", "2.jpg": "dog"}


@pytest.mark.parametrize("encoding", ["utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"])
def test_wide_characters_without_a_mark(folder: Path, encoding: str) -> None:
    assert labels_of(folder, "path,label\n1.jpg,Käse\n2.jpg,dog\n".encode(encoding)) == {"1.jpg": "Käse", "2.jpg": "dog"}


def test_an_image_is_no_table(folder: Path) -> None:
    assert "is an image; give a CSV" in refusal(folder, b"\x89PNG\r\n\x1a\n rest")


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        ("path=Scan, raw,label=Finding", {"path": "Scan, raw", "label": "Finding"}),
        ("path=Scan,label=Finding,", {"path": "Scan", "label": "Finding"}),
    ],
)
def test_names_of_columns_with_commas(given: str, columns: dict[str, str]) -> None:
    assert label_columns.parse(given) == columns


def test_a_column_has_one_use_and_is_found_in_either_encoding_of_accents(folder: Path) -> None:
    with pytest.raises(ParamsError, match="gives the column 'Scan' two uses"):
        label_columns.parse("path=Scan,label=Scan")
    table = "Datei,Käse\n1.jpg,cat\n2.jpg,dog\n"
    assert labels_of(folder, table, columns={"path": "Datei", "label": "Ka\u0308se"}) == {"1.jpg": "cat", "2.jpg": "dog"}


@pytest.mark.parametrize("name", ["klingon", "rot13", "\x1b[2J"])
def test_an_encoding_that_is_none_is_refused_whatever_is_imported(name: str) -> None:
    with pytest.raises(ParamsError, match="is unknown; some that are known"):
        Options(encoding=name)
