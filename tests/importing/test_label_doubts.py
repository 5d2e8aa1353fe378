"""Labels that may not be meant as classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.importing import label_doubts, labels_file
from headstart.machinery.errors import DataError


def read(folder: Path, table: str) -> labels_file.Labelled:
    (folder.parent / "labels.csv").write_text(table)
    return labels_file.read(folder.parent / "labels.csv", folder, shown="PHOTOS")


@pytest.mark.parametrize("form", ["{},37", "{}.000,50", "{}.4 mm", "${}.99", "{}.5%", "-{}.25"])
def test_amounts_with_units_and_commas_are_amounts_and_not_several_labels(folder: Path, form: str) -> None:
    rows = "".join(f"{number}.jpg;{form.format(number)}\n" for number in range(1, 7))
    assert "look like amounts: 6 different numbers" in " ".join(read(folder, f"path;label\n{rows}").notes)


def test_numbers_joined_are_several_labels(folder: Path) -> None:
    with pytest.raises(DataError, match="several labels to 1 file"):
        read(folder, 'path,label\n1.jpg,"1,2"\n2.jpg,1\n3.jpg,2\n')


def test_labels_that_were_read_in_a_wrong_encoding_are_told() -> None:
    assert label_doubts.misread(["KÃ¤se", "BrÃ¶tchen", "Käse", "Ã", "K├ñse"]) == [
        "read in a wrong encoding when the data set was made, it seems: BrÃ¶tchen (Brötchen?), KÃ¤se (Käse?), K├ñse (Käse?); rename them if so"
    ]
