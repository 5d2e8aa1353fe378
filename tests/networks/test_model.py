"""headstart.model: one network, saved under the library's names, the same when it is read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.base import cores
from headstart.machinery.errors import HeadstartError
from headstart.networks import model, skeletons, sources, state_dicts
from tests import tiny


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    cores.one_thread()


def network(tmp_path: Path, architecture: str = "test_resnet") -> model.Network:
    source = sources.load(tiny.checkpoint(tmp_path / architecture, architecture))
    return model.of(source, tiny.head(source.features))


def batch(size: int = 160) -> torch.Tensor:
    return torch.from_numpy(np.stack([tiny.array(size, seed) for seed in range(3)]))


def logits(module: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return module(images)


def saved(folder: Path, made: model.Network, architecture: str = "test_resnet") -> Path:
    folder.mkdir()
    model.save(folder / "model.safetensors", made)
    transform = {"input_size": 160, "mean": tiny.MEAN, "std": tiny.STD, "interpolation": "bilinear", "crop": 0.9}
    known = {"library": "timm", "architecture": architecture, "weights_sha256": "0" * 64, "classes": ["ant", "bee", "cat"]}
    (folder / "card.json").write_text(json.dumps({**known, "transform": transform}))
    return folder


ARCHITECTURES = ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_read_back_gives_the_same_logits(architecture: str, tmp_path: Path) -> None:
    made = network(tmp_path, architecture)
    read, card = model.load(saved(tmp_path / "model", made, architecture))
    assert card.architecture == architecture
    assert torch.equal(logits(read, batch()), logits(made, batch()))
    assert read.stage_names() == made.stage_names()
    assert not any(module.training for module in read.modules())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_weights_load_into_the_plain_network_of_the_library(architecture: str, tmp_path: Path) -> None:
    import timm

    made = network(tmp_path, architecture)
    plain: nn.Module = timm.create_model(architecture, num_classes=3).eval()
    plain.load_state_dict(state_dicts.read(saved(tmp_path / "model", made, architecture) / "model.safetensors"), strict=True)
    normalised = model.Normalise(tiny.MEAN, tiny.STD)(batch())
    torch.testing.assert_close(logits(plain, normalised), logits(made, batch()), rtol=1e-5, atol=1e-5)
    assert logits(plain, normalised).std() > 0.01


def test_weights_of_torchvision_load_into_its_plain_network() -> None:
    import torchvision

    torch.manual_seed(0)
    trunk, classifier = skeletons.skeleton("torchvision", "mobilenet_v3_small")
    made = model.Network(trunk, classifier, tiny.head(1024), tiny.MEAN, tiny.STD)
    plain = torchvision.models.mobilenet_v3_small(num_classes=3).eval()
    plain.load_state_dict(made.weights(), strict=True)
    normalised = model.Normalise(tiny.MEAN, tiny.STD)(batch(64))
    torch.testing.assert_close(logits(plain, normalised), logits(made, batch(64)), rtol=1e-5, atol=1e-5)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    made = network(tmp_path)
    first = (saved(tmp_path / "a", made) / "model.safetensors").read_bytes()
    again, _ = model.load(tmp_path / "a")
    assert (saved(tmp_path / "b", again) / "model.safetensors").read_bytes() == first


def test_only_the_weights_of_the_library_are_saved() -> None:
    class Masked(nn.Module):
        """As swin has them: a plain tensor and a buffer that is not part of the state, both used in the forward pass."""

        step: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.layer = tiny.trunk()
            self.mask = torch.ones(1, 16) * 2
            self.register_buffer("step", torch.ones(1, 16) * 3, persistent=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) * self.mask + self.step

    trunk = Masked().eval()
    made = model.Network(trunk, "fc", tiny.head(16), tiny.MEAN, tiny.STD)
    assert set(made.weights()) == {*trunk.state_dict(), "fc.weight", "fc.bias"}
    features = trunk(model.Normalise(tiny.MEAN, tiny.STD)(batch(32)))
    torch.testing.assert_close(logits(made, batch(32)), made.head(features))


def test_the_trunk_is_shared_and_the_head_is_its_own(tmp_path: Path) -> None:
    source = sources.load(tiny.checkpoint(tmp_path / "a"))
    head = tiny.head(source.features)
    before = head.weight.copy()
    made = model.of(source, head)
    made.head.weight.data.zero_()
    assert np.array_equal(head.weight, before)
    assert {id(p) for p in made.stages.parameters()} == {id(p) for p in source.trunk.parameters()}


@pytest.mark.parametrize(
    ("trained", "count"), [({"head"}, 5), ({"head", "layer4"}, 4), ({"head", "layer4", "layer2"}, 2), ({"conv1", "head"}, 0)]
)
def test_below_and_tail_are_the_network_cut_in_two(trained: set[str], count: int, tmp_path: Path) -> None:
    made = network(tmp_path)
    below, cut = made.below(trained)
    assert cut == count
    tail = made.tail(cut)
    assert [name for name, _ in tail.named_children()] == [*("conv1", "layer1", "layer2", "layer3", "layer4")[count:], "head"]
    assert torch.equal(logits(tail, logits(below, batch(64))), logits(made, batch(64)))


def other_card(architecture: str) -> Any:
    def change(folder: Path) -> None:
        card = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps({**card, "architecture": architecture}))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "card.json").unlink(), r"card\.json is missing: no model has been made yet"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"no model|missing"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"garbage"), "holds no readable model"),
        (lambda folder: (folder / "card.json").write_text("{"), "holds no readable model"),
        (other_card("test_vit"), "do not fit"),
        (other_card("resnet18"), "do not fit"),
        (other_card("no_such_network"), "timm has no architecture 'no_such_network'"),
        (other_card("hf-hub:timm/resnet18.a1_in1k"), "timm has no architecture 'hf-hub:timm/resnet18.a1_in1k'"),
        (other_card("local-dir:/tmp"), "timm has no architecture 'local-dir:/tmp'"),
    ],
)
def test_a_broken_model_says_what_is_wrong(change: Any, message: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", network(tmp_path))
    change(folder)
    with pytest.raises(HeadstartError, match=message):
        model.load(folder)


def test_a_trunk_takes_the_bytes_of_an_image_to_features(tmp_path: Path) -> None:
    source = sources.load(tiny.checkpoint(tmp_path / "a"))
    normalised = model.Normalise(tiny.MEAN, tiny.STD)(batch(64))
    assert torch.equal(logits(model.trunk(source), batch(64)), logits(source.trunk, normalised))
