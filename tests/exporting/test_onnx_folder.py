"""headstart.exporting: a folder that runs with three packages, and says what `headstart predict` says."""

from __future__ import annotations

import ast
import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image

from flows.results import export
from headstart.base import outputs, weights
from headstart.data import manifest
from headstart.exporting import agreement, eight_bits, onnx_file, onnx_folder, told
from headstart.exporting.beside import predict as beside
from headstart.exporting.preparing import Prepare
from headstart.features import predict, transforms
from headstart.features.transforms import View
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards, model, sources, transform
from headstart.networks.answering import Answering
from headstart.networks.cards import ModelCard, Transform
from headstart.statistics import likelihood, limits
from headstart.statistics.operating import Point
from tests import tiny, toy
from tests.data import deep_files

CLASSES = ("ant", "bee", "cat")


def made(place: Path, **more: object) -> Path:
    """A small model folder below `place`."""
    source = sources.load(tiny.checkpoint(place / "source"))
    final = place / "models/final"
    final.mkdir(parents=True)
    model.save(final / cards.WEIGHTS, model.of(source, tiny.head(source.features)))
    known = {"library": "timm", "architecture": source.architecture, "weights_sha256": source.weights_sha256, "classes": CLASSES}
    outputs.write_json(final / cards.CARD, {**known, "transform": {**source.transform.to_json(), "crop": 0.875}, **more})
    return final


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, told.Told]:
    """A model folder, its export, and what that tells."""
    place = tmp_path_factory.mktemp("exported")
    final = made(place, point={"factors": [1.0, 1.5, 1.0]})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return final, place / "out", onnx_folder.write(final, place / "out", None)


