"""flows.trying.asking: the answer of `headstart predict`, the training images that are most like a picture, and what counted."""

from __future__ import annotations

import base64
import io
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.trying import alike
from flows.trying.asking import Trial
from headstart.base import outputs, weights
from headstart.data import manifest
from headstart.evaluation import limits as of_model
from headstart.features import predict
from headstart.features.predict import Ready
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards
from headstart.statistics import limits
from tests import tiny, toy
from tests.exporting.test_onnx_folder import CLASSES, made


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a model that keeps features of the images of the project that it lies in."""
    monkeypatch.chdir(tmp_path)
    table = tiny.table(Path("data/images"), size=64)
    manifest.write(table, Path("data/clean.parquet"))
    final = made(tmp_path, data_sha256=manifest.split_hash(table), parameters={"seed": 3})
    keep(final)
    return final


def keep(final: Path) -> None:
    """Have a model keep the features of its training images."""
    ready, rows = Ready.of(final, features=True), of_model.known_rows(manifest.read(Path("data/clean.parquet")), 3)
    found = [ready.frozen.engine.run(ready.read(Path("data/images") / path)[None])[0, len(CLASSES) :] for path in rows["path"]]
    weights.write(final / cards.KNOWN, {"known": limits.unit(np.stack(found)).astype(np.float16)})
    card = outputs.read_json(final / cards.CARD)
    outputs.write_json(final / cards.CARD, {**card, "unlike": asdict(limits.Unlike(-1.0, 1, 0.05, 20, len(rows)))})


def test_the_answer_is_that_of_predict_for_the_same_bytes(project: Path, tmp_path: Path) -> None:
    trial = Trial.of(project)
    for number, (name, size) in enumerate([("a.png", (90, 70)), ("b.jpg", (700, 500)), ("c.tif", (64, 64))]):
        toy.photo(number, number, size=size).save(tmp_path / name)
        expected = next(predict.predict([tmp_path / name], project))
        said = trial.ask((tmp_path / name).read_bytes(), name)
        assert (said["label"], said["probability"], said["ranked"]) == (expected.label, expected.probability, list(expected.ranked))
        assert (said["unsure"], said["unlike"], said["remark"]) == (expected.unsure, True, expected.error)
    Image.fromarray(np.linspace(0, 3000, 1600).reshape(40, 40).astype(np.uint16)).save(tmp_path / "deep.png")
    said = trial.ask((tmp_path / "deep.png").read_bytes(), "x/../deep.png")
    assert said["remark"] == next(predict.predict([tmp_path / "deep.png"], project)).error != "", "how the name ends counts"


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_said(project: Path, content: bytes) -> None:
    assert set(Trial.of(project).ask(content, "a.png")) == {"error"}


def test_a_training_image_is_most_like_itself(project: Path) -> None:
    trial = Trial.of(project)
    assert trial.near is not None
    row = trial.near.table.iloc[5]
    near = trial.ask((Path("data/images") / row["path"]).read_bytes(), row["path"])["nearest"]
    assert (near[0]["path"], near[0]["label"]) == (row["path"], row["label"])
    assert near[0]["alike"] > 0.999
    assert len(near) == alike.SHOWN
    assert [one["alike"] for one in near] == sorted((one["alike"] for one in near), reverse=True)
    assert all(one["picture"].startswith("data:image/jpeg;base64,") for one in near)


def test_features_of_other_images_are_not_believed(project: Path) -> None:
    ready = Ready.of(project, features=True)
    assert ready.known is not None
    weights.write(project / cards.KNOWN, {"known": ready.known[::-1].copy()})
    known = alike.known(Ready.of(project, features=True), project)
    assert known is not None
    np.testing.assert_allclose(known.features, ready.known.astype(np.float32), atol=2e-3)


def test_images_of_another_data_set_are_not_shown(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Trial.of(project).near is not None, "the model's own project has them"
    monkeypatch.chdir(tmp_path)
    outputs.write_json(project / cards.CARD, {**outputs.read_json(project / cards.CARD), "data_sha256": "other"})
    trial = Trial.of(project)
    assert trial.near is None
    said = trial.ask(Path("data/images", manifest.read(Path("data/clean.parquet"))["path"][0]).read_bytes(), "a.png")
    assert (said["nearest"], said["why_none_near"]) == ([], "The images that this model was made from are not here.")


def test_what_counted_is_a_picture_of_the_same_shape(project: Path) -> None:
    buffer = io.BytesIO()
    toy.photo(1, 1, size=(300, 200)).save(buffer, "PNG")
    trial = Trial.of(project)
    url = trial.look(buffer.getvalue(), CLASSES[1])
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as seen:
        assert seen.size == (300, 200)
    for content, label in ((buffer.getvalue(), "dog"), (b"none", CLASSES[0])):
        with pytest.raises(HeadstartError):
            trial.look(content, label)


def test_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match="there is no model at"):
        Trial.of(tmp_path)
