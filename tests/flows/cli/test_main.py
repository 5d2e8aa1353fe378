"""The command line as a person and a script meet it: words, streams, exit codes, and that nothing is left behind."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from flows.experiments import recovery, save
from flows.projects import images
from flows.repository import dvc
from headstart import params
from headstart.features.answered import Answer
from headstart.importing.labels_file import LeftOut
from headstart.machinery import lock
from headstart.machinery.errors import DataError, HeadstartError
from headstart.params import STAGES
from headstart.registry import shelf
from tests import PATIENCE
from tests.conftest import with_database
from tests.tasks.test_stage import gone

METRICS = {
    **{"source": "wheel:lite0", "shipped": "head", "classes": ["a", "b"], "n_train": 2, "n_validation": 1, "n_test": 1},
    **{key: {"accuracy": 1.0, "balanced_accuracy": 1.0, "macro_f1": 1.0, "ece": 0.0} for key in ("test", "head")},
}


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The command in a process of its own, as a terminal starts it: in a new process group."""
    command = [sys.executable, "-m", "flows.cli.main", *arguments]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(command, env={**os.environ, **environment}, text=True, process_group=0, **streams)


def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    with start(*arguments, **environment) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def replace_module(patch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    """Put a module of our own in the place of headstart.NAME, which is ROOM.MODULE."""
    room, _, last = name.rpartition(".")
    module = types.ModuleType(f"headstart.{name}")
    module.__dict__.update(content)
    patch.setitem(sys.modules, f"headstart.{name}", module)
    patch.setattr(importlib.import_module(f"headstart.{room}"), last, module, raising=False)


def files(folder: Path = Path()) -> dict[str, bytes]:
    """Every file below, but for git's, DVC's own and the lock."""
    outside = (".git", ".dvc", ".headstart")
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.parts[0] not in outside}


# Words and usage


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["import"], ["predict"], ["run", "--no"], ["run", "--set"]])
def test_usage_errors_are_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main.main(arguments)
    assert end.value.code == 2
    assert "usage: headstart" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["predict", "a.png", "--modle", "x"], ["run", "--no"], ["import", "demo", "--label", "x", "--y"]])
def test_a_usage_error_shows_the_usage_of_its_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(arguments)
    said = capsys.readouterr().err
    assert said.startswith(f"usage: headstart {arguments[0]} ")
    assert f"headstart {arguments[0]}: error: unrecognized arguments: " in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["import", "run", "show", "predict", "params", "4 workspace busy"]),
        (["import", "--help"], ["torchvision:flowers102", "--labels", "A refused or failed import changes nothing"]),
        (["run", "--help"], ["--set fine_tune.epochs=5", "NAME cached|ran SECONDS"]),
        (["predict", "--help"], ["path,label,probability,error", "unsure,unlike", "models/final"]),
        (["review", "--help"], ["127.0.0.1", "data/reviewed.csv", "--no-browser", "no label changes until"]),
        (["report", "--help"], ["reports/report.html"]),
        (["export", "--help"], ["onnxruntime pillow numpy", "--int8", "models/final"]),
    ],
)
def test_help_has_examples_and_fits(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main.main(arguments)
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert all(word in out for word in words)
    assert max(map(len, out.splitlines())) <= 130


@pytest.mark.parametrize("arguments", [["run"], ["import", "demo"], ["review"], ["report"]])
def test_outside_a_project_it_says_so(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main(arguments) == 1
    assert "not the root of a Headstart project" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_params_lists_what_the_file_says(toy_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text("fine_tune: {epochs: 3}\n")
    assert main.main(["params"]) == 0
    assert "fine_tune.epochs = 3\n" in capsys.readouterr().out
    Path("params.yaml").write_text("fine_tune: {epoch: 3}\n")
    assert main.main(["params"]) == 2
    assert "did you mean epochs" in capsys.readouterr().err


def test_unexpected_errors_are_a_line_and_a_traceback_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> str:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr("flows.results.show.summary", broken)
    assert main.main(["show"]) == 1
    assert capsys.readouterr().err == "error: ZeroDivisionError: boom (HEADSTART_DEBUG=1 shows where)\n"
    for arguments, value in ((["show", "--debug"], ""), (["show"], "1")):
        monkeypatch.setenv("HEADSTART_DEBUG", value)
        assert main.main(arguments) == 1
        assert "Traceback" in capsys.readouterr().err


def test_starting_imports_nothing_heavy() -> None:
    code = "import sys; from flows.cli import main; main.parser()\nprint(sorted({'torch', 'prefect', 'numpy', 'pydantic', 'dvc'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# Import


@pytest.fixture
def importable(toy_project: Path, forked_dvc: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path], None]], None]:
    """Lets a test say what importing does with its target folder."""

    def use(fill: Callable[[Path], None]) -> None:
        def import_dataset(source: str, target: Path, *, labels: Path | None = None, how: object = None) -> types.SimpleNamespace:
            target.mkdir()
            fill(target)
            classes, splits = [str(i) for i in range(12)], {"train": 1500, "test": 297}
            left = [LeftOut("=gone.png", "cat", 7, "missing"), LeftOut("a.png", "cat", 0, "two labels: 'cat' and 'dog'")]
            return types.SimpleNamespace(
                files=1797,
                classes=classes,
                splits=splits,
                skipped=["x.txt"],
                renamed=2,
                left_out=left,
                groups=3,
                notes=["note"],
                sidecars=["a/x.xml", "a/y.xml", "z.txt"],
                unreadable=[("a/1.heic", "HEIC"), ("b/2.heic", "HEIC"), ("b/x", "not an image")],
                terms="by name",
            )

        replace_module(monkeypatch, "importing.datasets", import_dataset=import_dataset)

    return use