@lru_cache
def in_onnx(interpolation: str, crop: float) -> Callable[[np.ndarray], np.ndarray]:
    """Prepare as ONNX Runtime runs it: the exporter may give its numbers another precision."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "square.onnx"
        onnx_file.export(Prepare(Transform(48, tiny.MEAN, tiny.STD, interpolation, crop)), path, ["square"])
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda picture: np.asarray(session.run(None, {onnx_file.PICTURE: picture})[0])[0]


@pytest.mark.parametrize("interpolation", transform.FILTERS)
@pytest.mark.parametrize(
    "size", [(48, 48), (50, 37), (20, 31), (80, 120), (60, 61), (100, 130), (7, 400), (401, 300), (330, 470), (640, 201)]
)
def test_the_square_is_pillows_byte_for_byte(size: tuple[int, int], interpolation: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    for crop in (1.0, 0.875, 0.882):  # the last is no sum of powers of two
        transform = Transform(48, tiny.MEAN, tiny.STD, interpolation, crop)
        expected = np.asarray(transforms.plain(Image.fromarray(picture), View.of(transform)))
        np.testing.assert_array_equal(Prepare(transform)(torch.from_numpy(picture))[0].numpy(), expected)
        np.testing.assert_array_equal(in_onnx(interpolation, crop)(picture), expected)


def test_the_file_answers_as_the_model_does_for_photos_of_any_kind(
    exported: tuple[Path, Path, told.Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    final, out, _ = exported
    monkeypatch.chdir(tmp_path)
    toy.photo(0, 1, size=(90, 70)).save("a.png")
    toy.photo(1, 2, size=(600, 500)).save("b.jpg", quality=95)
    turned = toy.photo(2, 3, size=(120, 80))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save("c.jpg", exif=exif)
    toy.photo(0, 4, size=64).convert("RGBA").rotate(30).save("d.png")
    toy.photo(1, 5, size=64).convert("L").save("e.png")
    Path("f.png").write_bytes(b"no picture")
    names = [f"{letter}.{'jpg' if letter in 'bc' else 'png'}" for letter in "abcdef"]
    monkeypatch.setattr(beside, "__file__", str(out / "predict.py"))
    beside.main(names)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    expected = list(predict.predict([Path(name) for name in names], final))
    assert [row["path"] for row in rows] == names
    assert [row["label"] for row in rows] == [answer[1] for answer in expected]
    ours = [float(row["probability"]) for row in rows[:5]]
    np.testing.assert_allclose(ours, [answer[2] for answer in expected[:5]], atol=2e-6)  # type: ignore[misc]
    assert rows[5]["error"]
    assert len(set(ours)) == 5


def test_more_than_8_bits_are_refused_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    deep = np.full((4, 4, 3), 4000, np.uint16)
    files = {"a.png": deep_files.png(deep), "a.tif": deep_files.tiff(deep), "a.ppm": deep_files.ppm(deep, 4095)}
    for name, content in {**files, "b.png": deep_files.png(deep[..., :1]), "c.ppm": b"P6 2 2 200\n" + bytes(12)}.items():
        Path(name).write_bytes(content)
        if name == "c.ppm":
            assert beside.pixels(Path(name), 32).shape == (2, 2, 3)
            continue
        with pytest.raises(ValueError, match="more than 8 bits a channel"):
            beside.pixels(Path(name), 32)


def test_the_file_knows_the_limits_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, kind in enumerate((0, 1, 2, 0, 1, 2)):
        toy.photo(kind, number, size=(90, 70)).save(f"{number}.png")
    names = [f"{number}.png" for number in range(6)]
    final = made(tmp_path)
    network, card = model.load(final)
    view = View.of_card(card)
    squares = torch.from_numpy(np.stack([transforms.read(Path(name), [view], "")[0] for name in names]))
    with torch.inference_mode():
        given = Answering(network)(squares).numpy()
    features, sure = given[:, 3:], limits.confidence(likelihood.softmax(given[:, :3]))
    known = limits.unit(features[:3])
    far = np.sort(limits.distances(features, known, 2))
    changed = replace(
        card,
        unsure=limits.Unsure(float(np.sort(sure)[2:4].mean()), "error", 0.05, 6, 0.5, 0.0, 0.1, True),
        unlike=limits.Unlike(float(far[3:5].mean()), 2, 0.05, 6, 3),
    )
    outputs.write_json(final / cards.CARD, changed.to_json())
    weights.write(final / cards.KNOWN, {"known": known})
    onnx_folder.write(final, Path("out"), None)
    monkeypatch.setattr(beside, "__file__", str(tmp_path / "out/predict.py"))
    beside.main(names)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    expected = list(predict.predict([Path(name) for name in names], final))
    words = {True: "yes", False: "no"}
    assert [(row["unsure"], row["unlike"]) for row in rows] == [(words[bool(one.unsure)], words[bool(one.unlike)]) for one in expected]
    assert [row["unsure"] for row in rows].count("yes") == 3
    assert [row["unlike"] for row in rows].count("yes") == 2


def test_what_lies_beside_the_file_imports_three_packages_and_is_what_was_tested(exported: tuple[Path, Path, told.Told]) -> None:
    _, out, _ = exported
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "export.json", "model.onnx", "predict.py"]
    text = (out / "predict.py").read_text()
    assert text == Path(beside.__file__).read_text()
    tree = ast.walk(ast.parse(text))
    names = {
        name.partition(".")[0]
        for node in tree
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert names == {"csv", "json", "sys", "pathlib", "typing", "numpy", "onnxruntime", "PIL"}
    assert len(text.splitlines()) <= 62


def test_the_file_knows_its_classes_its_factors_and_its_card(exported: tuple[Path, Path, told.Told]) -> None:
    final, out, done = exported[0], exported[1], json.loads(json.dumps(exported[2]))
    _, facts = beside.load(out / "model.onnx")
    assert facts["classes"] == list(CLASSES)
    assert facts["factors"] == [1.0, 1.5, 1.0]
    assert facts["near"] == round(64 / 0.875)
    assert facts["card"] == done["card"] == json.loads((out / "export.json").read_text())["card"]
    assert ModelCard.from_json(facts["card"], out) == cards.read_model(final)[1]
    assert json.loads((out / "export.json").read_text()) == done
    assert done["validation"] is None
    assert done["drawn"]["same_class"] == done["drawn"]["images"] == len(agreement.SIZES)
    assert done["drawn"]["largest_difference"] < 1e-5


def test_it_is_checked_on_the_validation_images_and_8_bits_are_measured_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = tiny.table(Path("data/images"), per_class=8, size=64)
    manifest.write(table, Path("data/clean.parquet"))
    final = made(tmp_path, data_sha256=manifest.split_hash(table), unlike=asdict(limits.Unlike(0.5, 1, 0.05, 20, 2)))
    weights.write(final / cards.KNOWN, {"known": limits.unit(np.eye(2, model.load(final)[0].head.in_features))})
    done, lines = export.write("onnx", final, Path("out"), int8=True)
    count = int((table["split"] == "validation").sum())
    assert done["validation"] is not None
    assert done["validation"]["images"] == done["validation"]["same_class"] == done["int8"]["images"] == count
    assert done["validation"]["largest_difference"] < 1e-5
    assert Path("out/model.int8.onnx").is_file() == (not done["int8"]["refused"])
    assert any("int8" in line for line in lines)
    if not done["int8"]["refused"]:
        assert Path("out/model.int8.onnx").stat().st_size < 0.8 * Path("out/model.onnx").stat().st_size
        facts, exact = (beside.load(Path("out") / name)[1] for name in ("model.int8.onnx", "model.onnx"))
        assert (facts["classes"], facts["unlike"], exact["unlike"]) == (list(CLASSES), None, 0.5)
    outputs.write_json(final / cards.CARD, {**outputs.read_json(final / cards.CARD), "data_sha256": "of other images"})
    assert told.photos(Path("data/clean.parquet"), Path("data/images"), cards.read_model(final)[1]) is None
    with pytest.raises(HeadstartError, match="int8 needs the images that the model was made from"):
        export.write("onnx", final, Path("out"), int8=True)
    assert Path("out/model.onnx").is_file(), "what was there stays"


def test_8_bits_that_lose_too_much_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eight_bits, "MOST_LOST", -1.0)
    table = tiny.table(Path("data/images"), per_class=8, size=64)
    manifest.write(table, Path("data/clean.parquet"))
    done, lines = export.write("onnx", made(tmp_path, data_sha256=manifest.split_hash(table)), Path("out"), int8=True)
    assert done["int8"]["refused"]
    assert not Path("out/model.int8.onnx").exists()
    assert "refused" in lines[-1]


def test_what_is_lost_is_counted_at_the_operating_point() -> None:
    exact, rough = np.array([[0.6, 0.4], [0.3, 0.7]]), np.array([[0.6, 0.4], [0.45, 0.55]])
    labels = np.array([0, 1])
    assert eight_bits.lost(exact, rough, labels, [1.0, 1.0]) == 0
    assert eight_bits.lost(exact, rough, labels, [1.3, 1.0]) == 0.5


def test_a_folder_that_is_no_export_is_never_replaced(exported: tuple[Path, Path, told.Told], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(HeadstartError, match="mine is there and is no export"):
        export.write("onnx", exported[0], tmp_path / "mine", int8=False)
    assert (tmp_path / "mine/thesis.txt").exists()
    with pytest.raises(HeadstartError, match="there is no model at"):
        export.write("onnx", tmp_path / "none", tmp_path / "new", int8=False)


def test_other_answers_than_pytorchs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    final = made(tmp_path)
    monkeypatch.setattr(told, "TOLERANCE", -1.0)
    with pytest.raises(HeadstartError, match="gives other answers than PyTorch"):
        onnx_folder.write(final, Path("out"), None)
    assert not Path("out").exists()


def test_split_files_are_taken_evenly() -> None:
    table = pd.DataFrame({"path": [f"{n}.png" for n in range(10)], "split": ["train"] * 10})
    assert told.Photos(table, Path("x")).files("train", 3) == [Path(f"x/{n}.png") for n in (0, 3, 6)]


def test_a_card_without_a_point_names_the_likeliest(exported: tuple[Path, Path, told.Told]) -> None:
    card = cards.read_model(exported[0])[1]
    assert isinstance(card, ModelCard)
    assert card.point == Point((1.0, 1.5, 1.0))
    assert onnx_file.facts(replace(card, point=None))["factors"] == [1.0, 1.0, 1.0]
