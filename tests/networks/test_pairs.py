"""Two networks side by side answer with the average of their logits, and are built again from one file and a card."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headstart.machinery.errors import HeadstartError
from headstart.networks import model, pairing, skeletons
from headstart.networks.cards import Architecture, SourceCard, Transform
from headstart.networks.heads import Head


def network(seed: int, architecture: str = "resnet18") -> model.Network:
    torch.manual_seed(seed)
    trunk, classifier = skeletons.skeleton("torchvision", architecture)
    random = np.random.default_rng(seed)
    head = Head(random.normal(size=(3, 512)).astype(np.float32), random.normal(size=3).astype(np.float32))
    return model.Network(trunk, classifier, head, (0.5,) * 3, (0.5,) * 3)


def test_a_pair_averages_the_logits() -> None:
    one, other = network(1), network(2)
    values = [{key: value.numpy() for key, value in each.weights().items()} for each in (one, other)]
    card = SourceCard("pair", "wheel", "torchvision", "pair:resnet18", Transform(64, (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0), "0")
    both = pairing.weights(values[0], values[1], ("fc.weight", "fc.bias"), 0.25)
    made = model.rebuild(card, {key: torch.from_numpy(value) for key, value in both.items()})
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8))
    with torch.inference_mode():
        expected = 0.75 * one(images) + 0.25 * other(images)
        np.testing.assert_allclose(made(images), expected, rtol=1e-4, atol=1e-4)
    assert {key: tuple(value.shape) for key, value in made.weights().items()} == {key: value.shape for key, value in both.items()}
    assert made.stage_names() == ["trunk"]
    assert card.design == Architecture("torchvision", "pair:resnet18", False, card.transform)


@pytest.mark.parametrize("name", ["pair:no_such_network", "pair:pair:resnet18"])
def test_a_pair_of_what_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(HeadstartError, match=r"pair of pairs|no architecture 'no_such_network'"):
        skeletons.skeleton("torchvision", name)
