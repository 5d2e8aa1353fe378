"""headstart import --add: a batch joins the data set and its record whole, or nothing changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from flows.cli import main
from flows.projects import arriving, images, indexing
from flows.repository import dvc
from headstart.continual import sums
from headstart.data import batches
from headstart.importing import joining
from tests import tiny, toy
from tests.flows.cli.test_main import files

pytestmark = pytest.mark.usefixtures("forked_dvc")


@pytest.fixture
def photos(toy_project: Path) -> Path:
    """A project with images, and folders with more of them beside it."""
    for number, name in enumerate(("first", "second", "third")):
        toy.images(Path(name), ("ant", "bee"), per_class=6, seed=number)
    shutil.rmtree(images.IMAGES, ignore_errors=True)
    assert main.main(["import", "first"]) == 0
    return toy_project


def test_a_batch_joins_and_is_on_record(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = images.version()
    assert main.main(["import", "--add", "second", "--batch", "monday"]) == 0
    said = capsys.readouterr().out
    assert "12 images in 2 classes (ant, bee); splits: train 8, validation 2, test 2" in said
    assert "batch monday: 12 images beside 12, whose splits stay as they are" in said
    assert said.endswith("next: headstart run\n")
    assert images.version() != before
    assert batches.names(batches.read(images.IMAGES)) == ["batch-1", "monday"]
    assert not images.IMPORTING.exists()
    assert main.main(["import", "--update"]) == 3
    assert "the images came in several batches" in capsys.readouterr().err


def test_what_is_refused_or_fails_changes_nothing(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files()
    assert main.main(["import", "--add", "first"]) == 3
    assert "are here already; nothing to add" in capsys.readouterr().err
    refused = Path("reports/import/refused.csv")
    assert "the same pixels are here already: ant/0000.png" in refused.read_text()
    refused.unlink()
    assert main.main(["import", "--add", "second", "--batch", "a/b"]) == 2
    assert main.main(["import", "--add", "nowhere"]) == 3
    assert main.main(["import", "--update", "--batch", "x"]) == 2

    added = dvc.add

    def failing(path: Path, say: dvc.Say | None = None) -> None:
        if (images.IMAGES / batches.FILE).exists():
            raise dvc.DvcError("dvc add failed", [])
        added(path, say)

    monkeypatch.setattr(dvc, "add", failing)
    assert main.main(["import", "--add", "second"]) == 1
    assert {path: content for path, content in files().items() if "reports/import" not in str(path)} == {
        path: content for path, content in before.items() if "reports/import" not in str(path)
    }
    assert not images.IMPORTING.exists()


def test_a_first_batch_may_have_a_name(photos: Path) -> None:
    shutil.rmtree(images.IMAGES)
    assert main.main(["import", "second", "--batch", "2026-11-26"]) == 0
    assert batches.names(batches.read(images.IMAGES)) == ["2026-11-26"]
    named = files()
    assert main.main(["import", "--update"]) == 0
    assert files() == named
    assert main.main(["import", "--add", "third", "--batch", "2026-11-27"]) == 0
    assert sorted(path.name for path in images.IMAGES.glob("ant/*"))[5:7] == ["2026-11-26__0005.png", "2026-11-27__0000.png"]


def test_a_batch_is_forgotten_and_its_test_images_stay_out_of_training(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main.main(["import", "--add", "second", "--batch", "monday"]) == 0
    before = files()
    capsys.readouterr()
    assert main.main(["import", "--forget", "monday"]) == 1
    assert "none was chosen yet" in capsys.readouterr().err
    arriving.SOURCE.parent.mkdir(exist_ok=True)
    arriving.SOURCE.write_text(json.dumps(tiny.source("seeing", tiny.trunk()).card().to_json()))
    assert main.main(["import", "--forget", "tuesday"]) == 2
    assert "there is no batch 'tuesday'; there are batch-1" in capsys.readouterr().err
    assert {path: content for path, content in files().items() if path in before} == before

    tiny.use(monkeypatch, {"seeing": lambda: tiny.source("seeing", tiny.trunk())})
    table = joining.indexed(images.IMAGES, Path("none"), indexing.wanted())
    held_out = table[(table["batch"] == "monday") & (table["split"] == "test")]
    assert main.main(["import", "--forget", "monday"]) == 0
    assert "forgot 12 images of batch monday" in capsys.readouterr().out
    assert len(list(images.IMAGES.glob("*/*.png"))) == 12
    assert sums.read(images.IMAGES)["monday"].counts.tolist() == [5.0, 5.0]
    assert main.main(["import", "--add", "second", "--batch", "monday"]) == 2, "its name stays taken"
    assert main.main(["import", "--add", "second", "--batch", "again"]) == 0
    again = joining.indexed(images.IMAGES, Path("none"), indexing.wanted()).set_index("pixels_sha256")
    assert set(again.loc[held_out["pixels_sha256"], "split"]) == {"test"}


def test_images_without_labels_come_all_at_once(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["import", "first", "--no-labels"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("12 images\n")
    assert "no labels: `headstart run` puts 12 images into groups" in told
    before = images.version()
    for command in (["--add", "second"], ["second", "--no-labels", "--batch", "later"]):
        assert main.main(["import", *command]) != 0
        assert "images without labels come all at once" in capsys.readouterr().err
    assert images.version() == before
    assert main.main(["import", "--update"]) == 0
    assert images.version() == before
