"""`headstart upgrade`: what it foretells is what DVC then finds, and what a person changed stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from flows.cli import main
from flows.projects import develop_folder, generate, new, upgrade
from headstart.base.code import fingerprint
from headstart.machinery.errors import HeadstartError
from headstart.params import STAGES, developing, project_code


@pytest.fixture(scope="module")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as after a run: DVC has made-up files on record for all stages."""
    folder = tmp_path_factory.mktemp("upgrade")
    new._fill(folder, "beans")
    (folder / ".dvc/config").write_text(f"{new.DVC}    no_scm = true\n")  # and so without a process
    graph = generate.stages((folder / "dvc.yaml").read_text())
    paths = {path for entry in graph.values() for path in [*upgrade._outs(entry), *entry["deps"]]}
    for path in sorted(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with Repo() as repo:
            repo.commit(force=True)
            assert repo.status() == {}
    return folder


@pytest.fixture
def project(_finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    shutil.copytree(_finished, tmp_path / "beans")
    monkeypatch.chdir(tmp_path / "beans")
    return tmp_path / "beans"


def update(monkeypatch: pytest.MonkeyPatch, *names: str, gone: str = "") -> None:
    """Have another version of the package, in which these rooms or stages have other code."""

    def other(name: str) -> str:
        if name == gone:
            raise ModuleNotFoundError(name)
        return "0" * 64 if name in names else fingerprint(name)

    monkeypatch.setattr(project_code, "fingerprint", other)


def dirty() -> set[str]:
    with Repo() as repo:
        return set(repo.status())


def content() -> dict[str, bytes]:
    return {name: Path(name).read_bytes() for name in ("code.yaml", "dvc.yaml", "prefect.yaml", "params.yaml")}


@pytest.mark.parametrize(
    ("names", "again", "after"),
    [
        (
            ["headstart.words"],
            ["index_images", "validate_data", "verdict", "evaluate", "adapt", "compare_batches", "group_images", "report"],
            True,
        ),
        (["headstart.report"], ["report"], False),
        (["headstart.training", "tasks.evaluate"], ["select_source", "fine_tune", "baseline", "verdict", "evaluate"], True),
        (["headstart.base"], list(STAGES), False),
    ],
)
def test_it_foretells_what_dvc_finds(
    project: Path, names: list[str], again: list[str], after: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    update(monkeypatch, *names)
    before = content()
    assert main.main(["upgrade", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert content() == before
    assert dirty() == set()
    assert "would write code.yaml" in told
    assert [line.split()[0] for line in told.splitlines() if line.startswith("  ")] == again
    assert ("and these after them" in told) is after
    assert main.main(["upgrade"]) == 0
    assert capsys.readouterr().out.replace("wrote", "would write") == told
    assert {name for name, bytes_ in content().items() if bytes_ != before[name]} == {"code.yaml"}
    assert dirty() >= set(again)
    assert set(upgrade.plan().again) == set()
    assert upgrade.upgrade().startswith("up to date: code.yaml names the code")


def test_what_reads_from_a_stage_may_follow(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update(monkeypatch, "tasks.verdict")
    plan = upgrade.plan()
    assert plan.again == {"verdict": "other code: tasks.verdict"}
    assert plan.after == ("evaluate", "adapt", "compare_batches", "report")


def test_only_stages_that_have_run_run_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("dvc.lock").unlink()
    update(monkeypatch, "headstart.base")
    assert upgrade.plan().again == {}
    assert "no stage that has run runs again" in upgrade.upgrade(dry=True)


@pytest.mark.parametrize("name", ["dvc.yaml", "prefect.yaml"])
def test_what_a_person_changed_stays(project: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Path(name).read_text() + "# mine\n"
    Path(name).write_text(mine)
    update(monkeypatch, "headstart.report")
    for _ in range(2):
        said = upgrade.upgrade()
        assert f"{name} was changed here and stays as it is; the one of this version lies in .headstart/upgrade/new.{name}" in said
        assert Path(name).read_text() == mine
        assert Path(f".headstart/upgrade/new.{name}").read_text() == upgrade.contents("beans")[name]
    assert dirty() == {"report"}
    Path(name).write_bytes(Path(f".headstart/upgrade/new.{name}").read_bytes())  # and now they take ours
    assert "was changed here" not in upgrade.upgrade()
    assert upgrade.upgrade().startswith("up to date")


def test_a_graph_of_an_older_version_is_replaced(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hash is in code.yaml. One stage had another command then, one lacked an output."""
    now = Path("dvc.yaml").read_text()
    older = now.replace("cmd: python -m tasks.report", "cmd: python -m tasks.page").replace(
        "      - models/architecture.json\n    ", "    ", 1
    )
    older = older.replace("      - models/architecture.json\n", "", 1)
    Path("dvc.yaml").write_text(older)
    code = project_code.read()
    project_code.write(project_code.ProjectCode("0.0.9", code.fingerprints, {**code.written, "dvc.yaml": upgrade._hash(older)}))
    plan = upgrade.plan()
    assert plan.again["report"] == "defined otherwise in dvc.yaml"
    assert set(plan.again) >= {"select_source", "report"}
    said = upgrade.upgrade()
    assert said.splitlines()[0] == f"0.0.9 -> {code.version}"
    assert said.splitlines()[-1] == "wrote dvc.yaml, code.yaml"
    assert Path("dvc.yaml").read_text() == now
    project_code.check()


def test_blocks_that_the_parameters_lack_come_with_it(project: Path) -> None:
    """DVC wants a block for each stage, also of one that there was not when the project was made."""
    settings = project / "params.yaml"
    whole = settings.read_text()
    begin, end = whole.index("\ncompare_batches:"), whole.index("\nreport:")
    settings.write_text(whole[:begin].replace("seed: 0", "seed: 7  # mine") + whole[end:].rstrip("\n"))
    assert "params.yaml" in upgrade.upgrade()
    assert settings.read_text() == whole[:begin].replace("seed: 0", "seed: 7  # mine") + whole[end:] + whole[begin:end]
    assert "params.yaml" not in upgrade.upgrade()


def test_a_room_that_is_gone_is_left_out_and_named_where_a_person_still_needs_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("dvc.yaml").write_text(Path("dvc.yaml").read_text().replace("[headstart.base,", "[headstart.attic, headstart.base,", 1))
    update(monkeypatch, "headstart.report", gone="headstart.attic")
    said = upgrade.upgrade()
    assert "dvc.yaml depends on headstart.attic, which this version does not have" in said
    assert "headstart.attic" not in project_code.read().fingerprints
    project_code.check()


def test_a_torn_record_is_written_anew(project: Path) -> None:
    Path("code.yaml").write_text("<<<<<<< HEAD\n")
    with pytest.raises(HeadstartError, match="`headstart upgrade` writes it anew"):
        project_code.check()
    assert "wrote code.yaml" in upgrade.upgrade()
    assert dirty() == set(), "the code is what it was"


def test_the_name_of_the_project_stays(project: Path) -> None:
    Path("prefect.yaml").write_text(generate.deployments("peas"))
    upgrade.upgrade()
    assert YAML(typ="safe").load(Path("prefect.yaml").read_text())["name"] == "peas"


def test_a_checkout_has_nothing_to_upgrade(toy_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["upgrade"]) == 1
    assert "nothing to upgrade: the stages here do not depend on code.yaml" in capsys.readouterr().err
    assert not Path("code.yaml").exists()


@pytest.mark.parametrize("command", [["run"], ["run", "--set", "seed=1"]])
def test_a_run_with_other_code_is_refused(
    project: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    update(monkeypatch, "headstart.report")
    before = content()
    assert main.main(command) == 1
    said = capsys.readouterr().err
    assert "has other code than code.yaml names (headstart.report)" in said
    assert "`headstart upgrade`" in said
    assert content() == before


def test_a_develop_folder_can_be_upgraded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.chdir(develop_folder.prepare("mine"))
    assert developing.PATH.exists()
    update(monkeypatch, "headstart.developing")
    assert "wrote code.yaml" in upgrade.upgrade()
    assert Path("dvc.yaml").read_text() == generate.develop_graph()
    assert not Path("prefect.yaml").exists()