def new_images(target: Path) -> None:
    (target / "b").mkdir()
    (target / "b/9.txt").write_text("nine")


def refuse(target: Path) -> None:
    (target / "half").mkdir()
    raise DataError("no images in there")


def refuse_by_name(target: Path) -> None:
    raise DataError("12 files are missing: a0.png and 11 more", [(f"a{number}.png", "=cat", number + 2, "missing") for number in range(12)])


def interrupted(target: Path) -> None:
    raise KeyboardInterrupt


def test_an_import_replaces_the_data_set_and_records_it(importable: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    importable(new_images)
    assert main.main(["import", "demo"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1,797 images in 12 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...); splits: train 1,500, test 297",
        "3 groups, each of which stays in one split",
        "left out 1 files that no class folder or label covers: x.txt",
        "left out 3 files that are no photos: 2 .xml, 1 .txt",
        "not counted: 3 files that cannot be read: 2 HEIC (a/1.heic); 1 not an image (b/x)",
        "left out 2 that cannot be used: 1 missing and 1 two labels; each is named in reports/import/left_out.csv",
        "terms of use: by name",
        "renamed 2 files whose name was taken",
        "note",
        "next: headstart run",
    ]
    assert images.LEFT_OUT.read_text() == "path,label,line,reason\n'=gone.png,cat,7,missing\na.png,cat,0,two labels: 'cat' and 'dog'\n"
    assert files(images.IMAGES) == {"data/images/b/9.txt": b"nine"}
    assert not images.IMPORTING.exists()
    assert "up to date" in "".join(dvc.call("status", "data/images.dvc"))
    untracked = subprocess.run(["git", "status", "--short", "-uall", "data"], capture_output=True, text=True).stdout.split()
    assert untracked == ["??", "data/.gitignore", "??", "data/images.dvc"]


@pytest.mark.parametrize(("fill", "code"), [(refuse, 3), (interrupted, 130)])
def test_a_refused_import_changes_nothing(importable: Callable[..., None], fill: Callable[[Path], None], code: int) -> None:
    importable(fill)
    before = files()
    assert main.main(["import", "photos"]) == code
    assert files() == before
    assert not images.IMPORTING.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--forget", "b", "--labels", "x.csv"], "--forget takes the name of a batch and nothing else"),
        (["--forget", ""], "there is no batch ''"),
        (["--forget", "b"], "there is no batch 'b'"),
        (["--add", ""], "SOURCE is empty"),
    ],
)
def test_what_cannot_be_forgotten_or_added(
    toy_project: Path, forked_dvc: None, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(images.IMAGES)
    assert main.main(["import", *arguments]) == 2
    assert says in capsys.readouterr().err
    assert files(images.IMAGES) == before


def test_a_refused_import_lists_all_that_it_was_refused_for(importable: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    importable(refuse_by_name)
    before = files(images.IMAGES)
    assert main.main(["import", "photos"]) == 3
    assert capsys.readouterr().err.endswith("a0.png and 11 more\n12 lines in reports/import/refused.csv name all of it\n")
    lines = images.REFUSED.read_text().splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("path,label,line,reason", "a11.png,'=cat,13,missing", 13)
    assert files(images.IMAGES) == before
    importable(new_images)
    assert main.main(["import", "photos"]) == 0
    assert not images.REFUSED.exists()


def test_an_aim_that_names_none_of_the_classes_is_said_at_once(importable: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    importable(new_images)
    params.write({"aim.measure": "recall", "aim.label": "B"})
    assert main.main(["import", "photos"]) == 0
    note = "`headstart run` will refuse this until params.yaml is changed: aim.label: there is no class 'B' here; known are 0, 1, 10, 11, 2"
    assert note in capsys.readouterr().out
    assert main.main(["run"]) == 2
    error = capsys.readouterr().err
    assert "aim.label: there is no class 'B' here; did you mean b?" in error
    assert "starting Prefect" not in error


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("present", [False, True])
def test_an_import_that_dvc_cannot_record_changes_nothing(
    importable: Callable[..., None], monkeypatch: pytest.MonkeyPatch, recorded: bool, present: bool
) -> None:
    importable(new_images)
    if recorded:
        dvc.add(images.IMAGES)
    if not present:
        shutil.rmtree(images.IMAGES)
    before = files()
    real = dvc.add

    def add(path: Path) -> None:
        real(path)  # the worst moment: all is written already
        raise HeadstartError("disk full")

    monkeypatch.setattr(dvc, "add", add)
    assert main.main(["import", "photos"]) == 1
    assert files() == before
    assert not images.IMPORTING.exists()


@pytest.mark.parametrize("swapped", [False, True])
def test_an_import_that_was_killed_is_undone_by_the_next_command(toy_project: Path, swapped: bool) -> None:
    before = files(images.IMAGES)
    images.IMPORTING.mkdir()
    images.IMAGES.rename(images.IMPORTING / "previous")
    if swapped:
        images.IMAGES.mkdir()
        new_images(images.IMAGES)
    images.check()
    recovery.recover()
    assert files(images.IMAGES) == before
    assert not images.IMPORTING.exists()


@pytest.mark.parametrize("source", [".", "data", ".."])
def test_a_folder_that_holds_the_project_is_refused(
    importable: Callable[..., None], source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    importable(new_images)
    before = files()
    assert main.main(["import", source]) == 3
    assert "contains this checkout's own data/" in capsys.readouterr().err
    assert files() == before


@pytest.mark.usefixtures("forked_dvc")
def test_names_that_dvc_cannot_take_are_named(toy_project: Path) -> None:
    Path(os.fsdecode(b"data/images/a/caf\xe9.txt")).write_text("x")
    with pytest.raises(DataError, match=r"the name of data/images/a/caf\\xe9.txt is not valid UTF-8"):
        images.record()


# Predict


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "final"
    folder.mkdir()
    (folder / "card.json").write_text("{}")

    def predict(paths: list[Path], model: Path, **how: object) -> Iterator[Answer]:
        assert model == folder
        for path in paths:
            bad = path.name.startswith("bad")
            ranked = (('say "a", b', 1 / 3), ("=c", 0.25))
            yield Answer(str(path), "", None, "truncated") if bad else Answer(str(path), ranked[0][0], 1 / 3, "", False, True, ranked)

    replace_module(monkeypatch, "features.predict", predict=predict)
    return folder


def test_predict_writes_csv(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["predict", "one, two.jpg", "bad.jpg", "--model", str(model)]) == 0
    out, err = capsys.readouterr()
    assert list(csv.reader(io.StringIO(out))) == [
        ["path", "label", "probability", "error", "unsure", "unlike"],
        ["one, two.jpg", 'say "a", b', "0.333333", "", "no", "yes"],
        ["bad.jpg", "", "", "truncated", "", ""],
    ]
    assert err == ""


def test_predict_writes_the_likeliest_classes_and_json_lines(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["predict", "a.jpg", "bad.jpg", "--top", "3", "--model", str(model)]) == 0
    header, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header[6:] == ["label_2", "probability_2", "label_3", "probability_3"]
    assert [row[6:] for row in rows] == [["'=c", "0.250000", "", ""], [""] * 4]
    assert main.main(["predict", "a.jpg", "bad.jpg", "--top", "2", "--format", "jsonl", "--model", str(model)]) == 0
    good, bad = map(json.loads, capsys.readouterr().out.splitlines())
    assert good["top"] == [{"label": 'say "a", b', "probability": 0.333333}, {"label": "=c", "probability": 0.25}]
    assert (good["unsure"], good["unlike"], bad["error"], bad["top"], bad["probability"]) == (False, True, "truncated", [], None)
    for wrong in ("0", "x"):
        with pytest.raises(SystemExit):
            main.main(["predict", "a.jpg", "--top", wrong])


def test_predict_takes_names_from_standard_input_and_sorts(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name in ("a.jpg", "bad.jpg"):
        Path("in", name).write_text(name)
    monkeypatch.setattr(sys, "stdin", io.StringIO("in/a.jpg\nin/bad.jpg\n"))
    assert main.main(["predict", "-", "--sort-into", "out", "--copy", "--model", str(model)]) == 0
    assert {str(path.relative_to("out")): path.read_text() for path in Path("out").rglob("*.jpg")} == {
        "_unlike/a.jpg": "a.jpg",
        "_unreadable/bad.jpg": "bad.jpg",
    }
    capsys.readouterr()
    assert main.main(["predict", "in/a.jpg", "--sort-into", "out", "--model", str(model)]) == 1
    assert "out is not empty" in capsys.readouterr().err


def test_predict_takes_patterns_that_no_shell_has_expanded_and_names_of_any_tool(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.jpg", "in/a.jpg", "in/deep/c.jpg", "in/.hidden.jpg", "in/[x].jpg", "-"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()

    def asked(*paths: str, names: str = "") -> list[str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(names))
        assert main.main(["predict", *paths, "--model", str(model)]) == 0
        return [line.partition(",")[0] for line in capsys.readouterr().out.splitlines()[1:]]

    assert asked("in/*.jpg") == ["in/[x].jpg", "in/a.jpg", "in/b.jpg"]
    assert asked("in/**/*.jpg") == ["in/[x].jpg", "in/a.jpg", "in/b.jpg", "in/deep/c.jpg"]
    assert asked("in/[x].jpg") == ["in/[x].jpg"]
    assert asked("in/none*") == ["in/none*"], "said by whoever opens it"
    assert asked("./-") == ["'-"]
    for names in ("\ufeffin/a.jpg\r\nin/b.jpg\r\n", "in/a.jpg\0in/b.jpg\0"):
        assert asked("-", names=names) == ["in/a.jpg", "in/b.jpg"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["x", "--copy"], "--copy goes with --sort-into"),
        (["x", "--resume"], "--resume goes on with a file"),
    ],
)
def test_options_of_predict_that_say_nothing(model: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["predict", *arguments, "--model", str(model)]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "x\x1b[2J", "9" * 5000, "٣"])
def test_numbers_out_of_bounds_say_the_bounds(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["predict", "x", f"--top={number}"])
    said = capsys.readouterr().err
    assert "is no whole number from 1 to 10,000" in said
    assert len(said) < 500
    assert "\x1b" not in said


def test_names_are_text_in_what_predict_writes(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "x.json").touch()
    given = ["=1+1.jpg", "a\x1b[2J\nb.jpg", os.fsdecode(b"caf\xe9.jpg"), str(folder)]
    assert main.main(["predict", *given, "--model", str(model)]) == 0
    out, err = capsys.readouterr()
    assert [row[0] for row in csv.reader(io.StringIO(out))][1:4] == ["'=1+1.jpg", "a\\x1b[2J\\nb.jpg", "caf\\xe9.jpg"]
    assert "\x1b" not in out
    assert err == "left out 1 file that is no photo: 1 .json\n"


def test_names_are_text_in_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main(["predict", "a", "--model", "x\x1b[2J"]) == 1
    err = capsys.readouterr().err
    assert "x\\x1b[2J" in err
    assert "\x1b" not in err


def test_predict_fails_where_nothing_was_readable(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["predict", "bad.jpg", "--model", str(model)]) == 1
    out, err = capsys.readouterr()
    assert out == "path,label,probability,error,unsure,unlike\nbad.jpg,,,truncated,,\n"
    assert err == "error: no file could be read as an image\n"


def test_predict_without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main(["predict", "a.jpg"]) == 1
    assert "there is no model at models/final" in capsys.readouterr().err


# Run


@pytest.fixture
def project(toy_project: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy project with a result, and the session's Prefect server in the environment."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    Path("reports").mkdir()
    Path("reports/metrics.json").write_text(json.dumps(METRICS))
    return toy_project


def test_a_run_with_a_temporary_server(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.delenv("PREFECT_HOME")
    code, out, err = run("run", "--set", "fine_tune.epochs=5", PATH="/usr/bin:/bin")
    assert code == 0, err
    stages, summary = out.split("\n\n", 1)
    assert [line.rsplit(" ", 1)[0] for line in stages.splitlines()] == [f"{name} ran" for name in STAGES]
    assert all(float(line.rsplit(" ", 1)[1]) > 0 for line in stages.splitlines())
    assert summary.startswith("accuracy    100% of 1 test image right\n")
    expected = ["fine_tune.epochs: 10 -> 5 (for this run)", "12 stages; how long they take is not known before they ran once"]
    for number, name in enumerate(STAGES, 1):
        expected += [f"[{number}/{len(STAGES)}] {name}", f"{name} begins"]
    expected += ["this run is not kept for `headstart runs`: nothing is committed yet; `git add --all` and `git commit` once"]
    assert err.startswith("this run will not be kept for `headstart runs`: nothing is committed yet"), "said before anything starts"
    assert err.splitlines()[2:] == expected, "the run's lines, and none of Prefect's or dvc's"
    assert Path(".headstart/prefect/prefect.db").exists()
    assert left(project / ".headstart/prefect") == []
    status = subprocess.run(["git", "status", "--short", "-uall"], capture_output=True, text=True).stdout
    assert ".headstart" not in status


def servers(home: Path) -> list[str]:
    """Process ids and command lines of what runs with this Prefect home."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"PREFECT_HOME={home}".encode() in entry.read_bytes():
                words = (entry.parent / "cmdline").read_bytes().split(b"\0")
                found.append(f"{entry.parent.name}: {b' '.join(words).decode(errors='replace')}")
        except OSError:
            continue
    return found


def left(home: Path) -> list[str]:
    """What runs with this Prefect home for good: what was told to end, and has reported that it did, may need a moment to be gone."""
    deadline = time.monotonic() + PATIENCE
    while (found := servers(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--set", "fine_tune.epochs=0"], 2, "fine_tune.epochs: 0 is wrong"),
        (["--set", "fine_tune.epoch=5"], 2, "did you mean epochs"),
        (["--set", "fine_tune.epochs"], 2, "block.name=value"),
        (["--fast", "--set", "fine_tune.epoch=5"], 2, "did you mean epochs"),
        (["--keep"], 2, "--keep goes with --set, --fast or --best"),
    ],
)
def test_bad_parameters_stop_a_run_before_it_starts(
    toy_project: Path, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files()
    assert main.main(["run", *arguments]) == code
    assert words in capsys.readouterr().err
    assert files() == before


def test_without_images_it_names_the_import(toy_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("data/images")
    assert main.main(["run"]) == 3
    assert "headstart import PATH" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fails", "message"), [("3", "error: index_images does not like it"), ("1", "error: stage index_images failed with RuntimeError")]
)
def test_a_failed_run_ends_with_the_reason(project: Path, fails: str, message: str) -> None:
    Path("index_images.fails").write_text(fails)
    code, out, err = run("run")
    assert code == int(fails)
    assert out == ""
    assert err.splitlines()[-1].startswith(message)
    assert [line for line in err.splitlines() if line.startswith("error: ")] == err.splitlines()[-1:], "once"
    assert "flow run" not in err.lower(), "Prefect's own lines are not shown"


def test_a_second_run_is_busy(toy_project: Path) -> None:
    with lock.hold("headstart import"):
        environment = {lock.VARIABLE: ""}
        for command in (["run", "--set", "fine_tune.epochs=5"], ["import", "demo"]):
            code, out, err = run(*command, **environment)
            assert (code, out) == (4, "")
            assert f"headstart import (process {os.getpid()}) holds .headstart/run.lock" in err
    assert "epochs: 10" in Path("params.yaml").read_text()


def running_stage(process: subprocess.Popen[str]) -> int:
    """Wait until the first stage runs; its process id."""
    assert process.stderr
    for line in process.stderr:
        if line == "index_images begins\n":
            return int(Path("started").read_text())
    raise AssertionError("the run ended before its first stage began")


@pytest.mark.parametrize(("number", "whole_group"), [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False)])
def test_an_interrupted_run_ends_its_children(project: Path, number: signal.Signals, whole_group: bool) -> None:
    Path("index_images.sleeps").write_text(str(2 * PATIENCE))
    with start("run") as process:
        stage = running_stage(process)
        (os.killpg if whole_group else os.kill)(process.pid, number)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert err.splitlines()[-1].startswith("cancelled; the stages that had ended are kept")
    assert "cancelled" in {entry["state"] for entry in save.failures()}
    assert out == ""
    assert gone(stage, patience=10.0), "not by itself, which takes twenty minutes"
    with lock.hold("the next"):
        assert dvc.call("status", "--json")[-1] != "{}", "nothing half-done is recorded"


def test_sigterm_ends_a_command_that_ends_for_nothing_else(tmp_path: Path) -> None:
    """A thread that computes on, and a main thread that waits for it."""
    code = (
        "import sys, time, types, threading\n"
        "from flows.cli import ending, main, predict\n"
        "ending.GRACE = 0.5\n"
        "def stuck(options):\n"
        "    threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "    print('stuck', flush=True)\n"
        "    try: time.sleep(600)\n"
        "    finally: time.sleep(600)\n"
        "predict._predict = stuck\n"
        "sys.argv = ['headstart', 'predict', 'x']\n"
        "sys.exit(main.main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "stuck\n"
        process.terminate()
        assert process.communicate(timeout=PATIENCE)[1] == "interrupted\n"
    assert process.returncode == 130


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_killed_run_leaves_no_orphans(project: Path, prefect_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.delenv("PREFECT_HOME")
    with_database(Path(".headstart"), prefect_database)
    Path("index_images.sleeps").write_text(str(2 * PATIENCE))
    with start("run") as process:
        stage = running_stage(process)
        home = project / ".headstart/prefect"
        assert len(servers(home)) >= 3, "the server, dvc and the stage"
        process.kill()
    assert gone(stage)
    assert left(home) == []
    Path("index_images.sleeps").unlink()
    with lock.hold("the next"):
        recovery.recover()
        assert dvc.repro("index_images")["outcome"] == "ran"


# Promote


def promoted(patch: pytest.MonkeyPatch, decision: str) -> list[tuple[Path, dict[str, Any]]]:
    """Have every promotion end with `decision`; returns the list of what was asked for."""
    asked: list[tuple[Path, dict[str, Any]]] = []

    def promote(folder: Path, **options: Any) -> dict[str, Any]:
        asked.append((folder, options))
        assert lock.VARIABLE in os.environ, "it holds the run lock"
        known = {"decision": decision, "forced": False, "model": "0001-aa", "reason": "so it is", "notes": [], "batches": []}
        return {**dict.fromkeys(shelf.Entry.__annotations__), **known, "n": 9, "split": "validation", "accuracy": 1.0}

    replace_module(patch, "registry.promotion", promote=promote)
    return asked


@pytest.mark.parametrize(("decision", "code"), [("promoted", 0), ("unchanged", 0), ("refused", 1)])
def test_promote_says_what_was_decided(
    toy_project: Path, decision: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = promoted(monkeypatch, decision)
    assert main.main(["promote"]) == code
    out, err = capsys.readouterr()
    assert out.startswith(decision)
    assert "right on 100.0% of 9 validation images\n" in out
    assert err == ""
    assert main.main(["promote", "--json", "--split", "test", "--force", "--registry", "kept"]) == code
    assert json.loads(capsys.readouterr().out)["reason"] == "so it is"
    assert [folder for folder, _ in asked] == [Path("registry"), Path("kept")]
    assert [(options["split"], options["force"]) for _, options in asked] == [("validation", False), ("test", True)]


def test_promote_without_a_model_names_the_run(toy_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["promote"]) == 1
    assert "models/final/card.json is missing: no model has been made yet; run `headstart run` first" in capsys.readouterr().err
    assert not Path("registry").exists()


def test_promote_is_refused_where_it_makes_no_sense(toy_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main.main(["promote", "--split", "train"])
    assert end.value.code == 2
    with pytest.raises(SystemExit):
        main.main(["promote", "--help"])
    out = capsys.readouterr().out
    assert "headstart predict inbox/ --model registry/model" in out
    assert max(map(len, out.splitlines())) <= 130
    Path("dvc.yaml").unlink()
    assert main.main(["promote"]) == 1
    assert "not the root of a Headstart project" in capsys.readouterr().err


def test_promote_waits_for_no_other_run(toy_project: Path) -> None:
    with lock.hold("headstart run"):
        code, out, err = run("promote", **{lock.VARIABLE: ""})
    assert (code, out) == (4, "")
    assert "headstart run (process" in err


# Sources


def test_sources_as_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", "torch")
    assert main.main(["sources", "torchvision:mobilenet_v3_*", "wheel:efficientnet_lite0"]) == 0
    out, err = capsys.readouterr()
    heading, *lines = out.splitlines()
    assert heading.split() == ["NAME", "PARAMETERS", "GFLOPS", "INPUT", "IMAGENET", "LICENCE", "DOWNLOAD", "HERE"]
    assert [line.split()[0] for line in lines] == [
        *(f"torchvision:mobilenet_v3_{name}" for name in ("large/IMAGENET1K_V1", "large/IMAGENET1K_V2", "small/IMAGENET1K_V1")),
        "wheel:efficientnet_lite0",
    ]
    assert lines[-1].split()[1:] == ["4.65", "M", "0.39", "224", "75.1%", "apache-2.0", "19", "MB", "yes"]
    assert lines[0].split()[-1] == "no"
    assert err.endswith("4 sources, 1 here\n")


def test_sources_within_bounds_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main(["sources", "mobilenet_v3", "--max-gflops", "0.1", "--licence", "BSD-3-Clause", "--licence", "mit", "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert (found["name"], found["kind"]) == ("torchvision:mobilenet_v3_small/IMAGENET1K_V1", "torchvision")
    assert (found["parameters"], found["gflops"], found["input_size"]) == (2_542_856, 0.057, 224)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["timm:convnxt_*"], 2, "error: timm:convnxt_* matches no source; did you mean timm:convnext"),
        (["torchvision:resnet19"], 2, "error: torchvision has no classifier 'resnet19'; did you mean resnet1"),
        (["checkpoint:nowhere"], 1, "error: nowhere does not exist"),
        (["torchvision:vgg16*", "--max-parameters", "5"], 0, "none of 2 sources is left: 2 more than 5 million parameters"),
        (["torchvision:resnet18", "--here"], 0, "none of 1 sources is left: 1 not here"),
        (["wheel:*", "--licence", "mit"], 0, "none of 4 sources is left: 3 licence apache-2.0, 1 licence bsd-3-clause"),
    ],
)
def test_sources_says_why_there_are_none(
    arguments: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", "torch")
    assert main.main(["sources", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


def test_a_long_list_of_sources_counts_nothing_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from headstart.networks import skeletons

    counted: list[str] = []

    def whole(library: str, architecture: str) -> Any:
        counted.append(architecture)
        raise RuntimeError("cannot be built")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(skeletons, "whole", whole)
    assert main.main(["sources", "timm:vit_*"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) > 200
    assert "figures of timm are counted if at most 50 sources are left, or with --all-figures" in err
    assert counted == []
    assert main.main(["sources", "timm:test_vit*"]) == 0
    assert counted == ["test_vit.r160_in1k", "test_vit2.r160_in1k", "test_vit3.r160_in1k"]
    assert main.main(["sources", "timm:resnet*", "--all-figures"]) == 0
    assert len(counted) > 60


def test_a_card_is_written_for_weights_of_one_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from headstart.networks import state_dicts, telling
    from headstart.networks.cards import Transform

    transform = Transform(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic", 0.9)
    told = telling.Told("timm", "efficientnet_b0", transform, ("timm:tf_efficientnet_b0",))
    monkeypatch.setattr(state_dicts, "read", lambda file: {})
    monkeypatch.setattr(telling, "tell", lambda state, file: told)
    (tmp_path / "best.pth").touch()
    assert main.main(["sources", "--card", str(tmp_path / "best.pth")]) == 0
    shown = capsys.readouterr().out
    assert json.loads((tmp_path / "card.json").read_text())["architecture"] == "efficientnet_b0"
    assert shown.startswith(f"{tmp_path / 'card.json'}:\n{{")
    assert "check the architecture: the same names and sizes have timm:tf_efficientnet_b0\ncheck the transform" in shown
    assert main.main(["sources", "--card", str(tmp_path / "best.pth")]) == 1
    assert "is there already; remove it first" in capsys.readouterr().err
    assert main.main(["sources", "--card", str(tmp_path / "none.pth")]) == 1
