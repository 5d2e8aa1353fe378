"""The validate_data stage: the result first, then the usable rows, and refusal with the result kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from headstart.checks import validation
from headstart.data import manifest
from headstart.machinery.errors import DataError
from headstart.params import ValidateData
from tasks.validate_data import validate_data
from tests import toy

LIMITS = ValidateData(min_images_per_class=5, max_unreadable_share=0.05, max_imbalance=10.0, min_side=16)
SPLITS = ["train"] * 12 + ["validation"] * 4 + ["test"] * 4


def table() -> pd.DataFrame:
    """A sound manifest of forty images, names with spaces, quotes and Unicode among them, and one unreadable file."""
    rows = [
        {
            "path": f"{label}/{number:02} é\"'.png",
            "label": label,
            "split": split,
            "width": 32,
            "height": 24,
            "mode": "RGB",
            "format": "PNG",
            "bytes": 100,
            "sha256": f"{label}{number}",
            "pixels_sha256": f"{label}{number}",
            "phash": "0" * 16,
            "group": 100 * place + number,
            "readable": True,
            "reason": "",
        }
        for place, label in enumerate(("ant", "bee"))
        for number, split in enumerate(SPLITS)
    ]
    frame = pd.DataFrame(rows)
    columns = ["split", "width", "height", "mode", "pixels_sha256", "group", "readable", "reason"]
    frame.loc[3, columns] = ["", 0, 0, "", "", -1, False, "truncated"]
    return frame


def run(frame: pd.DataFrame, folder: Path) -> dict[str, Any]:
    manifest.write(frame, folder / "manifest.parquet")
    reports = folder / "reports"
    toy.none_without_labels(folder / "target.parquet")
    paths = (
        folder / "manifest.parquet",
        folder / "target.parquet",
        folder / "clean.parquet",
        reports / "validation.json",
        reports / "validation",
    )
    try:
        validate_data(*paths, block=LIMITS)
    finally:
        result: dict[str, Any] = json.loads(paths[3].read_text())
    return result


def test_usable_rows_are_kept_and_the_others_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(table(), tmp_path)
    clean = manifest.read(tmp_path / "clean.parquet")
    assert result["success"]
    assert set(result) == {"success", "images", "critical", "warnings", "quarantined", "expectations"}
    assert result["images"]["total"] == 40
    assert result["images"]["usable"] == len(clean) == 39
    assert result["images"]["per_split"] == {split: {"ant": n - (split == "train"), "bee": n} for split, n in zip(*COUNTS, strict=True)}
    assert list(result["images"]["per_split"]) == ["train", "validation", "test"]
    assert result["quarantined"] == [{"path": "ant/03 é\"'.png", "reason": "truncated"}]
    assert [warning["name"] for warning in result["warnings"]] == ["unreadable_files"]
    assert clean["readable"].all()
    pd.testing.assert_frame_equal(clean, manifest.read(tmp_path / "manifest.parquet").query("readable").reset_index(drop=True))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("warning: 1 of 40 files (2.5%) cannot be read: truncated (1).")


COUNTS = (["train", "validation", "test"], [12, 4, 4])


def test_refusal_keeps_the_result_and_leaves_no_clean_table(tmp_path: Path) -> None:
    run(table(), tmp_path)
    frame = table()
    frame.loc[frame["path"].str.startswith(("bee/00", "bee/19")), "pixels_sha256"] = "same"
    with pytest.raises(DataError, match=r"bee/00 é\"'\.png, bee/19 é\"'\.png") as error:
        run(frame, tmp_path)
    assert error.value.exit_code == 3
    assert str(tmp_path / "reports" / "validation") + "/" in str(error.value)
    listed = (tmp_path / "reports/validation/same_pixels_in_two_splits.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in listed[1:]] == ['"bee/00 é""\'.png"', '"bee/19 é""\'.png"']
    result = json.loads((tmp_path / "reports" / "validation.json").read_text())
    assert not result["success"]
    assert [failure["name"] for failure in result["critical"]] == ["same_pixels_in_two_splits"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.parquet", "reports", "target.parquet"]


def test_a_class_with_one_image_is_refused_by_name(tmp_path: Path) -> None:
    frame = pd.concat(
        [table(), table().tail(1).assign(path="wasp/only.png", label="wasp", pixels_sha256="w", sha256="w", group=999, split="train")]
    )
    with pytest.raises(DataError) as error:
        run(frame, tmp_path)
    message = str(error.value)
    assert "Class 'wasp' has 1 usable image." in message
    assert "at least 5 usable images" in message
    assert "files: wasp/only.png" in message
    assert "Class 'wasp' has no usable image in validation and test." in message


def test_every_critical_failure_is_told_at_once(tmp_path: Path) -> None:
    frame = table()
    frame.loc[frame["path"].str.startswith(("bee/00", "ant/00", "bee/19")), "pixels_sha256"] = "same"
    frame.loc[frame.index[5:10], ["readable", "reason", "split"]] = [False, "zero bytes", ""]
    with pytest.raises(DataError, match="3 critical problems") as error:
        run(frame, tmp_path)
    assert all(f"\n  {number}. " in str(error.value) for number in (1, 2, 3))
    assert "and 1 more" in str(error.value)


def test_the_bytes_are_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(table(), tmp_path / name)
    assert (tmp_path / "one/clean.parquet").read_bytes() == (tmp_path / "two/clean.parquet").read_bytes()
    text = (tmp_path / "one/reports/validation.json").read_text()
    assert text == (tmp_path / "two/reports/validation.json").read_text()
    assert str(tmp_path) not in text
    assert "run_id" not in text


def test_a_missing_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dvc repro"):
        validate_data(
            tmp_path / "none.parquet",
            tmp_path / "none either.parquet",
            tmp_path / "clean.parquet",
            tmp_path / "validation.json",
            tmp_path / "lists",
            block=LIMITS,
        )


def test_neither_torch_nor_an_orchestrator_is_imported() -> None:
    code = (
        "import sys, tasks.validate_data\n"
        "assert 'great_expectations' not in sys.modules, 'imported before it is needed'\n"
        "import great_expectations\n"
        "print(sorted({'torch', 'torchvision', 'timm', 'prefect', 'dvc'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_list_names_where_a_file_came_from(tmp_path: Path) -> None:
    frame = manifest.completed(table())
    frame.loc[3, "origin"] = "camera 7/IMG_0003.png"
    frame.loc[1, ["origin", "pixels_sha256"]] = ["camera 8/IMG_0001.png", "bee1"]
    with pytest.raises(DataError, match=r"files: ant/01 é\"'\.png \(from camera 8/IMG_0001\.png\), bee/01"):
        run(frame, tmp_path)
    result = json.loads((tmp_path / "reports/validation.json").read_text())
    assert result["quarantined"] == [{"path": "ant/03 é\"'.png (from camera 7/IMG_0003.png)", "reason": "truncated"}]
    assert "(from camera 8/IMG_0001.png)" in result["critical"][0]["message"]
    assert "camera 7/IMG_0003.png" in (tmp_path / "reports/validation/unreadable_files.csv").read_text()


def test_the_lists_are_never_an_empty_folder(tmp_path: Path) -> None:
    """DVC warns of one; nothing is at fault here."""
    validation.write_lists({}, tmp_path / "lists")
    assert [path.name for path in (tmp_path / "lists").iterdir()] == ["README.txt"]
    assert "No check failed" in (tmp_path / "lists/README.txt").read_text()
