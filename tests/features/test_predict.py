"""headstart.predict: a model folder alone, every file answered, broken ones with the reason."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.base import cores, devices, weights
from headstart.base.devices import CPU, Device
from headstart.features import engines, predict
from headstart.features.batched import Batched
from headstart.library import models as library
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards, model, sources
from headstart.statistics import limits
from headstart.statistics.limits import Unlike, Unsure
from tests import tiny, toy
from tests.data import deep_files

CLASSES = ["ant", "bee", "cat"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose source is gone."""
    return tiny.finished(tmp_path_factory.mktemp("made") / "models" / "final")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_model_folder_is_enough(made: Path, here: Path) -> None:
    shutil.copytree(made, here / "elsewhere")
    paths = toy.images(here / "photos", per_class=3, size=64)
    answers = list(predict.predict([Path("photos")], Path("elsewhere")))
    network, _ = model.load(made)
    with torch.inference_mode():
        images = np.stack([np.asarray(Image.open(path)) for path in paths])
        expected = network(torch.from_numpy(images)).softmax(1).numpy()
    assert [path for path, *_ in answers] == [str(path.relative_to(here)) for path in paths]
    assert [label for _, label, *_ in answers] == [CLASSES[i] for i in expected.argmax(1)]
    np.testing.assert_allclose([answer.probability for answer in answers], expected.max(1), atol=1e-4)  # type: ignore[arg-type]
    assert {error for _, _, _, error, *_ in answers} == {""}


