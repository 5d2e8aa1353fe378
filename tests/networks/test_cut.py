"""headstart.stages: the chain is the network, cut by name, sharing its parameters."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from headstart.base import cores
from headstart.networks import cut, skeletons


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    cores.one_thread()  # on a busy machine two threads wait for each other far longer than these small networks take


FAMILIES = {
    ("timm", "tf_efficientnet_lite0"): (64, ["conv_stem", *(f"blocks.{i}" for i in range(7)), "conv_head"]),
    ("timm", "resnet18"): (64, ["conv1", "layer1", "layer2", "layer3", "layer4"]),
    ("timm", "vit_tiny_patch16_224"): (224, ["patch_embed", *(f"blocks.{i}" for i in range(12))]),
    ("timm", "convnext_atto"): (64, ["stem", "stages.0", "stages.1", "stages.2", "stages.3"]),
    ("timm", "mobilenetv3_small_050"): (64, ["conv_stem", *(f"blocks.{i}" for i in range(6)), "conv_head"]),
    ("torchvision", "resnet18"): (64, ["conv1", "layer1", "layer2", "layer3", "layer4"]),
    ("torchvision", "mobilenet_v3_small"): (64, [*(f"features.{i}" for i in range(13)), "classifier"]),
}


@pytest.mark.parametrize(("library", "architecture"), FAMILIES)
def test_the_chain_is_the_network(library: str, architecture: str) -> None:
    size, names = FAMILIES[library, architecture]
    torch.manual_seed(0)
    trunk, _ = skeletons.skeleton(library, architecture)
    _stir(trunk)
    chain = cut.chain(trunk)
    assert [cut.name(key) for key, _ in chain.named_children()] == names
    assert cut.verify(trunk, chain, size) == 0
    assert {id(p) for p in chain.parameters()} == {id(p) for p in trunk.parameters()}
    kept = {key: value for stage in chain.children() for key, value in stage.state_dict().items()}
    assert {key: value.data_ptr() for key, value in kept.items()} == {k: v.data_ptr() for k, v in trunk.state_dict().items()}


def _stir(trunk: nn.Module) -> None:
    """Give BatchNorm statistics that differ from layer to layer, and let no parameter be zero, so that a wrong order shows."""
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    for parameter in trunk.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.01)


def test_training_a_stage_trains_the_network() -> None:
    trunk, _ = skeletons.skeleton("timm", "resnet18")
    chain = cut.chain(trunk)
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    before = trunk(image).detach()
    for parameter in chain.get_submodule("layer3").parameters():
        parameter.data += 0.01
    assert not torch.equal(trunk(image), before)
    assert torch.equal(trunk(image), chain(image))


def test_a_skip_over_blocks_joins_them() -> None:
    class Skipping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)) for _ in range(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first = self.blocks[0](x)
            second = self.blocks[1](first)
            return self.blocks[3](self.blocks[2](second) + first)

    trunk = Skipping()
    chain = cut.chain(trunk)
    assert [cut.name(key) for key, _ in chain.named_children()] == ["blocks.0", "blocks.1", "blocks.3"]
    assert cut.verify(trunk, chain, 8) == 0


def test_a_network_that_cannot_be_traced_is_one_stage() -> None:
    class Moody(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) if x.sum() > 0 else x

    trunk = Moody()
    with pytest.warns(UserWarning, match="Moody cannot be cut into stages .*trained whole or not at all"):
        chain = cut.chain(trunk)
    assert [cut.name(key) for key, _ in chain.named_children()] == ["trunk"]
    assert cut.verify(trunk, chain, 8) == 0
    assert {id(p) for p in chain.parameters()} == {id(p) for p in trunk.parameters()}


def test_a_trunk_in_training_mode_is_cut_as_for_evaluation() -> None:
    trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chain = cut.chain(trunk)
    assert not any(module.training for module in chain.modules())
    assert cut.verify(trunk, chain, 8) == 0
