"""headstart.manifest: one row for every file, the same bytes for the same data, and clear refusals."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headstart.base import cores
from headstart.data import belonging, manifest
from headstart.indexing import indexer, inspection
from headstart.machinery.errors import DataError
from tests import toy


def index(folder: Path, **changes: Any) -> pd.DataFrame:
    return indexer.index(folder, **(toy.INDEX | changes))


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        index(folder)
    return str(caught.value)


def test_a_row_for_every_file(tmp_path: Path) -> None:
    paths = toy.images(tmp_path, per_class=10)
    table = index(tmp_path)
    assert table.columns.tolist() == manifest.SCHEMA.names
    assert table["path"].tolist() == [path.relative_to(tmp_path).as_posix() for path in paths]
    assert table["label"].tolist() == [path.parent.name for path in paths]
    assert table["readable"].all()
    assert table["group"].tolist() == list(range(30))
    for row in table.itertuples():
        seen = inspection.inspect(tmp_path / str(row.path))
        assert {name: getattr(row, name) for name in seen} == seen
    assert table.groupby(["label", "split"]).size().unstack().to_numpy().tolist() == [[2, 6, 2]] * 3
    assert [str(table[name].dtype) for name in ("width", "height", "bytes", "group", "readable")] == [
        "int32",
        "int32",
        "int64",
        "int64",
        "bool",
    ]


def test_given_splits(tmp_path: Path) -> None:
    toy.split_images(tmp_path, {"train": 10, "val": 4})
    table = index(tmp_path)
    folder = table["path"].str.partition("/")[0]
    assert set(table.loc[folder == "val", "split"]) == {"test"}
    assert table.loc[folder == "train", "split"].value_counts().to_dict() == {"train": 24, "validation": 6}


def test_bad_files_become_rows_with_a_reason(tmp_path: Path) -> None:
    toy.images(tmp_path, per_class=6)
    whole = (tmp_path / "ant/0000.png").read_bytes()
    (tmp_path / "ant/empty.jpg").touch()
    (tmp_path / "ant/half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "bee/notes.jpg").write_text("not a photo")
    (tmp_path / "bee/notes").write_text("nor is it one by its name, so it is no row")
    (tmp_path / "bee/0000.xml").write_text("a sidecar is no row")
    (tmp_path / "README.md").write_text("nor is a text beside the classes")
    Image.new("RGB", (1, 1)).save(tmp_path / "bee/dot.png")
    Image.new("RGB", (200, 100)).save(tmp_path / "cat/big.png")
    table = index(tmp_path, max_pixels=10_000)
    bad = table[~table["readable"]].set_index("path")
    assert bad["reason"].to_dict() == {
        "ant/empty.jpg": "zero bytes",
        "ant/half.png": "truncated: the file ends early",
        "bee/dot.png": "too small to hold a picture: 1x1",
        "bee/notes.jpg": "not an image",
        "cat/big.png": "too many pixels: 200x100, the limit is 10000",
    }
    assert set(bad["split"]) == {""}
    assert set(bad["group"]) == {-1}
    assert set(bad["pixels_sha256"]) == set(bad["phash"]) == {""}
    assert (bad["width"] == 0).all()
    assert bad.loc["bee/notes.jpg", "bytes"] == 11
    assert (table.loc[table["readable"], "split"] != "").all()
    assert len(table) == 23


def test_all_unreadable_is_for_validation_to_judge(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").write_text("no")
    table = index(tmp_path)
    assert not table["readable"].any()
    manifest.write(table, tmp_path / "m.parquet")
    assert manifest.read(tmp_path / "m.parquet").equals(table)


def test_near_duplicates_are_kept_on_one_side(tmp_path: Path) -> None:
    toy.images(tmp_path, ("ant", "bee"), per_class=10, size=64)
    for number in range(10):
        photo = Image.open(tmp_path / f"ant/{number:04d}.png")
        photo.resize((48, 48), Image.Resampling.BICUBIC).save(tmp_path / f"ant/copy{number}.jpg", quality=80)
        photo.save(tmp_path / f"ant/same{number}.bmp")
    table = index(tmp_path).set_index("path")
    for number in range(10):
        trio = table.loc[[f"ant/{number:04d}.png", f"ant/copy{number}.jpg", f"ant/same{number}.bmp"]]
        assert trio["group"].nunique() == 1
        assert trio["split"].nunique() == 1
    assert table["group"].nunique() == 20
    alone = index(tmp_path, duplicate_group_limit=1).set_index("path")
    for number in range(10):
        assert alone.loc[f"ant/{number:04d}.png", "group"] == alone.loc[f"ant/same{number}.bmp", "group"]
    assert alone["group"].nunique() == 30


def test_the_split_goes_by_pixels_not_names(tmp_path: Path) -> None:
    toy.images(tmp_path / "one", per_class=12)
    for path in sorted((tmp_path / "one").rglob("*.png")):
        name = hashlib.sha256(path.read_bytes()).hexdigest()[:10]
        (tmp_path / "two" / path.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "two" / path.parent.name / f"{name} ü.png").write_bytes(path.read_bytes())
    one, two = index(tmp_path / "one").set_index("sha256"), index(tmp_path / "two").set_index("sha256")
    assert one["split"].to_dict() == two["split"].to_dict()
    other = index(tmp_path / "one", seed=1).set_index("sha256")
    assert other["split"].to_dict() != one["split"].to_dict()


def test_same_data_same_bytes_whatever_the_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.images(tmp_path / "in", per_class=40)
    written = []
    try:
        for count in (1, 7):
            monkeypatch.setattr(cores, "workers", lambda count=count: count)
            cores._pool.cache_clear()
            monkeypatch.setattr(indexer, "_ROWS", 8192 if count == 1 else 50)
            manifest.write(index(tmp_path / "in"), tmp_path / "m.parquet")
            written.append((tmp_path / "m.parquet").read_bytes())
    finally:
        cores._pool.cache_clear()
    assert written[0] == written[1]
    manifest.write(manifest.read(tmp_path / "m.parquet"), tmp_path / "m.parquet")
    assert (tmp_path / "m.parquet").read_bytes() == written[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "m.parquet"]


def test_few_images_are_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is handed out as results are taken, not all at once."""
    toy.images(tmp_path, per_class=200, size=8)
    monkeypatch.setattr(cores, "workers", lambda: 2)
    started = 0
    real = inspection.look

    def count(*args: Any) -> dict[str, Any]:
        nonlocal started
        started += 1
        return real(*args)

    monkeypatch.setattr(inspection, "look", count)
    items = indexer.layout.scan(tmp_path).items
    rows = indexer._rows(tmp_path, items, 10**8)
    for _ in range(20):
        next(rows)
    assert started <= 20 + (4 * 2 + 2) * indexer._BATCH
    rows.close()
    assert started < len(items)


