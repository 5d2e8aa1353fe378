"""headstart.library.steps: the steps of the pipeline as functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import headstart
from headstart.machinery.errors import DataError, ParamsError
from headstart.params import Baseline
from tests import tiny, toy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy photos and an untrained source, which the tests of this file share with all that is cached."""
    folder = tmp_path_factory.mktemp("project")
    toy.images(folder / "photos", per_class=12)
    tiny.checkpoint(folder / "source", size=32)
    return folder


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


SOURCE = "checkpoint:source"


def test_a_folder_and_its_files_with_labels_are_indexed_alike() -> None:
    whole = headstart.index("photos", seed=3)
    files = sorted(Path("photos").glob("*/*.png"))
    listed = headstart.index(files, [file.parent.name for file in files], seed=3)
    assert whole.classes == listed.classes == list(toy.CLASSES)
    columns = ["label", "split", "sha256", "group"]
    assert whole.table[columns].equals(listed.table[columns])
    assert all((listed.root / path).is_file() for path in listed.table["path"])
    assert len(whole.split("train")) + len(whole.split("validation")) + len(whole.split("test")) == 36


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="2 files need as many labels, and 1 were given"):
        headstart.index(["a.png", "b.png"], ["a"])
    with pytest.raises(DataError, match="labels go with a list of files"):
        headstart.index("photos", ["a"])


def test_options_are_checked_as_params_yaml_is() -> None:
    with pytest.raises(ParamsError, match=r"index_images.test_shar: unknown parameter; did you mean test_share\?"):
        headstart.index("photos", test_shar=0.1)
    with pytest.raises(ParamsError, match=r"fine_tune.epochs"):
        headstart.fine_tune(headstart.index("photos"), None, epochs=0)  # type: ignore[arg-type]


def test_a_check_says_what_is_wrong() -> None:
    images = headstart.index("photos")
    assert headstart.check(images)["success"]
    found = headstart.check(images, min_images_per_class=13)
    assert [failure["name"] for failure in found["critical"]] == ["images_per_class"]


def test_from_a_folder_to_a_verdict() -> None:
    images = headstart.index("photos")
    choice = headstart.rank(images, candidates=[SOURCE], race={"sources": 0}, depths=False, folds=2, bootstrap=100)
    assert choice.chosen.name == SOURCE
    head = headstart.fit_head(images, choice, penalties=[1.0, 0.1], folds=2)
    by_name = headstart.fit_head(images, SOURCE, penalties=[1.0, 0.1], folds=2)
    assert (head.final.weight == by_name.final.weight).all()
    tuned = headstart.fine_tune(images, head, epochs=1, views=1, depth=1, batch_size=8)
    assert tuned.record.right.shape == (2, len(images.split("validation")))
    assert isinstance(tuned.better, bool)
    proof = headstart.prove(images, head, tuned, baseline=Baseline(epochs=1, views=1, batch_size=8, max_size=32), resamples=100)
    assert proof["answer"] in ("positive", "none_shown", "negative", "too_few")
    figures = headstart.evaluate(images, head.model(), bootstrap=100)
    test = images.split("test")
    right = head.model().predict([images.root / path for path in test["path"]]) == test["label"].to_numpy()
    assert figures["accuracy"] == pytest.approx(np.mean(right))
    assert tuned.model().predict([images.root / test["path"][0]])[0] in toy.CLASSES


def test_what_cannot_be_evaluated_is_said() -> None:
    images = headstart.index("photos")
    model = headstart.fit_head(images, SOURCE, penalties=[1.0], folds=2).model()
    with pytest.raises(DataError, match="no usable image in the split 'tset'"):
        headstart.evaluate(images, model, split="tset")
    renamed = headstart.Images(images.table.replace({"label": {"ant": "emu"}}), images.root)
    with pytest.raises(DataError, match="the model does not know the classes emu; it knows ant, bee, cat"):
        headstart.evaluate(renamed, model)
