"""What a step of training does to the weights: AdamW (Loshchilov & Hutter, ICLR 2019) at rates that rise and fall once, on gradients of bounded size.

A core each takes a part of the weights. What becomes of a weight does not depend on the parts, nor on how many cores there are: each tensor's gradients are added
and measured by one thread, and AdamW treats every number alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from headstart.cores import in_order, one_thread

Result = TypeVar("Result")
WARM_UP = 0.25  # share of the steps in which the rate rises
LARGEST_GRADIENT = 1.0  # norm: without the statistics of the batch, one bad step can throw a network far off


class Updates:
    """The steps that change the weights of `groups`, which are AdamW's: params, their highest rate (lr) and weight_decay.

    The rates are those of one cycle of `steps` steps, of which `done` were done before. `parts` are updated at a time.
    """

    def __init__(self, groups: list[dict[str, Any]], steps: int, done: int = 0, parts: int = 1) -> None:
        self.weights: list[nn.Parameter] = [weight for group in groups for weight in group["params"]]
        self.parts = evenly([weight.numel() for weight in self.weights], parts)
        each = [{**group, "params": [weight]} for group in groups for weight in group["params"]]
        self.optimizers = [torch.optim.AdamW(_joined(each[part]), fused=True) for part in self.parts]
        self.number, self.steps = done, steps
        self._set_rates()

    @property
    def rate(self) -> float:
        """The highest rate of the next step."""
        return max(group["lr"] for group in self._groups())

    def added(self, gradients: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
        """The sum of one or more gradients of all weights, in order, each weight's in its layout.

        The fused optimizer takes that layout for granted; gradients of 3x3 convolutions come channels last.
        """
        return [total for part in self._on_cores(lambda number: self._sums(gradients, number)) for total in part]

    def _sums(self, gradients: Sequence[Sequence[torch.Tensor]], number: int) -> list[torch.Tensor]:
        part = self.parts[number]
        return [_sum(values, weight) for *values, weight in zip(*(each[part] for each in gradients), self.weights[part], strict=True)]

    def step(self, gradients: Sequence[torch.Tensor], norm: torch.Tensor) -> None:
        """Move the weights against their gradients, of which `norm` is the norm; they are changed in place."""
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient

        def move(number: int) -> None:
            nn.utils.clip_grads_with_norm_(self.weights[self.parts[number]], LARGEST_GRADIENT, norm)
            self.optimizers[number].step()

        self._on_cores(move)

    def advance(self) -> None:
        """Go on to the rates of the next step."""
        self.number += 1
        self._set_rates()

    def _set_rates(self) -> None:
        share = one_cycle(self.number, self.steps)
        for group in self._groups():
            group["lr"] = group["initial_lr"] * share

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def state(self) -> dict[str, torch.Tensor]:
        """AdamW's moments, by the number of the weight and their name."""
        return {f"{number}.{name}": value for number, moments in enumerate(self._moments()) for name, value in moments.items()}

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave."""
        for number, (weight, moments) in enumerate(zip(self.weights, self._moments(), strict=True)):
            for name in ("step", "exp_avg", "exp_avg_sq"):
                if (array := state.get(f"{number}.{name}")) is not None:
                    moments[name] = torch.from_numpy(array).to(weight.device) if name == "step" else like(weight, array)

    def _moments(self) -> list[dict[str, torch.Tensor]]:
        """AdamW's moments of each weight, none before the first step."""
        parts = zip(self.optimizers, self.parts, strict=True)
        return [optimizer.state[weight] for optimizer, part in parts for weight in self.weights[part]]

    def _on_cores(self, work: Callable[[int], Result]) -> list[Result]:
        """What `work` gives for the number of each part, a core each."""
        if len(self.parts) == 1:
            return [work(0)]

        def alone(number: int) -> Result:
            one_thread()
            return work(number)

        return list(in_order(alone, range(len(self.parts))))


def evenly(sizes: Sequence[int], parts: int) -> list[slice]:
    """Slices of a list, at most `parts` and none empty, whose sums of `sizes` are as even as its order allows."""
    ends = np.cumsum([0, *sizes])
    cuts = sorted({0, len(sizes), *(int(np.abs(ends - ends[-1] * part / parts).argmin()) for part in range(1, parts))})
    return [slice(*cut) for cut in pairwise(cuts)]


def one_cycle(step: int, steps: int) -> float:
    """Share of the highest rate at a step of `steps`: up in a line, then down to nothing along a cosine."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def like(tensor: torch.Tensor, array: np.ndarray) -> torch.Tensor:
    """An array as a tensor, where another one of its shape is and in the same layout."""
    return torch.empty_like(tensor, requires_grad=False).copy_(torch.from_numpy(array))


def _sum(gradients: Sequence[torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
    total = torch.empty_like(weight, requires_grad=False)
    if len(gradients) == 1:
        return total.copy_(gradients[0])
    torch.add(gradients[0], gradients[1], out=total)
    for more in gradients[2:]:
        total.add_(more)
    return total


def _joined(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups in a row that differ in their weights alone, as one."""
    rows = groupby(groups, key=lambda group: (group["lr"], group["weight_decay"]))
    return [
        {"params": [weight for group in row for weight in group["params"]], "lr": rate, "initial_lr": rate, "weight_decay": decay}
        for (rate, decay), row in rows
    ]
