"""The package as others install it: sdist, wheel, and a project that a wheel serves.

Not among the default tests: pytest -m wheel. The environment is a new one; what the package depends on is lent to it from this one, so that nothing is downloaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from flows.projects import generate
from headstart.exporting import onnx_folder
from headstart.features import predict
from headstart.params import project_code
from tests import ROOT, tiny, toy
from tests.exporting.test_onnx_folder import made

pytestmark = pytest.mark.wheel
UV = Path(sys.executable).with_name("uv")
SMALL = (
    "select_source.candidates=['checkpoint:../source']",
    "select_source.bootstrap=100",
    "select_source.depths=false",
    "fine_tune.epochs=1",
    "fine_tune.views=1",
    "baseline.epochs=0",
    "verdict.resamples=100",
    "verdict.average=false",
    "verdict.remedies=false",
    "evaluate.bootstrap=100",
)


class Machine:
    """An environment in which the wheel is installed, and nothing of the checkout can be imported."""

    def __init__(self, place: Path, wheel: Path) -> None:
        self.bin = place / "bin"
        venv.create(place)
        subprocess.run([UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", self.bin / "python", wheel], check=True)
        [packages] = place.glob("lib/python*/site-packages")
        (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")  # without its .pth files, and so without the checkout

    def run(self, folder: Path, *command: str) -> str:
        """What a command prints that is run in a folder. It fails the test if the command fails."""
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "HEADSTART_RUN_LOCK")}
        environment["PATH"] = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [self.bin / command[0], *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, timeout=1200, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist and with the wheel, which is made from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [UV, "build", "--quiet", "--offline", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, ROOT]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [wheel] = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def machine(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("environment") / "venv", wheel)


def test_the_wheel_holds_all_that_runs_and_nothing_else(wheel: Path) -> None:
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "headstart", "tasks", "flows"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    shipped = {f"flows/projects/shipped/{name}" for name in ("dvc.yaml", "params.yaml", "prefect.yaml", ".dvcignore", "data/README.md")}
    assert files == shipped | set(listed.stdout.split())
    assert {"headstart/py.typed", "headstart/report/templates/report.css", "headstart/report/templates/page.html.jinja"} <= files


def test_the_sdist_can_be_built_from_and_tested(built: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {
        "dvc.yaml",
        "params.yaml",
        "prefect.yaml",
        "pyproject.toml",
        "requirements.lock",
        "tests/conftest.py",
        "data/README.md",
    } <= names
    assert not any(name.startswith((".headstart", ".venv", "models", "data/images")) for name in names)


def test_a_project_that_the_wheel_serves(machine: Machine, tmp_path: Path) -> None:
    """It is made, runs, and is clean; its code has the fingerprints that it has in the checkout."""
    where = machine.run(tmp_path, "python", "-c", "import headstart; print(headstart.__file__)")
    assert str(ROOT) not in where
    toy.images(tmp_path / "photos", per_class=20)
    tiny.checkpoint(tmp_path / "source")
    assert "made the project beans" in machine.run(tmp_path, "headstart", "new", "beans")
    project = tmp_path / "beans"
    assert (project / "dvc.yaml").read_text() == generate.graph()
    assert project_code.changed(project_code.read(project / "code.yaml")) == []
    machine.run(project, "headstart", "import", "../photos")
    said = machine.run(project, "headstart", "run", "--keep", *(word for value in SMALL for word in ("--set", value)))
    assert "report ran" in said
    assert machine.run(project, "python", "-m", "dvc", "status", "--json").strip() == "{}"
    assert "Running stage" not in machine.run(project, "python", "-m", "dvc", "repro")
    assert machine.run(project, "headstart", "upgrade").startswith("up to date")
    photo = next(path for path in (tmp_path / "photos").rglob("*.png"))
    header, answer = machine.run(project, "headstart", "predict", str(photo)).splitlines()
    assert header == "path,label,probability,error,unsure,unlike"
    assert answer.split(",")[1] in {path.name for path in (tmp_path / "photos").iterdir()}


def test_an_export_runs_where_there_are_three_packages_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty environment: onnxruntime, pillow and numpy as they are here, and what these need."""
    monkeypatch.chdir(tmp_path)
    final = made(tmp_path)
    toy.images(tmp_path / "photos", per_class=2, size=(90, 70))
    onnx_folder.write(final, tmp_path / "out", None)
    venv.create(tmp_path / "empty")
    pins = [f"{name}=={version(name)}" for name in ("onnxruntime", "pillow", "numpy")]
    subprocess.run([UV, "pip", "install", "--quiet", "--python", tmp_path / "empty/bin/python", *pins], check=True)
    command = [tmp_path / "empty/bin/python", "-I", tmp_path / "out/predict.py", "photos"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split(",")[:3] for line in done.stdout.splitlines()[1:]]
    expected = [(answer.path, answer.label, answer.probability) for answer in predict.predict([Path("photos")], final)]
    assert [(path, label) for path, label, _ in rows] == [(path, label) for path, label, _ in expected]
    assert all(abs(float(row[2]) - (answer[2] or 0)) < 1e-4 for row, answer in zip(rows, expected, strict=True))