def test_what_is_refused(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path / 'gone'}; import images with `headstart import PATH`" in refusal(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    assert "holds no images; import some with `headstart import PATH`" in refusal(tmp_path / "empty")
    toy.images(tmp_path / "one", ("cat",), per_class=3)
    assert "has one class, 'cat'" in refusal(tmp_path / "one")
    toy.images(tmp_path / "case", ("Cat", "cat"), per_class=3)
    assert "the labels 'Cat' and 'cat' differ only in case" in refusal(tmp_path / "case")
    toy.images(tmp_path / "beside", per_class=3)
    toy.photo().save(tmp_path / "beside/stray.png")
    assert "1 file(s) lie beside the class folders" in refusal(tmp_path / "beside")
    assert "stray.png; move them" in refusal(tmp_path / "beside")


def test_names_of_any_kind(tmp_path: Path) -> None:
    toy.images(tmp_path, ("a b", 'it\'s "ü" 写真'), per_class=3)
    toy.photo(5).save(tmp_path / "a b/new\nline, 🐜.png")
    table = index(tmp_path)
    manifest.write(table, tmp_path / "m.parquet")
    assert manifest.read(tmp_path / "m.parquet").equals(table)
    assert table["readable"].all()
    toy.photo().save(tmp_path / "a b/x.png")
    os.rename(tmp_path / "a b/x.png", os.fsencode(tmp_path) + b"/a b/caf\xe9.png")  # noqa: PTH104 - pathlib takes no bytes
    (tmp_path / "m.parquet").unlink()
    assert r"the name a b/caf\xe9.png is not valid UTF-8; rename it" in refusal(tmp_path)


def test_a_file_that_vanishes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.images(tmp_path, per_class=30)
    real = inspection.look

    def inspect(path: Path, max_pixels: int) -> dict[str, Any]:
        (tmp_path / "cat/0020.png").unlink(missing_ok=True)
        return real(path, max_pixels)

    monkeypatch.setattr(inspection, "look", inspect)
    assert "cat/0020.png vanished while" in refusal(tmp_path)


def test_reading_what_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.parquet is missing; make it with `dvc repro`"):
        manifest.read(tmp_path / "gone.parquet")
    (tmp_path / "text.parquet").write_text("path,label")
    with pytest.raises(DataError, match="is not a readable parquet file"):
        manifest.read(tmp_path / "text.parquet")
    pd.DataFrame({"path": ["a"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="lacks the column"):
        manifest.read(tmp_path / "other.parquet")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.images(tmp_path / "in", per_class=3)
    table = index(tmp_path / "in")
    manifest.write(table, tmp_path / "deep/m.parquet")
    before = (tmp_path / "deep/m.parquet").read_bytes()

    def fail(_: object, where: Path, **__: object) -> None:
        Path(where).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="No space"):
        manifest.write(table.iloc[:5], tmp_path / "deep/m.parquet")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["m.parquet"]
    assert (tmp_path / "deep/m.parquet").read_bytes() == before


def test_data_hash_is_of_paths_and_contents(tmp_path: Path) -> None:
    toy.images(tmp_path, per_class=3)
    table = index(tmp_path)
    base = manifest.data_hash(table)
    assert manifest.data_hash(table.iloc[np.random.default_rng(0).permutation(len(table))]) == base
    assert manifest.data_hash(table.iloc[1:]) != base
    renamed, changed = table.copy(), table.copy()
    renamed.loc[0, "path"] = "ant/other.png"
    changed.loc[0, "sha256"] = "0" * 64
    assert len({base, manifest.data_hash(renamed), manifest.data_hash(changed)}) == 3
    assert len(base) == 64


def test_no_torch() -> None:
    code = "import sys, headstart.indexing.indexer, headstart.importing.datasets, tasks.index_images; assert not {'torch', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_images_that_belong_together_share_a_group(tmp_path: Path) -> None:
    toy.images(tmp_path, ("a", "b"), per_class=12)
    groups = {f"{label}/{number:04d}.png": f"patient {number // 3}" for label in "ab" for number in range(12)}
    belonging.write(tmp_path, groups)
    table = indexer.index(tmp_path, **toy.INDEX)
    assert len(table) == 24
    assert table["together"].tolist() == [groups[path] for path in table["path"]]
    assert (table.groupby("together")[["group", "split"]].nunique() == 1).all(axis=None)
    assert table["group"].nunique() == 4
    assert table["lookalike"].nunique() > 4
    (tmp_path / belonging.FILE).write_text("path,camera\n")
    with pytest.raises(DataError, match="has other columns than path, group"):
        indexer.index(tmp_path, **toy.INDEX)
