"""headstart.importing.shards: the same images give the same shards, and shards give the images back with their labels."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from headstart.data import belonging
from headstart.importing import datasets, shards
from headstart.indexing import layout
from headstart.machinery.errors import DataError
from tests import toy


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    toy.split_images(Path("source"), {"train": 4, "test": 2})
    belonging.write(Path("source"), {"train/ant/0000.png": "one", "train/ant/0001.png": "one"})
    return Path("source")


def packed(folder: str, **other: Any) -> dict[str, bytes]:
    assert main.main(["shard", folder, "--from", "source", "--each", "5"]) == 0
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def made(path: str, *members: tuple[str, bytes]) -> None:
    """A tar of these members."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    toy.photo(number % 3, number).save(buffer, "PNG")
    return buffer.getvalue()


def load(path: str) -> datasets.Summary:
    shutil.rmtree("target", ignore_errors=True)
    return datasets.import_dataset(path, Path("target"), current=Path("data/images"))


def contents(folder: Path) -> set[tuple[str, str, bytes]]:
    """The label, the split and the bytes of each image of a data set."""
    return {(item.label, item.split, (folder / item.path).read_bytes()) for item in layout.scan(folder).items}


def test_there_and_back(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = packed("one")
    assert capsys.readouterr().out == "18 images in 4 shards at one; `headstart import one` reads them\n"
    assert packed("two") == first
    assert sorted(first)[-1] == shards.INDEX
    summary = load("one")
    assert (summary.files, summary.splits, summary.groups) == (18, {"train": 12, "test": 6}, 1)
    assert contents(Path("target")) == contents(source)
    assert set(belonging.read(Path("target")).values()) == {"one"}


def test_every_shard_holds_all_classes_and_what_webdataset_reads(source: Path) -> None:
    packed("one")
    with tarfile.open(sorted(Path("one").glob("*.tar"))[0]) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert sorted({Path(name).suffix for name in members}) == [".cls", ".json", ".png"]
    told = json.loads(members["000000000.json"])
    assert told["label"] == toy.CLASSES[int(members["000000000.cls"])]
    assert {json.loads(content)["label"] for name, content in members.items() if name.endswith(".json")} == set(toy.CLASSES)


def test_what_was_stopped_goes_on_and_other_shards_are_not_read(source: Path) -> None:
    first = packed("one")
    name = sorted(first)[1]
    Path("one", name).unlink()
    kept = {path: path.stat().st_mtime_ns for path in Path("one").glob("*.tar")}
    assert packed("one") == first
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    made("one/images-of-another-day.tar", ("1.png", picture(1)), ("1.cls", b"5"))
    assert load("one").files == 18
    Path("one", name).unlink()
    with pytest.raises(DataError, match=r"1 of the shards that shards.json names are not there"):
        load("one")


@pytest.mark.parametrize("label", [("cls", b"7\n"), ("txt", b"7"), ("json", b'{"label": "7", "other": 1}'), ("json", b"7")])
def test_labels_in_the_forms_that_others_write(source: Path, label: tuple[str, bytes]) -> None:
    for number, split in enumerate(("train", "val")):
        samples = [(f"x/{i}.{kind}", content) for i in range(3) for kind, content in (("png", picture(i + 10 * number)), label)]
        made(f"web/set-{split}-000000.tar", *samples, ("x/9.png", picture(90 + number)), ("x/9.cls", b"8"))
    summary = load("web")
    assert (summary.classes, summary.splits) == (["7", "8"], {"train": 4, "validation": 4})


def test_a_single_shard_is_an_archive_of_samples(source: Path) -> None:
    made("alone.tar", *((f"{i}.{kind}", content) for i in range(4) for kind, content in (("png", picture(i)), ("cls", b"%d" % (i % 2)))))
    assert load("alone.tar").classes == ["0", "1"]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("1.png", picture(1)), ("2.png", picture(2)), ("2.cls", b"1")], "the sample 1 has no label"),
        ([("1.png", picture(1)), ("1.json", b"{")], "has a .json that is none"),
        ([("1.png", picture(1)), ("1.txt", b"a dog " * 50)], "a caption is no class"),
        ([("../1.png", picture(1)), ("../1.cls", b"1")], "../1.png"),
    ],
)
def test_shards_that_are_none_are_refused(source: Path, members: list[tuple[str, bytes]], said: str) -> None:
    made("web/0.tar", *members)
    with pytest.raises(DataError, match=said):
        load("web")
    assert not Path("target").exists()
