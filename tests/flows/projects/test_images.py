"""The data set that changes: imported again, brought by git, dropped in by hand; what changed here is never lost to what came from there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.cli import main
from flows.projects import images
from flows.repository import dvc, git
from headstart.machinery.errors import DataError
from tests.flows.cli.test_main import files, replace_module

pytestmark = pytest.mark.usefixtures("forked_dvc")


@pytest.fixture
def source(toy_project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets a test say which files the source of an import, or the images here, hold."""

    def import_dataset(source: str, target: Path, *, labels: Path | None = None, how: object = None) -> SimpleNamespace:
        shutil.copytree(source, target)
        return SimpleNamespace(
            files=len(list(target.rglob("*.txt"))),
            classes=["a"],
            splits={},
            skipped=[],
            terms="",
            renamed=0,
            left_out=[],
            groups=0,
            notes=[],
            sidecars=[],
            unreadable=[],
        )

    def fill(folder: Path | str, *names: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        for name in names:
            path = Path(folder, "a", f"{name}.txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)

    replace_module(monkeypatch, "importing.datasets", import_dataset=import_dataset)
    return fill


def names() -> list[str]:
    return sorted(path.stem for path in images.IMAGES.rglob("*.txt"))


def test_an_update_imports_from_the_same_place(source: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    source("photos", "one", "two")
    assert main.main(["import", "photos"]) == 0
    assert capsys.readouterr().out.endswith("next: headstart run\n")
    first = files()
    assert main.main(["import", "--update"]) == 0
    assert capsys.readouterr().out.endswith("these are the images that were here before; nothing changed\n")
    assert files() == first
    source("photos", "one", "two", "three")
    assert main.main(["import", "--update"]) == 0
    assert capsys.readouterr().out.endswith("next: headstart run\n")
    assert names() == ["one", "three", "two"]
    Path("data/images/a/by hand.txt").write_text("by hand")
    assert main.main(["import", "--update"]) == 3
    assert "was changed here since it was imported from photos" in capsys.readouterr().err
    assert names() == ["by hand", "one", "three", "two"]


def test_an_update_of_unknown_origin_is_refused(source: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    images.record()
    before = files()
    assert main.main(["import", "--update"]) == 3
    assert "does not say where its images came from" in capsys.readouterr().err
    assert files() == before
    images.RECORD.write_text("deps:\n- path: s3://bucket/photos\n" + images.RECORD.read_text())
    assert main.main(["import", "--update"]) == 3
    assert "`dvc update data/images.dvc`" in capsys.readouterr().err
    assert main.main(["import", "--update", "--labels", "x.csv"]) == 2
    with pytest.raises(SystemExit):
        main.main(["import", "photos", "--update"])


@pytest.fixture
def pulled(source: Callable[..., None]) -> Callable[..., None]:
    """A project whose images are `old`, and whose record git has just changed to that of `old` and `new`."""
    source(images.IMAGES, "old", "new")
    images.record()
    theirs = images.RECORD.read_bytes()
    source(images.IMAGES, "old")
    images.record()
    git.call("add", "data/images.dvc")
    git.call("commit", "--quiet", "--message", "Old images")
    images.RECORD.write_bytes(theirs)
    return source


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_record_that_git_changed_is_followed(pulled: Callable[..., None], forgotten: bool) -> None:
    if forgotten:
        shutil.rmtree(".headstart")
    theirs, said = images.RECORD.read_bytes(), list[str]()
    images.record(said.append)
    assert names() == ["new", "old"]
    assert images.RECORD.read_bytes() == theirs
    assert said[0].startswith("data/images.dvc names another version: data/images changes from ")
    Path("data/images/a/mine.txt").write_text("mine")
    images.record()
    assert images.RECORD.read_bytes() != theirs, "from here on the images here count again"


def test_images_and_record_that_both_changed_are_refused(pulled: Callable[..., None]) -> None:
    Path("data/images/a/mine.txt").write_text("mine")
    before = files()
    with pytest.raises(DataError, match=r"both data/images\.dvc"):
        images.record()
    assert files() == before
    dvc.call("add", "data/images")
    images.record()
    assert names() == ["mine", "old"]


def test_an_update_imports_in_the_same_way(source: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def import_dataset(source: str, target: Path, *, labels: Path | None = None, how: object = None) -> SimpleNamespace:
        told.append((labels, how))
        shutil.copytree(source, target)
        return SimpleNamespace(
            files=1, classes=["a"], splits={}, skipped=[], renamed=0, left_out=[], groups=0, notes=[], sidecars=[], unreadable=[], terms=""
        )

    source("photos", "one")
    replace_module(monkeypatch, "importing.datasets", import_dataset=import_dataset)
    flags = ["--labels", "x.csv", "--columns", "path=a,label=b", "--skip-bad", "--drop-duplicates", "--group-pattern", "p"]
    assert main.main(["import", "photos", *flags]) == 0
    assert main.main(["import", "--update"]) == 0
    assert told[0] == told[1]
    assert told[0][1].to_json() == {
        "columns": {"path": "a", "label": "b"},
        "skip_bad": True,
        "drop_duplicates": True,
        "group_pattern": "p",
    }
    assert told[0][1].least == images.least()
    assert main.main(["import", "--update", "--skip-bad"]) == 2


def test_a_pipe_among_the_images_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a/pipe.jpg")
    with pytest.raises(DataError, match=r"a/pipe\.jpg is neither a file nor a folder; remove it"):
        images._refuse_names(tmp_path)
