"""headstart.TransferClassifier: scikit-learn's manner on lists of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils import estimator_checks

from headstart import TransferClassifier
from headstart.machinery.errors import DataError
from tests import tiny, toy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    toy.images(folder / "photos", per_class=9)
    tiny.checkpoint(folder / "source", size=32)
    return folder


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


@pytest.fixture
def files(here: None) -> list[Path]:
    return sorted(Path("photos").glob("*/*.png"))


NUMBERS = {"ant": 30, "bee": 4, "cat": 100}  # whose order as numbers is not that of their names


# scikit-learn's own checks, as far as they give no numbers in the place of files; check_estimator itself skips all of them for such an estimator.
CHECKS = [
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
]


@pytest.mark.parametrize("check", CHECKS)
def test_it_is_an_estimator(check: str) -> None:
    getattr(estimator_checks, check)("TransferClassifier", TransferClassifier())


def test_it_learns_labels_of_any_kind(files: list[Path]) -> None:
    labels = [NUMBERS[file.parent.name] for file in files]
    made = TransferClassifier("checkpoint:source", fine_tune=False)
    assert made.fit(files, labels) is made
    assert made.classes_.tolist() == [4, 30, 100]
    assert made.score(files, labels) > 0.9
    probabilities = made.predict_proba(files[:2])
    assert (made.classes_[probabilities.argmax(axis=1)] == made.predict(files[:2])).all()
    assert made.transform(files[:2]).shape == (2, made.source_.features)
    assert made.predict([np.asarray(toy.photo(0, 3))]).tolist() == [30]


def test_it_ranks_and_fine_tunes(files: list[Path]) -> None:
    labels = [file.parent.name for file in files]
    made = TransferClassifier(candidates=["checkpoint:source"], epochs=1).fit([str(file) for file in files], labels)
    assert made.source_.name == "checkpoint:source"
    assert made.n_iter_ in (0, 1)
    assert made.predict(files[:1])[0] in toy.CLASSES


def test_it_is_validated_as_others_are(files: list[Path]) -> None:
    labels = np.array([file.parent.name for file in files])
    scores = cross_val_score(TransferClassifier("checkpoint:source", fine_tune=False), [str(file) for file in files], labels, cv=2)
    assert scores.mean() > 0.6


def test_it_says_what_is_missing(files: list[Path]) -> None:
    with pytest.raises(NotFittedError):
        TransferClassifier().predict(files)
    Path("note.png").write_text("no photo")
    with pytest.raises(DataError, match=r"1 of 28 files cannot be read, the first .*note.png: not an image"):
        TransferClassifier("checkpoint:source").fit([*files, "note.png"], [*(file.parent.name for file in files), "ant"])
