"""headstart.exporting: the form of a model hub, which timm loads, and a program of torch.export; both give the answers of the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from flows.results import export
from headstart.base import weights
from headstart.data import manifest
from headstart.exporting import agreement, told
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.networks import cards, pairing, skeletons
from tests import tiny, toy
from tests.exporting.test_onnx_folder import CLASSES, made


@pytest.fixture
def final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder in a project with the images that it was made from."""
    monkeypatch.chdir(tmp_path)
    table = tiny.table(Path("data/images"), per_class=8, size=64)
    manifest.write(table, Path("data/clean.parquet"))
    return made(tmp_path, data_sha256=manifest.split_hash(table), metrics={"accuracy": 0.75, "interval": {"accuracy": [0.6, 0.9]}})


def test_timm_loads_the_hub_s_form_with_classes_and_transform(final: Path) -> None:
    done, lines = export.write("hf", final, Path("hub"))
    assert sorted(path.name for path in Path("hub").iterdir()) == ["README.md", "config.json", "export.json", "model.safetensors"]
    assert "model_args" not in json.loads(Path("hub/config.json").read_text()), "transformers gives these itself"
    network = timm.create_model("local-dir:hub", pretrained=True).eval()
    assert network.pretrained_cfg["label_names"] == list(CLASSES)
    data = timm.data.resolve_model_data_config(network)
    card = cards.read_model(final)[1]
    assert (tuple(data["input_size"]), data["crop_pct"]) == ((3, card.transform.input_size, card.transform.input_size), card.transform.crop)
    assert (tuple(data["mean"]), tuple(data["std"]), data["interpolation"]) == (tiny.MEAN, tiny.STD, card.transform.interpolation)
    toy.photo(1, 2, size=(90, 70)).save("a.png")
    look = timm.data.create_transform(**data)
    with torch.inference_mode():
        theirs = network(look(toy.photo(1, 2, size=(90, 70)))[None])[0].softmax(0).numpy()
    np.testing.assert_allclose(theirs, agreement.reference(final, [Path("a.png")])[0], atol=0.02)
    count = int((manifest.read(Path("data/clean.parquet"))["split"] == "validation").sum())
    for one in (done["validation"], done["prepared"]):
        assert one is not None
        assert one["images"] == one["same_class"] == count
    assert done["drawn"]["largest_difference"] < 1e-5
    assert "prepared by timm itself" in lines[-1]
    page = Path("hub/README.md").read_text()
    assert page.startswith("---\npipeline_tag: image-classification\n")
    assert "| accuracy | 0.750 |" in page
    assert "between 60.0% and 90.0%" in page


def test_a_pair_has_a_folder_for_each_network_and_their_mean_is_its_answer(final: Path) -> None:
    arrays, card = cards.read_model(final)
    classifier = skeletons.skeleton("timm", card.architecture)[1]
    other = {key: 0.5 * value if key == f"{classifier}.bias" else value for key, value in arrays.items()}
    other[f"{classifier}.weight"] = -3 * arrays[f"{classifier}.weight"] + 0.1
    weights.write(final / cards.WEIGHTS, pairing.weights(arrays, other, (f"{classifier}.weight", f"{classifier}.bias"), 0.5))
    content = json.loads((final / cards.CARD).read_text())
    (final / cards.CARD).write_text(json.dumps({**content, "architecture": f"{pairing.PREFIX}{card.architecture}"}))
    done, _ = export.write("hf", final, Path("hub"))
    assert done["drawn"]["largest_difference"] < 1e-5
    assert done["validation"] is not None
    assert sorted(path.name for path in Path("hub").iterdir()) == ["README.md", "export.json", "first", "second"]
    networks = [timm.create_model(f"local-dir:hub/{name}", pretrained=True).eval() for name in ("first", "second")]
    toy.photo(1, 2, size=(90, 70)).save("a.png")
    look = timm.data.create_transform(**timm.data.resolve_model_data_config(networks[0]))
    with torch.inference_mode():
        each = [network(look(toy.photo(1, 2, size=(90, 70)))[None])[0] for network in networks]
    theirs = torch.stack(each).mean(0).softmax(0).numpy()
    np.testing.assert_allclose(theirs, agreement.reference(final, [Path("a.png")])[0], atol=0.02)
    page = Path("hub/README.md").read_text()
    assert f"Two networks side by side, {card.architecture} that tell 3 classes apart" in page
    assert 'for name in ("first", "second")' in page


def test_a_program_needs_pytorch_alone_and_takes_any_number_of_pictures(final: Path) -> None:
    done, _ = export.write("torch", final, Path("program"))
    assert done["validation"] is not None
    assert done["validation"]["largest_difference"] < 1e-5
    facts = {"facts.json": ""}
    model = torch.export.load("program/model.pt2", extra_files=facts).module()
    assert json.loads(facts["facts.json"])["classes"] == list(CLASSES)
    size = cards.read_model(final)[1].transform.input_size
    pictures = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    one, five = model(pictures), model(torch.cat([pictures] * 5))
    assert five.shape == (5, len(CLASSES))
    torch.testing.assert_close(one.sum(1), torch.ones(1))
    torch.testing.assert_close(five[4], one[0])
    assert "(n, 64, 64, 3)" in Path("program/README.md").read_text()


@pytest.mark.parametrize("kind", ["hf", "torch"])
def test_other_answers_are_refused_and_what_was_there_stays(final: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    export.write(kind, final, Path("out"))
    before = Path("out/README.md").read_bytes()
    monkeypatch.setattr(told, "TOLERANCE", -1.0)
    with pytest.raises(HeadstartError, match="gives other answers than PyTorch"):
        export.write(kind, final, Path("out"))
    assert Path("out/README.md").read_bytes() == before
    with pytest.raises(ParamsError, match=f"--int8 is for `headstart export onnx`, not for {kind}"):
        export.write(kind, final, Path("out"), int8=True)


def test_a_network_of_another_library_is_no_hub_s(final: Path) -> None:
    card = json.loads((final / "card.json").read_text())
    (final / "card.json").write_text(json.dumps({**card, "library": "torchvision", "architecture": "resnet18"}))
    with pytest.raises(HeadstartError, match="timm and transformers do not have torchvision's resnet18; `headstart export onnx`"):
        export.write("hf", final, Path("out"))
    assert not Path("out").exists()
