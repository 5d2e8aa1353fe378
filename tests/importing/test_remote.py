"""headstart.importing.remote: images from a bucket are copied once, whole or not at all, and a copy that was stopped goes on."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from headstart.importing import datasets, remote, shards
from headstart.importing.options import Options
from headstart.machinery.errors import DataError, HeadstartError, ParamsError
from tests import toy

BUCKET = "memory://bucket/photos"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket in memory with three classes of four photographs, and a folder that bookkeeping left; the current folder is a fresh one."""
    monkeypatch.chdir(tmp_path)
    system = fsspec.filesystem("memory")
    toy.images(Path("source"), per_class=4)
    for path in Path("source").rglob("*.png"):
        system.pipe_file(f"/bucket/photos/{path.relative_to('source').as_posix()}", path.read_bytes())
    system.pipe_file("/bucket/photos/ant/.DS_Store", b"x")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def load(source: str, **options: Any) -> datasets.Summary:
    shutil.rmtree("target", ignore_errors=True)
    return datasets.import_dataset(source, Path("target"), current=Path("data/images"), **options)


def files(folder: str) -> dict[str, bytes]:
    found = (path for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def counted(system: Any, monkeypatch: pytest.MonkeyPatch, fails_at: int = -1) -> list[str]:
    """The keys that are fetched from here on; the one of this number fails."""
    fetched: list[str] = []
    real = system.get_file

    def get_file(key: str, path: str, **other: Any) -> None:
        fetched.append(key)
        if len(fetched) == fails_at:
            raise ConnectionError("the line is cut")
        real(key, path, **other)

    monkeypatch.setattr(type(system), "get_file", lambda self, key, path, **other: get_file(key, path, **other))
    return fetched


def test_a_bucket_is_imported_as_its_folder_would_be(bucket: Any) -> None:
    summary = load(BUCKET)
    assert (summary.files, summary.classes, summary.skipped) == (12, list(toy.CLASSES), [])
    assert files("target") == files("source")
    remote.forget()
    assert files("target") == files("source")
    assert not remote.FETCHED.exists()


def test_a_copy_that_was_stopped_goes_on(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "AT_ONCE", 1)
    fetched = counted(bucket, monkeypatch, fails_at=6)
    with pytest.raises(HeadstartError, match=r"memory://bucket/photos cannot be read: the line is cut.*import again to go on"):
        load(BUCKET)
    assert not Path("target").exists()
    before = len(fetched)
    load(BUCKET)
    assert len(fetched) == before + 12 - (len(set(fetched[:before])) - 1), "each file once, but for the one that failed"
    assert files("target") == files("source")


def test_what_changed_in_the_bucket_is_fetched_again(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    load(BUCKET)
    toy.photo(2, 99).save("other.png")
    bucket.pipe_file("/bucket/photos/ant/0000.png", Path("other.png").read_bytes())
    bucket.rm("/bucket/photos/bee/0003.png")
    fetched = counted(bucket, monkeypatch)
    assert load(BUCKET).files == 11
    assert fetched == ["/bucket/photos/ant/0000.png"]
    assert files("target")["ant/0000.png"] == Path("other.png").read_bytes()


def test_a_file_that_came_in_part_does_not_count(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(bucket), "get_file", lambda self, key, path, **_: Path(path).write_bytes(b"half"))
    with pytest.raises(HeadstartError, match="came in part"):
        load(BUCKET)
    assert not [path for path in remote.FETCHED.rglob("*") if path.is_file()]


def test_an_archive_and_a_local_address_are_taken_too(bucket: Any) -> None:
    shutil.make_archive("packed", "zip", "source")
    bucket.pipe_file("/bucket/packed.zip", Path("packed.zip").read_bytes())
    assert load("memory://bucket/packed.zip").files == 12
    assert files("target") == files("source")
    assert load(f"file://{Path('source').absolute()}").files == 12


def test_what_cannot_be_read_is_refused_with_a_remedy(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParamsError, match="nothing:// cannot be read here"):
        load("nothing://bucket")
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(ParamsError, match=r"pip install 'headstart\[s3\]'"):
        load("s3://bucket/photos")
    with pytest.raises(DataError, match="there are no files at memory://bucket/none"):
        load("memory://bucket/none")
    bucket.pipe_file("/bucket/photos/ant/a\0b.png", b"x")
    with pytest.raises(DataError, match="no name for a file"):
        load(BUCKET)


def test_a_disk_that_is_too_small_is_told_before_anything_comes(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, remote.KEEP_FREE + 100))
    fetched = counted(bucket, monkeypatch)
    with pytest.raises(HeadstartError, match="an import is a copy: make room"):
        load(BUCKET)
    assert fetched == []


def test_shards_in_a_bucket_come_one_at_a_time(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [
        shards.Sample(path, path.relative_to("source").as_posix(), path.parent.name, "test" if "3" in path.name else "train")
        for path in sorted(Path("source").rglob("*.png"))
    ]
    names = shards.pack(samples, "memory://bucket/shards", 5)
    assert len(names) == 3
    fetched = counted(bucket, monkeypatch, fails_at=2)
    with pytest.raises(HeadstartError, match="the line is cut"):
        load("memory://bucket/shards")
    summary = load("memory://bucket/shards")
    assert len(fetched) == 4, "a shard that came is not fetched again"
    assert (summary.files, summary.splits, summary.skipped) == (12, {"train": 9, "test": 3}, [])
    assert sorted(files("target").values()) == sorted(files("source").values())
    assert not list(remote.FETCHED.rglob("*.tar"))
    with pytest.raises(ParamsError, match="have labels of their own"):
        load("memory://bucket/shards", labels=Path("labels.csv"), how=Options())
