"""The example data sets: the photographs come from a package that is fetched and checked, the digits from scikit-learn."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.importing import datasets, examples
from headstart.machinery.errors import HeadstartError
from tests import toy


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_digits(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    summary = datasets.import_dataset("digits", tmp_path / "target")
    assert (summary.files, summary.classes, summary.splits, summary.terms) == (1797, list("0123456789"), {}, "")
    digits = load_digits()
    for number in (0, 1, 1796):
        with Image.open(tmp_path / f"target/{digits.target[number]}/{number:04d}.png") as image:
            assert (image.mode, image.size) == ("L", (8, 8))
            assert np.array_equal(np.rint(np.asarray(image) / 255 * 16), digits.images[number])
    datasets.import_dataset("digits", tmp_path / "again")
    assert files(tmp_path / "again") == files(tmp_path / "target")


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """In the place of pip: lays out a package like the real one, of six photographs. Returns the commands that it was given."""
    given: list[list[str]] = []

    def install(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        given.append(command)
        data = Path(command[command.index("--target") + 1], "elpv_dataset/data")
        (data / "images").mkdir(parents=True)
        lines = []
        for number, probability in enumerate(("0.0", "1.0", "0.3333333333333333", "1.0", "0.0", "1.0")):
            toy.photo(number).save(data / f"images/cell{number}.png")
            lines.append(f"images/cell{number}.png  {probability:<18}  mono\n")
        (data / "labels.csv").write_text("".join(lines))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", install)
    return given


def test_the_demo_is_photographs_of_which_the_experts_were_sure(
    package: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = datasets.import_dataset("demo", tmp_path / "target")
    assert (summary.files, summary.classes) == (5, ["defective", "functional"])
    assert "CC BY-NC-SA 4.0" in summary.terms
    assert sorted(files(tmp_path / "target")) == [
        *(f"defective/cell{number}.png" for number in (1, 3, 5)),
        *(f"functional/cell{number}.png" for number in (0, 4)),
    ], "and nothing of the download"
    monkeypatch.setattr(examples, "EACH", 2)
    assert datasets.import_dataset("demo", tmp_path / "fewer").files == 4
    [_, command] = package
    assert {"--no-deps", "--require-hashes"} <= set(command), "nothing else is fetched, and nothing that is not the package we know"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("WARNING: a\nERROR: first\nERROR: No matching distribution found\nnotice\n", "(No matching distribution found)"),
        ("error: Request failed\n  Connection refused\n", "(Connection refused)"),
        ("", "(no reason given)"),
    ],
)
def test_without_the_registry_it_names_the_digits(said: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", said))
    with pytest.raises(HeadstartError) as caught:
        datasets.import_dataset("demo", tmp_path / "target")
    assert why in str(caught.value)
    assert "`headstart import digits`" in str(caught.value)
    assert not (tmp_path / "target").exists()


def test_without_pip_and_uv_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HeadstartError, match="No such file or directory: 'uv'"):
        datasets.import_dataset("demo", tmp_path / "target")


def test_a_fetched_demo_is_the_one_that_is_meant(tmp_path: Path) -> None:
    """With the package registry: the pinned package is there, with the bytes that we know."""
    summary = datasets.import_dataset("demo", tmp_path / "target")
    assert (summary.files, summary.classes) == (320, ["defective", "functional"])
    with Image.open(tmp_path / "target/defective/cell0346.png") as image:
        assert (image.mode, image.size) == ("L", (300, 300))
