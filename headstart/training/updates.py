"""What a step of training does to the weights: AdamW, at rates that rise and fall once.

AdamW: Loshchilov & Hutter, ICLR 2019. The gradients it gets are of bounded size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import nn

WARM_UP = 0.25  # share of the steps in which the rate rises
LARGEST_GRADIENT = 1.0  # norm: without the statistics of the batch, one bad step can throw a network far off


class Group(TypedDict):
    """Weights with one rate, as AdamW takes them."""

    params: list[nn.Parameter]
    lr: float  # the highest
    weight_decay: float


class Updates:
    """The steps that change the weights of `groups`.

    The rates are those of one cycle of `steps` steps, of which `done` were done before.
    """

    def __init__(self, groups: Sequence[Group], steps: int, done: int = 0) -> None:
        self.weights: list[nn.Parameter] = [weight for group in groups for weight in group["params"]]
        self.optimizer = torch.optim.AdamW(({**group, "initial_lr": group["lr"]} for group in groups), fused=True)
        self.number, self.steps = done, steps
        self._set_rates()

    @property
    def rate(self) -> float:
        """The highest rate of the next step."""
        return max(group["lr"] for group in self.optimizer.param_groups)

    def step(self, gradients: Sequence[torch.Tensor], norm: torch.Tensor) -> None:
        """Move the weights against their gradients of this norm; too long ones are shortened in place."""
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
        nn.utils.clip_grads_with_norm_(self.weights, LARGEST_GRADIENT, norm)
        self.optimizer.step()

    def advance(self) -> None:
        """Go on to the rates of the next step."""
        self.number += 1
        self._set_rates()

    def _set_rates(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * one_cycle(self.number, self.steps)

    def state(self) -> dict[str, torch.Tensor]:
        """AdamW's moments, by the number of the weight and their name."""
        moments = self.optimizer.state_dict()["state"].items()
        return {f"{number}.{name}": value for number, each in moments for name, value in each.items()}

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave; the rates are those of this object."""
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, array in state.items():
            number, _, name = key.partition(".")
            weight = self.weights[int(number)]
            moments.setdefault(int(number), {})[name] = like(weight, array) if array.shape == weight.shape else torch.from_numpy(array)
        self.optimizer.load_state_dict({"state": moments, "param_groups": self.optimizer.state_dict()["param_groups"]})


def added(gradients: Sequence[Sequence[torch.Tensor]], weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The sum of one or more gradients of all weights, in order, each in the layout of its weight.

    The fused optimizer takes that layout for granted; gradients of 3x3 convolutions come channels last.
    """
    return [_sum(values, weight) for values, weight in zip(zip(*gradients, strict=True), weights, strict=True)]


def _sum(gradients: Sequence[torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
    total = torch.empty_like(weight, requires_grad=False)
    if len(gradients) == 1:
        return total.copy_(gradients[0])
    torch.add(gradients[0], gradients[1], out=total)
    for more in gradients[2:]:
        total.add_(more)
    return total


def one_cycle(step: int, steps: int) -> float:
    """Share of the highest rate at a step of `steps`: up in a line, then down to nothing along a cosine."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def like(tensor: torch.Tensor, array: np.ndarray) -> torch.Tensor:
    """An array as a tensor, on the device and in the layout of another tensor of its shape."""
    return torch.empty_like(tensor, requires_grad=False).copy_(torch.from_numpy(array))
