"""flows.results.predict_file: the same answers into a file, and on from where an earlier command stopped."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.cli import main
from flows.results import predict, predict_file
from headstart.features import predict as predicting
from headstart.machinery.errors import HeadstartError, ParamsError
from tests import toy
from tests.exporting.test_onnx_folder import made

NAMES = ("a.png", "b.jpg", "c, d.png", "e.png")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, and a folder `in` of four photos and a file that is none."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for number, name in enumerate(NAMES):
        toy.photo(number % 3, number, size=64).save(Path("in") / name)
    Path("in/z.png").write_bytes(b"none")
    return made(tmp_path)


def expected(model: Path, kind: str = "csv", top: int = 1) -> str:
    file = io.StringIO()
    list(predict.write([Path("in")], model, file, kind=kind, top=top))
    return file.getvalue()


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_file_holds_what_is_printed_else(model: Path, kind: str) -> None:
    out = Path(f"out.{kind}")
    assert len(list(predict_file.write([Path("in")], model, out, top=2))) == 5
    assert out.read_text() == expected(model, kind, 2)
    with pytest.raises(HeadstartError, match=f"out.{kind} is there already; --resume adds"):
        list(predict_file.write([Path("in")], model, out, top=2))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_it_goes_on_where_it_was_cut_off(model: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out, whole = Path(f"out.{kind}"), expected(model, kind)
    lines = whole.splitlines(keepends=True)
    asked: list[Path] = []
    plain = predicting.predict
    monkeypatch.setattr(
        predicting, "predict", lambda paths, folder, **how: asked.extend(predicting.walk(paths)) or plain(paths, folder, **how)
    )
    for left in ("", lines[0][:7], "".join(lines[:2]) + lines[2][:9], "".join(lines[:4]), whole):
        asked.clear()
        out.write_text(left)
        list(predict_file.write([Path("in")], model, out, resume=True))
        assert out.read_text() == whole
        assert len(asked) == 5 - max(left.count("\n") - (kind == "csv"), 0)
    out.unlink()
    list(predict_file.write([Path("in")], model, out, resume=True))
    assert out.read_text() == whole, "nothing was there yet"


def test_other_files_are_left_alone(model: Path) -> None:
    Path("out.csv").write_text("file,class\na.png,b\n")
    Path("out.jsonl").write_text("[1]\n")
    for name in ("out.csv", "out.jsonl"):
        before = Path(name).read_text()
        with pytest.raises(HeadstartError, match="name another"):
            list(predict_file.write([Path("in")], model, Path(name), resume=True))
        assert Path(name).read_text() == before
    for name, resume in (("out.txt", False), ("out.parquet", True)):
        with pytest.raises(ParamsError):
            list(predict_file.write([Path("in")], model, Path(name), resume=resume))
    with pytest.raises(HeadstartError, match="there is no model"):
        list(predict_file.write([Path("in")], Path("none"), Path("new.csv")))
    assert not Path("new.csv").exists()


def test_parquet_has_the_same_in_columns_and_is_whole(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict_file, "ROWS", 2)
    list(predict_file.write([Path("in")], model, Path("out.parquet"), top=2))
    table = pq.read_table("out.parquet")
    assert table.column_names == [*predict.COLUMNS, "top"]
    rows = table.to_pylist()
    texts = [json.loads(line) for line in expected(model, "jsonl", 2).splitlines()]
    assert [(row["path"], row["label"], row["error"], row["unlike"]) for row in rows] == [
        (text["path"], text["label"], text["error"], text["unlike"]) for text in texts
    ]
    assert [[one["label"] for one in row["top"]] for row in rows] == [[one["label"] for one in text["top"]] for text in texts]
    assert rows[0]["probability"] == pytest.approx(texts[0]["probability"])
    assert rows[-1]["probability"] is None
    with pytest.raises(HeadstartError, match="no file could be read"):
        list(predict_file.write([Path("in/z.png")], model, Path("none.parquet")))
    assert not Path("none.parquet").exists()


def test_the_command_says_how_many(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["predict", "in", "--model", str(model), "--out", "out.csv"]
    assert main.main([*given, "--sort-into", "sorted"]) == 0
    assert capsys.readouterr().out == "out.csv: 5 images\n"
    assert sum(path.is_symlink() for path in Path("sorted").rglob("*")) == 5
    toy.photo(0, 9).save("in/f.png")
    assert main.main([*given, "--resume"]) == 0
    assert capsys.readouterr().out == "out.csv: 1 image more\n"
    assert Path("out.csv").read_text().splitlines()[-1].startswith("in/f.png,")
    assert main.main([*given, "--resume"]) == 0
    assert capsys.readouterr().out == "out.csv: 0 images more\n"
    assert main.main(["predict", "in", "--resume", "--model", str(model)]) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("out.csv", b"my notes, all of them"),
        ("out.csv", b"\xff\xfe\0\n\0abc"),
        ("out.jsonl", b"my notes"),
        ("out.jsonl", b'{"path": "a.png"}\nmy notes'),
        ("out.csv", b"path,labels"),
    ],
)
def test_a_file_of_somebody_else_loses_nothing(model: Path, name: str, content: bytes) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(HeadstartError, match="is no file that `headstart predict` wrote, and stays as it is"):
        list(predict_file.write([Path("in")], model, Path(name), resume=True))
    assert Path(name).read_bytes() == content


def test_it_goes_on_with_what_a_spreadsheet_has_saved(model: Path) -> None:
    lines = expected(model).splitlines()
    Path("out.csv").write_bytes(("\ufeff" + "\r\n".join([*lines[:3], "", ""])).encode())
    assert [answer.path for answer in predict_file.write([Path("in")], model, Path("out.csv"), resume=True)] == [
        "in/c, d.png",
        "in/e.png",
        "in/z.png",
    ]


def test_the_folder_of_the_file_is_made_and_an_ending_may_be_large(model: Path) -> None:
    list(predict_file.write([Path("in")], model, Path("new/folder/out.CSV")))
    assert Path("new/folder/out.CSV").read_text() == expected(model)
    Path("in.csv").mkdir()
    with pytest.raises(HeadstartError, match=r"--out in.csv is no ordinary file"):
        predict_file.check(Path("in.csv"), resume=True)
