"""The watched folder: what lies in it joins as a batch, once, whatever is killed when; what cannot be used stays, nothing is deleted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from flows.cli import main
from flows.pipeline import inbox
from flows.projects import images
from headstart.data import batches
from headstart.machinery.errors import DataError, HeadstartError
from headstart.registry import promotion
from tests import toy
from tests.flows.cli.test_main import files

pytestmark = pytest.mark.usefixtures("forked_dvc")
INBOX = Path("inbox")


@pytest.fixture
def project(toy_project: Path) -> Path:
    toy.images(Path("first"), ("ant", "bee"), per_class=6)
    shutil.rmtree(images.IMAGES, ignore_errors=True)
    assert main.main(["import", "first"]) == 0
    return toy_project


def fill(seed: int = 1, classes: tuple[str, ...] = ("ant", "bee"), age: float = 3600) -> None:
    toy.images(INBOX, classes, per_class=6, seed=seed)
    for path in INBOX.rglob("*.png"):
        os.utime(path, (path.stat().st_mtime - age,) * 2)


def test_what_lies_there_is_taken_once(project: Path) -> None:
    said: list[str] = []
    inbox.take(INBOX, said.append)
    assert said == ["inbox/ holds nothing new"]
    fill(age=0)
    before = files()
    inbox.take(INBOX, said.append)
    assert "may still be filled" in said[-1]
    assert files() == before
    fill()
    (INBOX / "ant/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    os.utime(INBOX / "ant/broken.jpg", (1, 1))
    inbox.take(INBOX, said.append)
    assert "batch batch-2: 12 images beside 12, whose splits stay as they are" in said
    assert "1 file of inbox/ cannot be used" in said[-1]
    assert [path.as_posix() for path in sorted(INBOX.rglob("*")) if path.is_file() and ".taken" not in path.parts] == [
        "inbox/ant/broken.jpg"
    ]
    assert len(list((INBOX / ".taken/batch-2").rglob("*.png"))) == 12
    (INBOX / "ant/broken.jpg").unlink()
    inbox.take(INBOX, said.append)
    assert said[-1] == "inbox/ holds nothing new"


def test_a_run_that_was_killed_before_the_photos_were_put_aside_takes_none_twice(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    fill()
    monkeypatch.setattr(inbox, "_put_aside", lambda *_: None)
    inbox.take(INBOX, said.append)
    monkeypatch.undo()
    monkeypatch.chdir(project)
    version = images.version()
    inbox.take(INBOX, said.append)
    assert said[-1].startswith("all 12 images of inbox are here already")
    assert images.version() == version
    assert len(list((INBOX / ".taken/known").rglob("*.png"))) == 12
    assert not (INBOX / "ant").exists()


def test_a_refused_import_leaves_all_as_it_is(project: Path) -> None:
    fill(classes=("ANT", "wasp"))
    before = files()
    with pytest.raises(DataError, match="differ only in case"):
        inbox.take(INBOX, print)
    assert {path: content for path, content in files().items() if "reports/import" not in str(path)} == before
    assert batches.read(images.IMAGES) == {}


def test_why_a_model_is_not_promoted_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def failing(**_: object) -> None:
        raise HeadstartError("there is no model at models/final")

    monkeypatch.setattr(promotion, "promote", failing)
    inbox.promote(said.append)
    assert said == ["not promoted: there is no model at models/final"]
