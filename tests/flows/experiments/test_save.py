"""Keeping runs as DVC experiments: what is in them, what is left alone, and that nothing about it can fail a run."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flows.experiments import save
from flows.projects import images
from flows.repository import dvc, git

pytestmark = pytest.mark.usefixtures("forked_dvc")

RAN: dvc.Outcome = {"stage": "index_images", "outcome": "ran", "seconds": 1.0}
CACHED: dvc.Outcome = {"stage": "index_images", "outcome": "cached", "seconds": 0.1}


@pytest.fixture
def committed(toy_project: Path) -> Path:
    """The toy project after a commit of its code, as a clone is; its images are on record and nothing ran."""
    with (toy_project / "dvc.yaml").open("a") as graph:
        graph.write("    metrics: [reports/metrics.json: {cache: false}]\n")  # of the last stage
    git.call("add", "--all", ".", ":!data")
    git.call("commit", "--quiet", "--message", "Start")
    images.RECORD.write_text(f"outs:\n- md5: {'0123' * 8}.dir\n  hash: md5\n  path: images\n")  # as `dvc add` would
    Path("data/.gitignore").write_text("/images\n")
    return toy_project


def results(**metrics: Any) -> None:
    """What a run leaves, without a run: dvc.lock, and a report that DVC does not cache."""
    Path("dvc.lock").write_text(f"schema: '2.0'\nstages: {{}}\n# {metrics}\n")
    Path("reports").mkdir(exist_ok=True)
    Path("reports/metrics.json").write_text(json.dumps(metrics))


def keep(name: str = "calm-otter", *outcomes: dvc.Outcome) -> list[str]:
    """A run that gave these outcomes; the lines it said."""
    said: list[str] = []
    with save.kept(lambda: name, said.append) as done:
        done.extend(outcomes)
    return said


def test_a_run_becomes_an_experiment_that_dvc_knows(committed: Path) -> None:
    results(accuracy=0.5)
    Path("toy_stage.py").write_text("# edited and not committed\n")
    Path("a private note.txt").write_text("not of the run")
    assert keep("calm-otter", RAN) == ["kept as experiment calm-otter"]
    assert "calm-otter" in "".join(dvc.call("exp", "list", "--name-only"))
    [shown] = json.loads("".join(dvc.call("exp", "show", "--json")))[1]["experiments"]
    assert shown["name"] == "calm-otter"
    assert shown["revs"][0]["data"]["metrics"]["reports/metrics.json"]["data"] == {"accuracy": 0.5}

    commit = save.experiments()["calm-otter"]
    kept = set(git.call("ls-tree", "-r", "--name-only", commit).splitlines())
    assert kept >= {"params.yaml", "dvc.yaml", "dvc.lock", "data/images.dvc", "data/.gitignore", "reports/metrics.json", "toy_stage.py"}
    assert not kept & {"a private note.txt", "data/images/a/1.txt"}
    assert git.read([f"{commit}:./toy_stage.py"]) == [b"# edited and not committed\n"]
    facts = json.loads(git.call("log", "-1", "--format=%b", commit))
    assert facts == {"name": "calm-otter", "kind": "run", "ran": ["index_images"]}

    dvc.call("exp", "remove", "calm-otter")
    assert save.experiments() == {}


def test_keeping_touches_neither_files_nor_index_nor_head(committed: Path) -> None:
    Path("params.yaml").write_text("seed: 1\n")
    git.call("add", "params.yaml")
    Path("params.yaml").write_text("seed: 2\n")
    results(accuracy=0.5)

    def state() -> tuple[str, str, str]:
        return (
            git.call("status", "--porcelain", "-uall"),
            git.call("diff", "--cached"),
            git.call("log", "--all", "--branches", "--format=%H", "HEAD"),
        )

    before, head = state()[:2], git.call("rev-parse", "HEAD")
    keep("one", RAN)
    assert state()[:2] == before
    assert git.call("rev-parse", "HEAD") == head
    assert git.call("log", "--branches", "--format=%s").splitlines() == ["Start"]
    assert git.read([f"{save.experiments()['one']}:./params.yaml"]) == [b"seed: 2\n"], "as it is in the file, not in the index"
    assert "one" in git.call("for-each-ref", save.REFS)
    assert git.call("rev-parse", f"{save.experiments()['one']}^") == head


def test_stale_outputs_are_not_put_on_record(committed: Path) -> None:
    """The reason for not using `dvc exp save`, which would make the next check call them up to date."""
    dvc.repro("index_images")
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("seed: 0", "seed: 7"))
    lock = Path("dvc.lock").read_bytes()
    save.experiment("edited")
    assert Path("dvc.lock").read_bytes() == lock
    assert dvc.repro("index_images")["outcome"] == "ran"


def test_only_what_changed_something_is_kept(committed: Path) -> None:
    results(accuracy=0.5)
    git.call("add", "dvc.lock")
    git.call("commit", "--quiet", "--message", "Results")
    assert keep("nothing to do", CACHED) == []
    assert keep("forced", RAN) == ["kept as experiment forced"]
    results(accuracy=0.6)
    assert keep("lost its end", CACHED) == ["kept as experiment lost-its-end"], "the run that made these was killed before it was kept"
    assert keep("nothing to do", CACHED) == []
    with save.kept(lambda: "from the run cache", lambda _: None) as done:
        results(accuracy=0.5)
        done.append(CACHED)
    assert set(save.experiments()) == {"forced", "lost-its-end", "from-the-run-cache"}


def test_names_fit_git_and_dvc(committed: Path) -> None:
    results(accuracy=0.5)
    fit = {
        "calm-otter": "calm-otter",
        "3f2a81 wheel:lite0/x..y": "3f2a81-wheel-lite0-x-y",
        "--.lock": "run",
        "Größe": "Gr-e",
        "x" * 300: "x" * 100,
    }
    assert [save.experiment(name) for name in fit] == list(fit.values())
    assert save.experiment("calm-otter") == "calm-otter-2"
    assert save.experiment("Calm-Otter") == "Calm-Otter-3", "some file systems do not mind case"
    assert set(dvc.call("exp", "list", "--name-only")) >= {*fit.values(), "calm-otter-2", "Calm-Otter-3"}


def test_a_run_that_fails_is_noted_and_not_kept(committed: Path) -> None:
    results(accuracy=0.5)
    for error in (dvc.DvcError("it failed", ["first", "ERROR: disk full"]), KeyboardInterrupt(), ValueError("wrong\nby far")):
        with pytest.raises(type(error)), save.kept(lambda: "sad-otter", lambda _: None):
            raise error
    assert save.experiments() == {}
    with save.FAILED.open("a") as file:
        file.write('{"half a li\n[]\n')
    seen = list(save.failures())
    assert [entry["state"] for entry in seen] == ["failed", "cancelled", "failed"]
    assert [entry.get("error") for entry in seen] == ["disk full", None, "ValueError: wrong"]
    assert {(entry["name"], entry["data"]) for entry in seen} == {("sad-otter", images.version())}


def test_a_save_that_fails_is_a_warning(committed: Path) -> None:
    results(accuracy=0.5)
    Path("dvc.yaml").write_text("stages: [")
    [line] = keep("calm-otter", RAN)
    assert line.startswith("warning: this run could not be kept as an experiment (")
    assert save.experiments() == {}


def test_without_git_nothing_is_kept_which_is_said_if_something_ran(toy_project: Path) -> None:
    results(accuracy=0.5)
    [told] = keep("unborn", RAN)
    assert told.startswith("this run is not kept for `headstart runs`: nothing is committed yet")
    assert keep("unborn", CACHED) == []
    with pytest.raises(git.GitError, match="`git commit` once"):
        save.experiment("by hand")
    shutil.rmtree(".git")
    Path(".dvc/config").write_text(Path(".dvc/config").read_text() + "    no_scm = true\n")
    [other] = keep("no repository", RAN)
    assert "this folder is in no git repository; make one with `git init`" in other
    assert keep("no repository", CACHED) == []


def test_code_that_git_does_not_have_yet_is_kept(committed: Path) -> None:
    """It lies in a room that a stage depends on, or in a file whose values are parameters; byte code and the images are left out."""
    graph = Path("dvc.yaml").read_text()
    Path("dvc.yaml").write_text(
        graph.replace("    params: [seed,", "    params: [code.yaml: [a], seed,", 1).replace("[data/images]", "[data/images, room]")
    )
    Path(".gitignore").write_text("/.headstart/\n__pycache__/\n")
    for name in ("room/old.py", "room/inner/new.py", "room/inner/table.csv", "room/__pycache__/new.pyc", "beside/new.py", "code.yaml"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(f"a: {name}\n")
    git.call("add", "room/old.py", ".gitignore")
    git.call("commit", "--quiet", "--message", "Code")
    Path("room/old.py").write_text("a: edited\n")
    results(accuracy=0.5)
    assert keep("calm-otter", RAN) == ["kept as experiment calm-otter"]
    commit = save.experiments()["calm-otter"]
    kept = set(git.call("ls-tree", "-r", "--name-only", commit).splitlines())
    assert {"room/inner/new.py", "room/inner/table.csv", "code.yaml"} < kept
    assert not kept & {"room/__pycache__/new.pyc", "beside/new.py", "data/images/a/1.txt"}
    assert git.read([f"{commit}:./room/old.py"]) == [b"a: edited\n"]


def test_without_a_git_identity_it_is_kept_all_the_same(committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{who}_NAME")
        monkeypatch.delenv(f"GIT_{who}_EMAIL")
    monkeypatch.delenv("EMAIL", raising=False)
    git.call("config", "user.useConfigOnly", "true")
    results(accuracy=0.5)
    with pytest.raises(git.GitError):
        git.call("var", "GIT_COMMITTER_IDENT")
    assert keep("calm-otter", RAN) == ["kept as experiment calm-otter"]
    assert git.call("log", "-1", "--format=%cn", save.experiments()["calm-otter"]) == "headstart\n"


def test_data_and_weights_go_to_the_remote(committed: Path, tmp_path: Path) -> None:
    dvc.add(images.IMAGES)
    dvc.repro("index_images")
    dvc.call("remote", "add", "--default", "store", str(tmp_path / "store"))
    said = keep("calm-otter", RAN)
    assert said[:2] == ["kept as experiment calm-otter", "pushing data and weights to the DVC remote store"]
    assert said[2].endswith("files pushed")
    for lost in ("data/images", "out", ".dvc/cache"):
        shutil.rmtree(lost)
    dvc.call("pull", "data/images.dvc", "index_images")
    assert sorted(path.name for path in Path("data/images").rglob("*.txt")) == ["1.txt", "2.txt"]
    assert Path("out/index_images.txt").exists()


def test_a_remote_that_does_not_answer_is_a_warning(committed: Path) -> None:
    results(accuracy=0.5)
    Path("a file").write_text("where the remote should be a folder")
    dvc.call("remote", "add", "--default", "store", "a file/store")
    kept, _, warning = keep("calm-otter", RAN)
    assert kept == "kept as experiment calm-otter"
    assert warning.startswith("warning: data and weights could not be pushed")


def test_a_project_in_a_folder_of_a_repository(committed: Path) -> None:
    shutil.rmtree(".git")
    subprocess.run(["git", "init", "--quiet"], cwd="..", check=True)
    git.call("add", "--all", ".", ":!data")
    git.call("commit", "--quiet", "--message", "Start")
    results(accuracy=0.5)
    assert keep("calm-otter", RAN) == ["kept as experiment calm-otter"]
    commit = save.experiments()["calm-otter"]
    assert "project/reports/metrics.json" in git.call("ls-tree", "-r", "--name-only", "--full-tree", commit).splitlines()
    [read, missing] = git.read([f"{commit}:./reports/metrics.json", f"{commit}:./nothing"])
    assert (json.loads(read or b""), missing) == ({"accuracy": 0.5}, None)
