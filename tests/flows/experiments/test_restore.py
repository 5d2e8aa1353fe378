"""Going back to a past run: everything comes back, nothing is lost, and what cannot be done changes nothing."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import main
from flows.experiments import recovery, restore, save
from flows.forms import given
from flows.projects import images
from flows.repository import dvc, git, warm
from headstart import params
from headstart.base import outputs
from headstart.machinery import lock
from headstart.params import project_code
from tests.conftest import copied
from tests.flows.cli.test_main import files

pytestmark = pytest.mark.usefixtures("forked_dvc")

# Two stages that need no Python: one whose output DVC caches, one that also leaves a report to git.
GRAPH = """\
stages:
  index_images:
    cmd: cat data/images/*/* > data/index.txt
    deps: [data/images]
    outs: [data/index.txt]
  evaluate:
    cmd: mkdir -p models/final reports && (cat data/index.txt; grep ^seed params.yaml) > models/final/weights && cp models/final/weights reports/metrics.json
    deps: [data/index.txt]
    params: [seed]
    outs: [models/final]
    metrics: [reports/metrics.json: {cache: false}]
"""
# `headstart restore first`, killed as it calls a function of flows/ for the second, third, ... time.
KILLED = """\
import os, signal, sys
from flows.cli import main
from flows.experiments import restore
from flows.forms import given
from flows.projects import images as data
module, name, calls = globals()[sys.argv[1]], sys.argv[2], int(sys.argv[3])
real = getattr(module, name)
def fatal(*words, **more):
    global calls
    calls -= 1
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*words, **more)
setattr(module, name, fatal)
main.main(["restore", "first"])
"""
WEIGHTS = "image 0\n12seed: 0\n"  # of the run `first`


def seed(value: int) -> None:
    params.write({"seed": value})


def restored(name: str, *words: str, code: int = 0) -> None:
    assert main.main(["restore", name, *words]) == code


def cached(content: str) -> Path:
    """The file of DVC's cache with this content."""
    digest = hashlib.md5(content.encode()).hexdigest()
    return Path(".dvc/cache/files/md5") / digest[:2] / digest[2:]


@pytest.fixture(scope="module")
def _two_runs(_toy_template: Path, warm_server: warm.Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("restore") / "project"
    shutil.copytree(_toy_template, project)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setattr(warm, "_server", warm_server)
        Path("dvc.yaml").write_text(GRAPH)
        git.call("add", "--all", ".", ":!data")
        git.call("commit", "--quiet", "--message", "Start")
        for number, name in enumerate(("first", "second")):
            Path(f"data/images/a/{number}.txt").write_text(f"image {number}\n")
            seed(number)
            images.record()
            dvc.call("repro")
            save.experiment(name, kind="run", ran=["index_images", "evaluate"])
    return project


@pytest.fixture
def two_runs(_two_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project after the runs `first` (seed 0) and `second` (seed 1, one image more), as the current folder."""
    return copied(_two_runs, tmp_path, monkeypatch)


def test_a_run_comes_back_and_what_was_here_after_it(two_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second, head = files(), git.call("rev-parse", "HEAD")
    text = second["params.yaml"].decode()
    outputs.write_json(given.NOTE, {"who": "a form", "given": {"seed": 1}, "before": text.replace("seed: 1", "seed: 5"), "left": text})
    restored("first")
    said = capsys.readouterr().out
    assert "restored first" in said
    assert "kept as second" in said, "it is kept already"
    first = files()
    assert first["params.yaml"] != second["params.yaml"]
    assert first["models/final/weights"] == first["reports/metrics.json"] == WEIGHTS.encode()
    assert "data/images/a/1.txt" in second
    assert first["data/images/a/1.txt"] == b"1", "the file as it was before the second run"
    assert dvc.status() == {}
    assert git.call("rev-parse", "HEAD") == head
    given.take_back(lambda line: None)
    assert files() == first, "what a form had given to the run before is no part of this one"
    restored("second")
    assert files() == second
    assert set(save.experiments()) == {"first", "second"}


def test_nothing_that_lies_here_is_lost(two_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed(7)
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "# a thought\n")
    Path("data/images/a/new.txt").write_text("dropped in by hand")
    Path("reports/metrics.json").write_text("edited")
    here = files()
    restored("first")
    assert "kept as before-first" in capsys.readouterr().out
    assert not Path("data/images/a/new.txt").exists()
    restored("before-first")
    back = files()
    assert {name for name in here if here[name] != back.get(name)} == {"data/images.dvc"}, "which now has the new image on record"
    assert "# a thought" in Path("params.yaml").read_text()
    assert set(dvc.status()) == {"index_images", "evaluate"}, "what was not up to date is not called up to date"
    assert set(save.experiments()) == {"first", "second", "before-first"}


def test_an_output_on_no_record_is_not_overwritten(two_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("models/final/weights").write_text("half made")
    Path("dvc.yaml").write_text(GRAPH.replace("grep", "grep -m 1"))
    before = files()
    restored("first", code=1)
    assert "models/final/: not what a finished stage has left" in capsys.readouterr().err
    assert files() == before
    assert set(save.experiments()) == {"first", "second"}
    images.RECORD.write_bytes(git.read([f"{save.experiments()['first']}:./{images.RECORD}"])[0] or b"")
    Path("data/images/a/half.txt").write_text("as a restore leaves it that was killed")
    restored("first", code=3)
    restored("first", "--force")
    told = capsys.readouterr()
    assert "warning: both data/images.dvc" in told.err
    assert Path("models/final/weights").read_text() == WEIGHTS
    assert not Path("data/images/a/half.txt").exists()
    assert "`headstart run` would do this anew: evaluate" in told.out
    assert "grep -m 1" in Path("dvc.yaml").read_text(), "code stays"


def test_a_state_before_any_run_comes_back(two_runs: Path) -> None:
    for name in ("data/index.txt", "models/final", "reports/metrics.json", "dvc.lock"):
        path = Path(name)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = files()
    restored("second")
    assert Path("models/final/weights").exists()
    restored("before-second")
    assert files() == before


@pytest.mark.parametrize(
    ("place", "begun"),
    [
        (("restore", "_missing", "1"), False),  # the records of the run are here, lent for a look at what is missing
        (("given", "forget", "1"), True),  # its parameters and records are here, its images and models are not
        (("data", "remember", "2"), True),  # all is here
    ],
)
def test_a_restore_that_was_killed_is_finished_by_whatever_comes_next(two_runs: Path, place: tuple[str, ...], begun: bool) -> None:
    second = files()
    done = subprocess.run([sys.executable, "-c", KILLED, *place], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    said: list[str] = []
    recovery.recover(said.append)  # as a run begins
    images.record(said.append)
    if begun:
        assert said[0] == "`headstart restore first` was killed half-way and is finished now; what was here before is kept as second"
        assert (params.load().seed, Path("models/final/weights").read_text()) == (0, WEIGHTS)
        assert Path("data/images/a/1.txt").read_text() == "1"
    else:
        assert files() == second
    assert dvc.status() == {}
    restored("second")
    assert files() == second
    assert set(save.experiments()) == {"first", "second"}


def test_what_was_edited_after_a_killed_restore_is_kept(two_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run([sys.executable, "-c", KILLED, "given", "forget", "1"], capture_output=True, check=False)
    seed(9)
    restored("second")
    assert "params.yaml was edited since; that is kept as before-first" in capsys.readouterr().err
    restored("before-first")
    assert params.load().seed == 9


def test_an_unknown_run_is_answered_with_the_known(two_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files()
    restored("secnd", code=2)
    assert "there is no run secnd; did you mean second? known: " in capsys.readouterr().err
    assert files() == before


def test_what_is_not_in_the_cache_comes_from_the_remote(two_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(".dvc/cache", tmp_path / "store")
    dvc.call("remote", "add", "--default", "store", str(tmp_path / "store"))
    cached(WEIGHTS).unlink()
    restored("first")
    assert "fetching 1 files" in capsys.readouterr().err
    assert Path("models/final/weights").read_text() == WEIGHTS


def test_without_its_data_nothing_changes(two_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cached(WEIGHTS).unlink()
    before = files()
    restored("first", code=3)
    assert "could it be fetched: models/final/weights (no remote is set" in capsys.readouterr().err
    assert files() == before
    dvc.call("remote", "add", "--default", "store", str(tmp_path / "empty"))
    restored("first", code=3)
    assert "could it be fetched: models/final/weights (" in capsys.readouterr().err
    assert files() == before


def test_parameters_that_this_version_does_not_take_change_nothing(two_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text + "\nnonsense: 3\n")
    save.experiment("of another version")
    Path("params.yaml").write_text(text)
    before = files()
    restored("of-another-version", code=2)
    said = capsys.readouterr().err
    assert "nonsense" in said
    assert "git worktree add" in said
    assert files() == before


def test_a_run_whose_stages_depended_on_files_comes_back_where_they_depend_on_a_folder(
    two_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As experiments of an older version do: what would run anew is said, and gives the same bytes."""
    Path("room").mkdir()
    Path("room/a.py").write_text("code")
    Path("dvc.yaml").write_text(GRAPH.replace("[data/images]", "[data/images, room/a.py]"))
    dvc.call("repro")
    save.experiment("older", kind="run", ran=["index_images"])
    weights = Path("models/final/weights").read_bytes()
    Path("dvc.yaml").write_text(GRAPH.replace("[data/images]", "[data/images, room]"))
    seed(5)
    dvc.call("repro")
    assert Path("models/final/weights").read_bytes() != weights
    restored("older")
    assert "`headstart run` would do this anew: index_images." in capsys.readouterr().out
    assert Path("models/final/weights").read_bytes() == weights
    assert set(dvc.status()) == {"index_images"}
    dvc.repro("index_images")
    assert dvc.repro("evaluate")["outcome"] == "cached"
    assert dvc.status() == {}
    assert Path("models/final/weights").read_bytes() == weights


def test_in_a_project_the_code_of_a_run_is_a_version_and_stays_that_of_the_package(
    two_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = project_code.installed(["tasks.report"], {})
    project_code.write(project_code.ProjectCode("0.0.9", {"tasks.report": "0" * 16}, {}))
    Path("dvc.yaml").write_text(GRAPH.replace("params: [seed]", "params: [seed, {code.yaml: [tasks.report]}]"))
    dvc.call("repro")
    save.experiment("older", kind="run", ran=["evaluate"])
    project_code.write(now)
    restored("older")
    said = capsys.readouterr().out
    assert "would do this anew: evaluate. Its code may have been another: it was made with headstart 0.0.9" in said
    assert project_code.read() == now


def test_a_restore_waits_for_no_run(two_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys; from headstart.machinery import lock\nwith lock.hold('headstart run'): print('held', flush=True); sys.stdin.read()"
    before = files()
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        restored("first", code=4)
        other.kill()
    assert "headstart run" in capsys.readouterr().err
    assert files() == before
    assert lock.PATH.exists()


def test_a_second_clone_makes_nothing_again_that_the_remote_has(two_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dvc.call("remote", "add", "--default", "store", str(tmp_path / "store"))
    dvc.call("push")
    git.call("add", "--all", ".")
    git.call("commit", "--quiet", "--message", "Results")
    made = files()
    git.call("clone", "--quiet", ".", str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    said: list[str] = []
    images.record(said.append)
    restore.fetch_outputs(said.append)
    assert "bringing what these stages left from the DVC remote: evaluate, index_images" in said
    assert files() == made

    for path in ("data/index.txt", "models/final/weights"):
        Path(path).unlink()
    shutil.rmtree(".dvc/cache")
    seed(3)
    restore.fetch_outputs(said.append)
    assert "bringing what these stages left from the DVC remote: index_images" in said, "the other has to run anew"
    assert dvc.repro("index_images")["outcome"] == "cached"

    Path("data/index.txt").unlink()
    shutil.rmtree(".dvc/cache")
    shutil.rmtree(tmp_path / "store")
    restore.fetch_outputs(said.append)
    warning = "warning: not all could be had from the DVC remote, and is made again (the DVC remote store ({}) does not answer)"
    assert said[-1] == warning.format(tmp_path / "store")
