"""headstart review, headstart report and headstart try: what they say, how they end, and that nothing is opened where nobody sees it."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest

from flows.cli import main
from flows.experiments import models
from flows.reviewing import naming as naming_module
from flows.reviewing import serving
from flows.reviewing.serving import Server
from flows.trying import serving as trying
from flows.trying.asking import Trial
from headstart.data.settings import no_labels
from headstart.importing import reviewed
from tests import toy
from tests.flows.reviewing.test_answers import doubt


@pytest.fixture(autouse=True)
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A project with two doubtful labels, and what would have been opened in a browser."""
    found: list[str] = []
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(webbrowser, "open", found.append)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    toy.images(Path("data/images"), ("ant", "bee"), per_class=2)
    leave([doubt("ant/0000.png"), doubt("ant/0001.png")])
    return found


def leave(labels: list[object]) -> None:
    told = {"images": 4, "classes": ["ant", "bee"], "singles": len(labels), "expected": [1, 0, 2], "labels": labels, "blocks": []}
    Path("reports/labels").mkdir(parents=True, exist_ok=True)
    Path("reports/labels/labels.json").write_text(json.dumps(told))


def answering(server: Server) -> None:
    for one in server.review.doubts:
        server.review.answer(one["path"], "change", "bee")
    server.server_close()


def test_a_review_ends_with_what_to_do_next(opened: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(serving, "serve", answering)
    monkeypatch.setenv("DISPLAY", ":0")
    assert main.main(["review"]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("2 labels to look at: http://127.0.0.1:")
    assert opened == [first.split()[5]]
    assert rest == [
        "2 of 2 looked at; answers are in data/reviewed.csv",
        "2 of 2 single labels were wrong.",
        "next: headstart import --update --reviewed data/reviewed.csv, then headstart run",
    ]
    assert [row.label for row in reviewed.read(reviewed.FILE)] == ["bee", "bee"]


def test_interrupted_it_says_where_the_answers_are(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(server: Server) -> None:
        server.review.answer("ant/0000.png", "keep", "ant")
        server.server_close()
        raise KeyboardInterrupt

    monkeypatch.setattr(serving, "serve", interrupted)
    assert main.main(["review"]) == 130
    said = capsys.readouterr()
    assert said.err == "1 of 2 looked at; answers are in data/reviewed.csv\n"
    assert Path("data/reviewed.csv").exists()


def test_with_nothing_to_review_it_says_so_and_serves_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    leave([])
    assert main.main(["review"]) == 0
    assert capsys.readouterr().out == "no label looks wrong: there is nothing to review\n"
    Path("reports/labels/labels.json").unlink()
    assert main.main(["review"]) == 1
    assert "make one with `headstart run`" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "70000", "x"])
def test_a_port_that_is_none_is_a_usage_error(port: str) -> None:
    with pytest.raises(SystemExit) as end:
        main.main(["review", "--port", port])
    assert end.value.code == 2


def test_the_report_is_opened_where_there_is_a_screen(
    opened: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["report"]) == 1
    assert "there is no report yet (reports/report.html is missing)" in capsys.readouterr().err
    Path("reports/report.html").write_text("page")
    assert main.main(["report"]) == 0
    assert (capsys.readouterr().out, opened) == ("reports/report.html\n", [])
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert main.main(["report", "--no-browser"]) == 0
    assert opened == []
    assert main.main(["report"]) == 0
    assert opened == [Path("reports/report.html").resolve().as_uri()]


def test_a_model_is_tried_until_it_is_interrupted(
    opened: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Path] = []

    def interrupted(server: trying.Server) -> None:
        server.server_close()
        raise KeyboardInterrupt

    monkeypatch.setattr(Trial, "of", lambda folder: asked.append(folder))
    monkeypatch.setattr(trying.Server, "serve", interrupted)
    monkeypatch.setenv("DISPLAY", ":0")
    assert main.main(["try"]) == 130
    assert capsys.readouterr().out == f"try the model at {opened[0]} (Ctrl-C ends it)\n"
    Path("other/final").mkdir(parents=True)
    assert main.main(["try", "other/final", "--no-browser"]) == 130
    assert len(opened) == 1
    monkeypatch.setattr(models, "of_run", lambda name: Path("of", name))
    assert main.main(["try", "amber-fox"]) == 130
    assert asked == [Path("models/final"), Path("other/final"), Path("of/amber-fox")]


def test_without_a_model_there_is_nothing_to_try(opened: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["try"]) == 1
    assert "there is no model at models/final; make one with `headstart run`" in capsys.readouterr().err


def test_of_images_without_labels_groups_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    no_labels.mark(Path("data/images"))
    Path("data/images.dvc").write_text("outs:\n- path: images\nmeta:\n  headstart:\n    source: my photos\n")
    rows = [f"{name}/{number:04d}.png,{group},1,0.1,False,," for group, name in ((1, "ant"), (2, "bee")) for number in range(2)]
    Path("reports/groups.csv").write_text("\n".join(["path,group,part,distance,outlier,x,y", *rows]) + "\n")
    groups = [{"group": 1, "images": 2, "medoids": ["ant/0000.png"]}, {"group": 2, "images": 2, "medoids": ["bee/0000.png"]}]
    Path("reports/groups.json").write_text(json.dumps({"images": 4, "groups": groups}))

    def naming(server: Server) -> None:
        for one in server.review.state()["groups"]:
            server.review.take({"group": one["group"], "names": [one["parts"][0]["path"][:3]]})
        server.server_close()

    monkeypatch.setattr(serving, "serve", naming)
    assert main.main(["review"]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("2 groups to name: http://127.0.0.1:")
    assert rest == [
        "2 of 2 groups named, 2 names: 4 images with a label in data/named.csv",
        naming_module.AGREEMENT,
        "next: headstart import 'my photos' --labels data/named.csv --unlabelled && headstart run",
    ]
    assert Path("data/named.csv").read_text().splitlines()[1] == "ant/0000.png,ant"
