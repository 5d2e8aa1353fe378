"""headstart.importing.reviewed: what a person said is applied, only to what was looked at, and the file stays good after the import."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.data import provenance
from headstart.importing import datasets, reviewed
from headstart.importing.options import Options
from headstart.importing.reviewed import Reviewed
from headstart.indexing import layout
from headstart.machinery.errors import DataError, ParamsError
from tests import toy


def load(source: Path, target: Path, rows: list[Reviewed], **options: str) -> datasets.Summary:
    """Import `source` with a table of these rows."""
    reviewed.write(target.parent / "reviewed.csv", rows)
    how = Options(reviewed=str(target.parent / "reviewed.csv"))
    return datasets.import_dataset(str(source), target, how=how, current=target.parent / "data/images")


def labels(folder: Path) -> dict[str, str]:
    """The label of every file, by what the manifest will call its origin."""
    origins = provenance.read(folder)
    return {origins.get(item.path, item.path): item.label for item in layout.scan(folder).items}


def test_labels_are_changed_images_left_out_and_the_rest_stays(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", ("ant", "bee"), per_class=4)
    rows = [
        Reviewed("ant/0000.png", "ant", "change", "bee"),
        Reviewed("ant/0001.png", "ant", "drop", ""),
        Reviewed("ant/0002.png", "ant", "keep", "ant"),
        Reviewed("bee/0003.png", "bee", "unsure", "bee"),
    ]
    summary = load(tmp_path / "in", tmp_path / "out", rows)
    assert (summary.files, [tuple(one) for one in summary.left_out]) == (7, [("ant/0001.png", "ant", 0, reviewed.DROPPED)])
    assert f"1 label changed and 1 image left out, as {tmp_path}/reviewed.csv says" in summary.notes
    found = labels(tmp_path / "out")
    assert found["ant/0000.png"] == "bee"
    assert "ant/0001.png" not in found
    assert {path: label for path, label in found.items() if path != "ant/0000.png"} == {
        **{f"ant/000{n}.png": "ant" for n in (2, 3)},
        **{f"bee/000{n}.png": "bee" for n in range(4)},
    }
    assert (tmp_path / "in/ant/0000.png").read_bytes() == (tmp_path / "out/bee/0000_2.png").read_bytes()
    assert len(list((tmp_path / "in").rglob("*.png"))) == 8


def test_answers_to_another_label_and_to_files_that_are_gone_are_told_and_not_used(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", ("ant", "bee"), per_class=2)
    rows = [
        Reviewed("ant/0000.png", "cat", "change", "bee"),
        Reviewed("ant/gone.png", "ant", "drop", ""),
        Reviewed("bee/0000.png", "ant", "change", "bee"),
    ]
    summary = load(tmp_path / "in", tmp_path / "out", rows)
    assert labels(tmp_path / "out") == {f"{label}/000{n}.png": label for label in ("ant", "bee") for n in range(2)}
    assert [note for note in summary.notes if "not used" in note] == [
        f"1 answer of {tmp_path}/reviewed.csv not used: the file has another label now than when it was reviewed",
        f"1 answer of {tmp_path}/reviewed.csv not used: there is no such file",
    ]


def test_in_folders_of_splits_a_file_is_found_by_the_name_that_it_got(tmp_path: Path) -> None:
    """The split keeps its folder, whose name is the canonical one in the data set."""
    toy.split_images(tmp_path / "in", {"Training": 3, "validation": 2, "testing": 2}, ("ant", "bee"))
    datasets.import_dataset(str(tmp_path / "in"), tmp_path / "before", current=tmp_path / "data/images")
    path = next(path for path in labels(tmp_path / "before") if path.startswith("val/ant"))
    load(tmp_path / "in", tmp_path / "out", [Reviewed(path, "ant", "change", "bee")])
    assert labels(tmp_path / "out")[path] == "bee"
    assert len(list((tmp_path / "out/val/bee").iterdir())) == 3
    load(tmp_path / "in", tmp_path / "again", [Reviewed(path, "ant", "change", "bee")])
    assert labels(tmp_path / "again") == labels(tmp_path / "out")


def test_an_example_can_be_corrected_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Example:
        what, terms = "toys", ""

        @staticmethod
        def samples(scratch: Path) -> list[tuple[str, str, str, object]]:
            return [("", label, f"{n}.png", toy.photo(place, n)) for place, label in enumerate(("ant", "bee")) for n in range(3)]

    monkeypatch.setitem(datasets.EXAMPLES, "toys", Example)  # type: ignore[arg-type]
    rows = [Reviewed("ant/0.png", "ant", "change", "bee"), Reviewed("bee/1.png", "bee", "drop", "")]
    summary = load(Path("toys"), tmp_path / "out", rows)
    assert labels(tmp_path / "out") == {"ant/0.png": "bee", "ant/1.png": "ant", "ant/2.png": "ant", "bee/0.png": "bee", "bee/2.png": "bee"}
    assert len(summary.left_out) == 1


def test_what_is_written_is_read_again_whatever_the_names(tmp_path: Path) -> None:
    rows = [Reviewed("=cmd/a,b.png", "=cmd", "change", "-x"), Reviewed('ü "q".png', "a", "drop", "")]
    reviewed.write(tmp_path / "reviewed.csv", rows)
    assert reviewed.read(tmp_path / "reviewed.csv") == rows


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("origin;was;answer;label\r\na.png;Käse;change;b\r\nc.png;b;drop;\r\n", "utf-8-sig"),
        ("sep=;\norigin;was;answer;label\na.png;Käse;change;b\nc.png;b;drop;\n", "utf-8"),
        ("origin\twas\tanswer\tlabel\na.png\tKäse\tchange\tb\nc.png\tb\tdrop\t\n", "utf-16"),
        ("origin,was,answer,label,,\na.png,Käse,Change,b,,\nc.png,b,DROP,,,\n,,,,,\n", "utf-8"),
    ],
)
def test_a_table_that_a_spreadsheet_has_saved_is_read(text: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "reviewed.csv").write_bytes(text.encode(encoding))
    assert reviewed.read(tmp_path / "reviewed.csv") == [Reviewed("a.png", "Käse", "change", "b"), Reviewed("c.png", "b", "drop", "")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("path,label\na,b\n", "has other columns than origin, was, answer, label; for a table of labels of your own use --labels"),
        ("", "has other columns"),
        ("origin,was,answer,label\na,b,perhaps,c\n", "line 2: give origin, was, answer, label; an answer is keep, change, drop, unsure"),
        ("origin,was,answer,label\na,b,change,x/y\n", "line 2: the label 'x/y' holds a slash"),
        ("origin,was,answer,label\na,b\n", "line 2: give origin"),
        ('origin,was,answer,label\n"a,b\n', "the quotes of the row that begins on line 2 do not close"),
        ("origin,was,answer,label\na,b,keep,K\udce4se\n", "is not UTF-8 text; save it as CSV in UTF-8"),
    ],
)
def test_a_table_that_is_none_is_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "reviewed.csv").write_text(content, errors="surrogateescape")
    with pytest.raises(DataError, match=said):
        reviewed.read(tmp_path / "reviewed.csv")


def test_a_table_that_is_missing_is_said(tmp_path: Path) -> None:
    toy.images(tmp_path / "in", ("ant", "bee"), per_class=2)
    with pytest.raises(DataError, match="`headstart review` writes it"):
        datasets.import_dataset(str(tmp_path / "in"), tmp_path / "out", how=Options(reviewed="gone.csv"))
    assert not (tmp_path / "out").exists()


def test_it_is_repeated_by_an_update(tmp_path: Path) -> None:
    how = Options(reviewed="data/reviewed.csv")
    assert how.to_json() == {"reviewed": "data/reviewed.csv"}
    assert Options.from_json(how.to_json(), tmp_path, 1) == how
    with pytest.raises(ParamsError):
        Options(group_by_folder=True, group_pattern="x")
