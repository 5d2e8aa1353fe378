"""What a network gives for images, and how good that is: logits, loss, accuracy, temperature."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import torch
from torch import nn

from headstart.base import devices
from headstart.base.cores import one_thread
from headstart.base.devices import CPU, Device
from headstart.machinery.errors import HeadstartError
from headstart.statistics import likelihood
from headstart.training import shards
from headstart.training.cpu.pointwise import Pointwise
from headstart.training.examples import Activations, Examples
from headstart.training.parallel import ALONE, Team

log = logging.getLogger(__name__)
LARGEST_PART = 256  # images that a card measures at a time


class Figures(TypedDict):
    """How good a network is on validation, as a curve and a summary say it: nats, 0-1."""

    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True)
class Measure:
    """Mean cross-entropy (nats) at the best temperature, accuracy (0-1), and which images are right.

    The temperature (Guo et al., ICML 2017) takes out how confident a network is overall, which label smoothing lowers and overfitting
    raises. Without it, the losses of networks trained in different ways would not tell how well they order the classes.
    """

    loss: float
    accuracy: float
    temperature: float
    right: np.ndarray = field(compare=False)  # (n,)

    def figures(self) -> Figures:
        """What a row of a curve says of it."""
        return {"validation_loss": self.loss, "validation_accuracy": self.accuracy}


@contextlib.contextmanager
def placed(tail: nn.Sequential, device: Device, team: Team = ALONE) -> Iterator[torch.device]:
    """Have the tail where this process computes; afterwards back on the CPU, with nothing to be trained."""
    place = torch.device(device.kind, team.card) if device.kind == "cuda" else torch.device("cpu")
    try:
        tail.to(place)
        yield place
    finally:
        tail.requires_grad_(False).to("cpu")


def measure(tail: nn.Sequential, examples: Examples, device: Device = CPU, team: Team = ALONE) -> Measure:
    """Loss, accuracy and temperature on the first view."""
    scores = logits(tail, examples.views[0], device, team).astype(np.float64)
    temperature = likelihood.temperature(scores, examples.labels)
    loss = float(-likelihood.of_labels(scores / temperature, examples.labels).mean())
    right = scores.argmax(1) == examples.labels
    return Measure(loss, float(right.mean()), temperature, right)


def logits(tail: nn.Sequential, rows: Activations, device: Device = CPU, team: Team = ALONE) -> np.ndarray:
    """Logits (n, classes) of all rows, computed on the device of the tail's weights."""
    head = tail.get_submodule("head")
    assert isinstance(head, nn.Linear)
    return outputs(tail, rows, head.out_features, device, team)


def outputs(tail: nn.Module, rows: Activations, width: int, device: Device = CPU, team: Team = ALONE) -> np.ndarray:
    """What a network gives (n, width) for all rows, in small batches, on the device of its weights."""
    place = next(tail.parameters()).device

    def shard(part: slice) -> torch.Tensor:
        one_thread()
        with torch.inference_mode(), devices.autocast(device, place.type), Pointwise():
            return tail(shards.tensor(rows[part], place)).float()

    out = np.zeros((len(rows), width), np.float32)
    for part, given in _computed(shard, place, len(rows), team):
        out[part] = given
    if team.size > 1:
        whole = torch.from_numpy(out).to(place)
        team.add([whole])
        out = whole.cpu().numpy()
    return out


def _computed(shard: Callable[[slice], torch.Tensor], place: torch.device, count: int, team: Team) -> Iterator[tuple[slice, np.ndarray]]:
    """The parts of `count` rows that fall to this process, and what `shard` gives for each.

    A card computes all before any of it is fetched. When its memory runs out, it begins again with parts of half the size.
    """
    size = shards.SHARD if place.type == "cpu" else LARGEST_PART
    while True:
        parts = shards.parts(count, size)[team.rank :: team.size]
        try:
            given = shards.each(place, shard, parts)
            yield from [(part, each.cpu().numpy()) for part, each in zip(parts, given if place.type == "cpu" else list(given), strict=True)]
            return
        except torch.OutOfMemoryError:
            if size == 1:
                raise HeadstartError(
                    "the memory of the GPU does not hold one image of the part that is measured; use device: cpu"
                ) from None
        size = -(-size // 2)
        torch.cuda.empty_cache()
        log.warning("the memory of the GPU ran out: measuring goes on in parts of %d images", size)
