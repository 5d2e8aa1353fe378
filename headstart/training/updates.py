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
from torch.optim.adamw import adamw

WARM_UP = 0.25  # share of the steps in which the rate rises
BETAS, EPSILON = (0.9, 0.999), 1e-8  # as PyTorch has them
MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # of a weight, by PyTorch's names
LARGEST_GRADIENT = 1.0  # norm: without the statistics of the batch, one bad step can throw a network far off


class Group(TypedDict):
    """Weights with one rate, as AdamW takes them."""

    params: list[nn.Parameter]
    lr: float  # the highest
    weight_decay: float


class Updates:
    """The steps that change the weights of `groups`.

    The rates are those of one cycle of `steps` steps, of which `done` were done before. The arithmetic is PyTorch's: its function, as an
    object of its optimizer imports the compiler, which takes longer than a short training.
    """

    def __init__(self, groups: Sequence[Group], steps: int, done: int = 0, place: torch.device | None = None) -> None:
        self.groups = groups
        # If steps are captured on a device (graphs.py), the rates lie there, so that each takes those of its turn.
        self._there = [] if place is None else [torch.zeros((), device=place) for _ in groups]
        self.weights: list[nn.Parameter] = [weight for group in groups for weight in group["params"]]
        self.number, self.steps = done, steps
        self._moments: list[dict[str, torch.Tensor]] = []  # of each weight, from the first step on

    @property
    def rate(self) -> float:
        """The highest rate of the next step."""
        return max(self._rate(group) for group in self.groups)

    def _rate(self, group: Group) -> float:
        return group["lr"] * one_cycle(self.number, self.steps)

    def prepare(self) -> None:
        """Have the rates of the next step where it takes them from."""
        for there, group in zip(self._there, self.groups, strict=False):
            there.fill_(self._rate(group))

    def step(self, gradients: Sequence[torch.Tensor], norm: torch.Tensor, overflow: torch.Tensor | None = None) -> None:
        """Move the weights against their gradients of this norm; too long ones are shortened in place.

        Nothing moves where `overflow`, a number on the device of the weights, is 1.
        """
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
        nn.utils.clip_grads_with_norm_(self.weights, LARGEST_GRADIENT, norm)
        self._moments = self._moments or [_nothing(weight) for weight in self.weights]
        done = 0
        for number, group in enumerate(self.groups):
            part = slice(done, done + len(group["params"]))
            done = part.stop
            first, second, steps = ([each[name] for each in self._moments[part]] for name in MOMENTS)
            with torch.no_grad():
                adamw(
                    list(group["params"]),
                    list(gradients[part]),
                    first,
                    second,
                    [],
                    steps,
                    fused=True,
                    amsgrad=False,
                    beta1=BETAS[0],
                    beta2=BETAS[1],
                    lr=self._there[number] if self._there else self._rate(group),
                    found_inf=overflow,
                    weight_decay=group["weight_decay"],
                    eps=EPSILON,
                    maximize=False,
                )

    def advance(self) -> None:
        """Go on to the rates of the next step."""
        self.number += 1

    def state(self) -> dict[str, torch.Tensor]:
        """AdamW's moments, by the number of the weight and their name."""
        return {f"{number}.{name}": value for number, each in enumerate(self._moments) for name, value in each.items()}

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave; the rates are those of this object."""
        self._moments = []
        for number, weight in enumerate(self.weights if state else []):
            saved = {name: state[f"{number}.{name}"] for name in MOMENTS}
            self._moments.append(
                {
                    name: like(weight, array) if array.shape == weight.shape else torch.from_numpy(array).to(weight.device)
                    for name, array in saved.items()
                }
            )


def _nothing(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """The moments of a weight before the first step."""
    first, second = (torch.zeros_like(weight, memory_format=torch.preserve_format, requires_grad=False) for _ in range(2))
    return dict(zip(MOMENTS, (first, second, torch.zeros((), dtype=torch.float32, device=weight.device)), strict=True))


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
