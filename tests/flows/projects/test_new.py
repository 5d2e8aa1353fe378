"""`headstart new`: a whole project or none, with git and DVC as their own commands set them up."""

from __future__ import annotations

from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.repo.artifacts import Artifacts
from ruamel.yaml import YAML

from flows.cli import main
from flows.projects import generate, new
from flows.repository import dvc
from headstart import params
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.params import STAGES, project_code
from tests import ROOT

FILES = {
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
    "README.md",
    "code.yaml",
    "data/README.md",
    "dvc.yaml",
    "params.yaml",
    "prefect.yaml",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in no git repository, as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def git_in(folder: Path, *arguments: str) -> str:
    return new._git(folder, *arguments)


def files(folder: Path) -> set[str]:
    """The files of a project, but for git's."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts}


def test_a_project_is_whole_and_committed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["new", "My Beans", "--name", "beans"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("made the project beans in My Beans\ngit and DVC are set up, and all files are in a first commit\n")
    assert "next: cd " in said
    folder = place / "My Beans"
    assert files(folder) == FILES
    assert git_in(folder, "status", "--porcelain", "--ignored") == ""
    assert git_in(folder, "log", "--format=%s").splitlines() == ["Start the project"]
    assert params.load(folder / "params.yaml") == params.Params()
    assert YAML(typ="safe").load((folder / "prefect.yaml").read_text())["name"] == "beans"
    assert project_code.changed(project_code.read(folder / "code.yaml")) == []
    with Repo(str(folder)) as repo:
        assert [stage.name for stage in repo.index.stages] == list(STAGES)
    assert list(place.iterdir()) == [folder]


def test_dvc_is_set_up_as_its_own_command_does_it(place: Path) -> None:
    new.new(Path("mine"))
    Path("theirs").mkdir()
    git_in(Path("theirs"), "init", "--quiet")
    Repo.init("theirs").close()
    made = files(Path("theirs")) - {path for path in files(Path("theirs")) if path.startswith(".dvc/tmp")}
    assert made == {".dvc/.gitignore", ".dvc/config", ".dvcignore"}
    assert Path("mine/.dvc/.gitignore").read_bytes() == Path("theirs/.dvc/.gitignore").read_bytes()


def test_the_readme_names_what_there_is(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new.new(Path("beans"))
    text = Path("beans/README.md").read_text()
    assert text.startswith("# beans\n")
    for name in ("transfer", "nightly", "predict", "develop"):
        assert f"beans-{name}" in text
    with pytest.raises(SystemExit):
        main.main(["--help"])
    commands = capsys.readouterr().out
    for command in ("import", "run", "show", "predict", "upgrade", "up"):
        assert f"headstart {command}" in text
        assert f"\n    {command} " in commands


@pytest.mark.parametrize("there", [(), (".git",)])
def test_an_empty_folder_or_repository_is_filled(place: Path, there: tuple[str, ...]) -> None:
    if there:
        git_in(place, "init", "--quiet")
    said = new.new(Path(), "beans")
    assert "all files are in a first commit" in said
    assert files(place) == FILES
    assert git_in(place, "status", "--porcelain") == ""


def test_a_folder_with_something_in_it_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("full").mkdir()
    for name in ("a.txt", "b.txt"):
        Path("full", name).touch()
    assert main.main(["new", "full"]) == 1
    assert "full is not empty (a.txt, b.txt); name a folder" in capsys.readouterr().err
    with pytest.raises(HeadstartError, match="is a file"):
        new.new(Path("full/a.txt"))
    assert files(place) == {"full/a.txt", "full/b.txt"}


@pytest.mark.parametrize("name", ["", "a b", "../up", "prefect-mine", "a/b", "-a"])
def test_a_name_that_cannot_be_is_refused(place: Path, name: str) -> None:
    with pytest.raises(ParamsError, match="no name for a project"):
        new.new(Path("beans"), name)
    assert list(place.iterdir()) == []


def test_a_folder_gives_its_name(place: Path) -> None:
    assert new.project_name(Path("x/My Beans 2.0/"), None) == "my-beans-2"
    assert new.project_name(Path(), None) == new.names.of_path(str(place))


@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_leaves_nothing(place: Path, exists: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if exists:
        Path("beans").mkdir()
    calls = []

    def broken(path: str) -> Path:
        calls.append(path)
        if path == "data/README.md":
            raise OSError("disk full")
        return ROOT / path

    monkeypatch.setattr(generate, "source", broken)
    with pytest.raises(OSError, match="disk full"):
        new.new(Path("beans"))
    assert "dvc.yaml" in calls
    assert [str(path) for path in place.rglob("*")] == ([str(place / "beans")] if exists else [])


def test_in_a_repository_it_becomes_a_part_of_that(place: Path) -> None:
    git_in(place, "init", "--quiet")
    (place / "theirs.txt").write_text("staged, not committed")
    git_in(place, "add", "theirs.txt")
    said = new.new(Path("sub/beans"))
    assert f"it is a part of the git repository {place}: commit it there" in said
    assert files(place / "sub/beans") == FILES
    assert not (place / "sub/beans/.git").exists()
    assert git_in(place, "diff", "--cached", "--name-only").splitlines() == ["theirs.txt"]
    with Repo(str(place / "sub/beans")) as repo:
        assert Path(repo.root_dir) == place / "sub/beans"


def test_where_a_repository_ignores_it_it_has_one_of_its_own(place: Path) -> None:
    git_in(place, "init", "--quiet")
    (place / ".gitignore").write_text("/scratch/\n")
    assert "first commit" in new.new(Path("scratch/beans"))
    assert git_in(place / "scratch/beans", "rev-parse", "--show-toplevel").strip() == str(place / "scratch/beans")


def test_without_an_identity_nothing_is_committed_which_is_said(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        for what in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{who}_{what}")
    monkeypatch.delenv("EMAIL", raising=False)
    for number, (key, value) in enumerate({"user.useConfigOnly": "true"}.items()):
        monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    said = new.new(Path("beans"))
    assert "but nothing is committed (" in said
    assert "a run is kept only if something is" in said
    assert files(Path("beans")) == FILES
    assert set(git_in(Path("beans"), "diff", "--cached", "--name-only").splitlines()) == FILES


def test_without_git_nothing_is_made(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place))
    with pytest.raises(HeadstartError, match="there is no git command here"):
        new.new(Path("beans"))
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("command", [["run"], ["show"], ["params"], ["up"], ["upgrade"], ["develop", "demo"], ["import", "demo"], ["runs"]])
def test_outside_a_project_every_command_says_what_to_do(
    place: Path, command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main.main(command) == 1
    said = capsys.readouterr().err
    assert "not the root of a Headstart project (params.yaml, dvc.yaml, .dvc missing here)" in said
    assert "make one with `headstart new DIR`" in said
    assert list(place.iterdir()) == []


def test_inside_a_project_but_not_at_its_root_the_root_is_named(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    new.new(Path("beans"))
    monkeypatch.chdir("beans/data")
    assert main.main(["run"]) == 1
    assert f"change to {place / 'beans'}, which is" in capsys.readouterr().err


def test_the_model_can_be_had_by_its_name(place: Path) -> None:
    """As `dvc artifacts get REPOSITORY model` does it, from a commit that is tagged."""
    new.new(Path("beans"))
    project = place / "beans"
    (project / "dvc.yaml").write_text("stages: {evaluate: {cmd: 'true', outs: [models/final]}}\n" + _artifacts())
    (project / "models/final").mkdir(parents=True)
    (project / "models/final/card.json").write_text("{}")
    with Repo(str(project)) as repo:
        repo.commit(force=True)
    git_in(project, "add", "--all")
    git_in(project, "commit", "--quiet", "--message", "Run")
    assert "models/final/card.json" not in git_in(project, "ls-files")
    git_in(project, "tag", "--annotate", "model@v1.0.0", "--message", "the first")
    count, out = Artifacts.get(str(project), "model", out=str(place / "got"))
    assert (count, Path(out)) == (1, place / "got")
    assert [path.name for path in (place / "got").iterdir()] == ["card.json"]


def _artifacts() -> str:
    text = (ROOT / "dvc.yaml").read_text()
    return text[text.index("artifacts:") :]


@pytest.mark.parametrize(
    ("name", "typed"),
    [("a b", "'a b'"), ("-dash", "./-dash"), ("it's", "'it'\"'\"'s'"), ("#1; $HOME", "'#1; $HOME'"), ("ünï", "'ünï'"), ("b", "b")],
)
def test_the_next_command_can_be_copied_whatever_the_folder_is_called(place: Path, name: str, typed: str) -> None:
    assert f"\nnext: cd {typed} && headstart import PATH" in new.new(Path(name), "beans")


@pytest.mark.parametrize(("name", "why"), [("a{x}", "holds a brace"), ("up}/b", "holds a brace"), ("a\udcff", "is not valid UTF-8")])
def test_a_folder_in_which_dvc_fails_is_refused(place: Path, name: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC ends with a traceback there, or with nothing."""
    with pytest.raises(HeadstartError, match=f"{why}, and DVC cannot work there"):
        new.new(Path(name), "beans")
    assert list(place.iterdir()) == []
    Path(name).mkdir(parents=True)
    monkeypatch.chdir(name)
    with pytest.raises(HeadstartError, match=why):
        dvc.call("status")
