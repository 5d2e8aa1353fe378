"""headstart.library.models: a model that predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart
from headstart.machinery.errors import DataError, HeadstartError
from tests import tiny, toy
from tests.data import deep_files


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> headstart.Model:
    """The head that was fitted on toy photos, as a model."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        toy.images(Path("photos"), per_class=10)
        return headstart.fit_head(headstart.index("photos"), tiny.checkpoint(Path("source"), size=32), penalties=[1.0], folds=2).model()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    toy.images(Path("photos"), per_class=2, seed=5)


FILES = [Path(f"photos/{name}/000{number}.png") for name in toy.CLASSES for number in (0, 1)]


def test_it_labels_files(head: headstart.Model) -> None:
    assert head.predict(FILES).tolist() == [name for name in toy.CLASSES for _ in (0, 1)]
    probabilities = head.predict_proba(FILES)
    assert probabilities.shape == (6, 3)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert head.classes == list(toy.CLASSES)


def test_a_file_its_pixels_and_its_picture_are_one_image(head: headstart.Model) -> None:
    with Image.open(FILES[0]) as picture:
        given = [FILES[0], str(FILES[0]), np.asarray(picture), picture.copy(), picture.convert("RGBA")]
    first, *others = head.predict_proba(given)
    assert all((first == other).all() for other in others)


def test_grey_pixels_are_taken_and_a_picture_is_turned_as_it_says(head: headstart.Model) -> None:
    grey = np.asarray(toy.photo(size=32).convert("L"))
    assert head.predict_proba([grey]).shape == (1, 3)
    upright = toy.photo(size=(40, 32))
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6
    assert (head.predict_proba([upright]) == head.predict_proba([turned])).all()


def test_pixels_of_16_bits_are_what_their_file_is(head: headstart.Model) -> None:
    given = np.asarray(toy.photo(size=32)).astype(np.uint16) * 257
    Path("a.png").write_bytes(deep_files.png(given))
    with Image.open("a.png") as opened:
        file, pixels, picture, plain = head.predict_proba([Path("a.png"), given, opened, toy.photo(size=32)])
    assert (file == pixels).all()
    assert (file == picture).all()
    assert (file == plain).all()


def test_an_image_does_not_depend_on_its_neighbours(head: headstart.Model) -> None:
    together = head.embed(FILES)
    assert together.shape == (6, together.shape[1])
    assert together.dtype == np.float32
    assert (np.concatenate([head.embed([file]) for file in FILES]) == together).all()


def test_features_and_probabilities_belong_together(head: headstart.Model) -> None:
    names = [name for name in head.weights if name.startswith("fc.")]
    weight, bias = (head.weights[name] for name in sorted(names, reverse=True))
    logits = head.embed(FILES) @ weight.T + bias
    assert (logits.argmax(axis=1) == head.predict_proba(FILES).argmax(axis=1)).all()


def test_no_images_give_no_rows(head: headstart.Model) -> None:
    assert head.predict([]).shape == (0,)
    assert head.predict_proba([]).shape == (0, 3)
    assert len(head.embed([])) == 0


def test_what_cannot_be_read_is_named(head: headstart.Model) -> None:
    Path("note.jpg").write_text("no photo")
    with pytest.raises(DataError, match=r"note\.jpg: not an image"):
        head.predict([FILES[0], "note.jpg"])
    with pytest.raises(DataError, match=r"gone\.jpg: no such file"):
        head.predict(["gone.jpg"])
    with pytest.raises(DataError, match="image 1 of the list"):
        head.predict([FILES[0], np.zeros((2, 2, 2, 2, 2))])


def test_a_path_alone_is_refused_with_advice(head: headstart.Model) -> None:
    with pytest.raises(TypeError, match="give a list of images"):
        head.predict("photos")  # type: ignore[arg-type]


def test_it_is_saved_and_loaded(head: headstart.Model) -> None:
    head.save("mine")
    again = headstart.load("mine")
    assert again.card == head.card
    assert (again.predict_proba(FILES) == head.predict_proba(FILES)).all()


def test_a_folder_without_a_model_is_refused() -> None:
    with pytest.raises(HeadstartError, match="is missing"):
        headstart.load("photos")