def test_many_files_are_answered_by_a_card_as_by_a_cpu(made: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken file among them is told; few files are not worth the start of a card."""
    toy.images(here / "photos", per_class=3, size=64)
    (here / "photos/ant/0.png").write_bytes(b"no image")
    expected = list(predict.predict([Path("photos")], made))
    asked: list[str] = []

    def build(make: Any, size: int, key: str, folder: Path, device: Device, *_: Any) -> engines.Engine:
        asked.append(device.name)
        return engines.batches("card", Batched(make(), CPU, on=CPU.all(), batch=4))

    monkeypatch.setattr(engines, "build", build)
    monkeypatch.setattr(devices, "choose", lambda device, precision: Device("cuda", precision))
    monkeypatch.setattr(predict, "FEWEST_ON_CARD", 5)
    found = list(predict.predict([Path("photos")], made))
    assert asked == ["cuda float32"]
    assert [(one.path, one.label, one.error) for one in found] == [(one.path, one.label, one.error) for one in expected]
    assert [one.error != "" for one in found] == [True] + [False] * (len(found) - 1)
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        assert ours.probability == pytest.approx(theirs.probability, abs=1e-4)
    assert predict._device(4) == CPU


def test_deep_grey_is_seen_on_the_scale_of_the_card(made: Path, here: Path) -> None:
    """Pictures that differ in their level alone differ to the model; each on a scale of its own would be the same to it."""
    toy.deep(here / "photos", {"dim": 219, "bright": 900}, per_class=1, size=64)
    shutil.copytree(made, here / "scaled")
    card = json.loads((made / "card.json").read_text())
    (here / "scaled/card.json").write_text(json.dumps({**card, "grey": {"integer": [0.0, 1023.0]}}))
    for level in (219, 900):
        name = "dim" if level == 219 else "bright"
        values = np.asarray(Image.open(here / f"photos/{name}/0000.png"), np.float64)
        Image.fromarray(np.rint(values * 255 / 1023).astype(np.uint8)).save(here / f"{name}.png")
    given = [Path(f"photos/{name}/0000.png") for name in ("dim", "bright")]
    scaled = [answer[1:] for answer in predict.predict(given, Path("scaled"))]
    assert scaled == [answer[1:] for answer in predict.predict([Path("dim.png"), Path("bright.png")], made)]


def test_models_final_is_the_default(made: Path, here: Path) -> None:
    shutil.copytree(made.parent, here / "models")
    toy.photo().save(here / "a.png")
    assert list(predict.predict([Path("a.png")])) == list(predict.predict([Path("a.png")], made))


def test_an_unreadable_file_gets_its_reason_and_stops_nothing(made: Path, here: Path) -> None:
    toy.photo().save(here / "1.png")
    (here / "2.png").write_bytes(b"no image")
    (here / "3.png").write_bytes((here / "1.png").read_bytes()[:200])
    toy.photo().save(here / "4.png")
    answers = list(predict.predict([here / f"{n}.png" for n in (1, 2, 3, 4)], made))
    assert [bool(error) for _, _, _, error, *_ in answers] == [False, True, True, False]
    for _, label, probability, *_ in answers[1:3]:
        assert (label, probability) == ("", None)
    assert answers[0][1:] == answers[3][1:]


def test_an_answer_does_not_depend_on_other_files_or_cores(made: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = toy.images(here / "photos", per_class=4)
    alone = [next(iter(predict.predict([path], made))) for path in paths]
    try:
        for count in (1, 3):
            monkeypatch.setattr(cores, "workers", lambda count=count: count)
            cores._pool.cache_clear()
            assert list(predict.predict(paths, made)) == alone
    finally:
        cores._pool.cache_clear()


def test_a_walk_goes_below_folders_in_order_and_passes_hidden_files_by(here: Path) -> None:
    for name in (
        "photos/b/2.png",
        "photos/b/10.png",
        "photos/a.png",
        "photos/.hidden/a.png",
        "photos/b/.DS_Store",
        ".given/a.png",
        "c.png",
    ):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()
    assert list(predict.walk([Path("c.png"), Path("photos")])) == [
        Path("c.png"),
        Path("photos/a.png"),
        Path("photos/b/10.png"),
        Path("photos/b/2.png"),
    ]
    assert list(predict.walk([Path(".given")])) == [Path(".given/a.png")]
    for name in ("photos/@eaDir/a.png", "photos/#recycle/a.png", "photos/b/2.json", "photos/b/2.XMP", "photos/Thumbs.db"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()
    assert len(list(predict.walk([Path("photos")]))) == 3
    (here / "empty").mkdir()
    assert list(predict.walk([Path("empty")])) == []


def test_a_pipe_is_no_image_and_is_not_waited_for(made: Path, here: Path) -> None:
    (here / "photos").mkdir()
    os.mkfifo(here / "photos/pipe.jpg")
    toy.photo(size=64).save(here / "photos/a.png")
    answers = list(predict.predict([Path("photos"), Path("photos/pipe.jpg")], made))
    assert [error for _, _, _, error, *_ in answers] == ["", *["no ordinary file (a pipe, a socket or a device)"] * 2]


def test_what_is_not_there_is_said_before_anything_else(made: Path, here: Path) -> None:
    toy.photo().save(here / "a.png")
    with pytest.raises(HeadstartError, match=r"nowhere\.png does not exist"):
        predict.predict([Path("a.png"), Path("nowhere.png")], made)
    with pytest.raises(HeadstartError, match=r"no model has been made yet; run `headstart run` first"):
        predict.predict([Path("a.png")])


@pytest.mark.parametrize("lost", [["classes"], ["weights_sha256", "transform"], ["architecture"], ["transform.crop"], None])
def test_a_card_that_lacks_a_field_is_named(lost: list[str] | None, made: Path, here: Path) -> None:
    card = json.loads((made / "card.json").read_text())
    for name in lost or []:
        *block, key = name.split(".")
        del (card[block[0]] if block else card)[key]
    shutil.copytree(made, here / "cut")
    (here / "cut/card.json").write_text(json.dumps(card if lost else [card]))
    says = f"lacks {', '.join(lost)}" if lost else f"holds {str([card])[:60]!r}, expected an object with fields"
    with pytest.raises(HeadstartError, match=re.escape(f"cut/card.json {says}; make the model again with `headstart run`")):
        predict.predict([made], Path("cut"))


def test_a_retrained_model_of_the_same_source_is_another_one(made: Path, here: Path) -> None:
    """Its exported file must not be mistaken for that of the first."""
    toy.photo(size=64).save(here / "a.png")
    [first] = predict.predict([Path("a.png")], made)
    network, card = model.load(made)
    network.head.weight.data *= -1
    (here / "other").mkdir()
    model.save(here / "other" / "model.safetensors", network)
    (here / "other" / "card.json").write_text(json.dumps(card.to_json()))
    [second] = predict.predict([Path("a.png")], Path("other"))
    assert first[2] != second[2]


def test_an_image_in_which_there_is_nothing_to_see_is_said(made: Path, here: Path) -> None:
    toy.photo(size=64).save("a.png")
    Image.new("RGBA", (64, 64), (200, 10, 10, 0)).save("b.png")
    Image.new("L", (64, 64), 0).save("c.png")
    answers = list(predict.predict([Path("a.png"), Path("b.png"), Path("c.png")], made))
    assert all(label in CLASSES and probability for _, label, probability, *_ in answers)
    assert [error.partition(":")[0] for _, _, _, error, *_ in answers] == ["", "fully transparent", "one colour only"]


def test_colour_of_16_bits_of_which_the_upper_8_are_used_is_said(made: Path, here: Path) -> None:
    for name, depth in (("a.sgi", 2), ("b.sgi", 1)):
        toy.photo(size=64).save(name, bpc=depth)
    answers = list(predict.predict([Path("a.sgi"), Path("b.sgi")], made))
    assert [answer.error[:42] for answer in answers] == ["16 bits a colour, of which the upper 8 are", ""]


@pytest.mark.parametrize("bands", [1, 3])
def test_more_than_8_bits_without_a_scale_are_said(made: Path, here: Path, bands: int) -> None:
    """As of a card that was written before colour had a scale."""
    Path("a.png").write_bytes(deep_files.png(np.arange(64 * 64 * bands, dtype=np.uint16).reshape(64, 64, bands)))
    given = [Path("a.png")]
    assert [answer.error[:45] for answer in predict.predict(given, made)] == ["more than 8 bits, of which the model knows no"]
    card = json.loads((made / "card.json").read_text())
    shutil.copytree(made, here / "scaled")
    for scale, known in (({"integer": [0.0, 1023.0]}, True), ({"real": [0.0, 1.0]}, False)):
        (here / "scaled/card.json").write_text(json.dumps({**card, "grey": scale}))
        assert [answer.error == "" for answer in predict.predict(given, Path("scaled"))] == [known]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
def test_deep_colour_is_seen_on_the_scale_of_the_card(made: Path, here: Path, suffix: str) -> None:
    write = {".png": deep_files.png, ".tif": deep_files.tiff, ".ppm": deep_files.ppm}[suffix]
    shutil.copytree(made, here / "scaled")
    card = json.loads((made / "card.json").read_text())
    (here / "scaled/card.json").write_text(json.dumps({**card, "grey": {"integer": [0.0, 4095.0]}}))
    values = np.random.default_rng(0).integers(0, 4096, (64, 64, 3), dtype=np.uint16)
    Path("deep" + suffix).write_bytes(write(values))
    Image.fromarray(np.rint(values * (255 / 4095)).astype(np.uint8)).save("plain.png")
    deep = next(predict.predict([Path("deep" + suffix)], Path("scaled")))
    plain = next(predict.predict([Path("plain.png")], made))
    assert deep[1:] == plain[1:]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Lets nothing connect but to this machine itself; returns what was tried."""
    tried: list[object] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX and not str(address).startswith(("('127.", "('::1'")):
            tried.append(address)
            raise OSError("no network here")
        connect(self, address)  # type: ignore[arg-type]

    def looked_up(host: object, *rest: object, **more: object) -> object:
        if host not in ("localhost", "127.0.0.1", "::1"):
            tried.append(host)
            raise socket.gaierror("no network here")
        return look_up(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    return tried


def test_no_connection_is_made_for_a_model_whatever_its_card_says(made: Path, here: Path, no_network: list[object]) -> None:
    toy.photo(size=64).save("a.png")
    shutil.copytree(made, here / "model")
    assert list(predict.predict([Path("a.png")], Path("model")))
    sources.load(tiny.checkpoint(here / "source"))
    card = json.loads((made / "card.json").read_text())
    for name in ("hf-hub:timm/resnet18.a1_in1k", "hf_hub:timm/resnet18", "https://example.org/resnet18", "resnet18@main"):
        (here / "model/card.json").write_text(json.dumps({**card, "architecture": name}))
        (here / "source/card.json").write_text(json.dumps({**card, "architecture": name}))
        with pytest.raises(HeadstartError, match="has no architecture"):
            list(predict.predict([Path("a.png")], Path("model")))
        with pytest.raises(HeadstartError, match="has no architecture"):
            sources.load("checkpoint:source")
    assert no_network == []


def test_weights_that_are_not_finite_are_refused_by_name(made: Path, here: Path) -> None:
    shutil.copytree(made, here / "model")
    arrays = weights.read(here / "model/model.safetensors")
    arrays["fc.bias"][0] = np.nan
    weights.write(here / "model/model.safetensors", arrays)
    toy.photo(size=64).save("a.png")
    with pytest.raises(HeadstartError, match=r"model\.safetensors holds weights that are not finite numbers \(NaN or infinite\): fc\.bias"):
        list(predict.predict([Path("a.png")], Path("model")))


def test_as_many_classes_as_the_weights_have(made: Path, here: Path) -> None:
    shutil.copytree(made, here / "model")
    card = json.loads((made / "card.json").read_text())
    (here / "model/card.json").write_text(json.dumps({**card, "classes": CLASSES[:2]}))
    toy.photo(size=64).save("a.png")
    with pytest.raises(HeadstartError, match="the card names 2 classes, and the weights are of 3"):
        list(predict.predict([Path("a.png")], Path("model")))


def test_a_model_says_of_which_answers_it_is_unsure_and_which_images_are_unlike_all_it_knows(made: Path, here: Path) -> None:
    paths = toy.images(here / "photos", per_class=3, size=64)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save("noise.png")
    plain = list(predict.predict([*paths, Path("noise.png")], made))
    assert {(answer.unsure, answer.unlike) for answer in plain} == {(None, None)}
    network, card = model.load(made)
    with torch.inference_mode():
        squares = torch.from_numpy(np.stack([np.asarray(Image.open(path)) for path in [*paths, "noise.png"]]))
        features = limits.unit(network.stages(network.normalise(squares)).numpy())
    known = features[:-1].astype(np.float16)
    far = limits.distances(features, known, 1)
    assert far[-1] > 2 * far[:-1].max()
    middle = float(np.median([answer.probability for answer in plain]))  # type: ignore[type-var]
    unsure = Unsure(middle, "error", 0.05, 9, 0.5, 0.0, 0.4, False)
    card = replace(card, unsure=unsure, unlike=Unlike(float(far[-1]) / 2, 1, 0.05, 9, 9))
    shutil.copytree(made, here / "knowing")
    (here / "knowing/card.json").write_text(json.dumps(card.to_json()))
    with pytest.raises(HeadstartError, match=r"known\.safetensors cannot be read .* copy the model's folder again, whole"):
        predict.predict([Path("noise.png")], Path("knowing"))
    weights.write(here / "knowing/known.safetensors", {"known": known})
    found = list(predict.predict([*paths, Path("noise.png")], Path("knowing")))
    assert [answer.unlike for answer in found] == [False] * len(paths) + [True]
    assert [answer.unsure for answer in found] == [(answer.probability or 0) < middle for answer in plain]
    np.testing.assert_allclose([a.probability for a in found], [a.probability for a in plain], atol=1e-4)  # type: ignore[arg-type]
    for answer in found:
        assert answer.ranked[0][0] == answer.label
        assert sum(share for _, share in answer.ranked) == pytest.approx(1)
    again = library.load(here / "knowing")
    assert again.unlike([paths[0], "noise.png"]).tolist() == [False, True]
    assert again.unsure(paths).tolist() == [answer.unsure for answer in found[:-1]]
    again.save(here / "copy")
    assert sorted(path.name for path in (here / "copy").iterdir()) == sorted(cards.files(card))
    with pytest.raises(HeadstartError, match="does not know which images it was made from"):
        library.load(made).unlike(["noise.png"])
