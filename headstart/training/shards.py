"""Shards: even parts of a batch, of a bounded size, each worked on by one core.

On two cores that is several times as fast as one graph on two threads, and the result does not depend on the number of cores. On a GPU a
batch is one shard.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import torch

from headstart.base import devices
from headstart.base.cores import in_order
from headstart.base.devices import Device
from headstart.training.cpu.gradients import Gradients
from headstart.training.cpu.pointwise import Pointwise
from headstart.training.cpu.products import Products

Item = TypeVar("Item")
Result = TypeVar("Result")
SHARD = 16  # images that one core works on at a time, at most


def parts(n: int, size: int) -> list[slice]:
    """Slices of `n` images, of at most `size` and as even as possible.

    Cores wait for the largest, and a few images have poor statistics.
    """
    count = -(-n // size)
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def each(place: torch.device, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`function` of each shard, in order: on the CPU one core per shard, on a GPU one by one."""
    return in_order(function, items) if place.type == "cpu" else map(function, items)


def tensor(rows: np.ndarray | torch.Tensor, place: torch.device) -> torch.Tensor:
    """float32 on the device, pictures with their channels last: a step takes two thirds of the time."""
    found = (torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows).to(place, non_blocking=True).float()
    return found.contiguous(memory_format=torch.channels_last) if found.ndim == 4 else found


@contextlib.contextmanager
def arithmetic(device: Device, place: torch.device) -> Iterator[None]:
    """How a network and its gradients are computed in training."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(devices.autocast(device, place.type))
        if place.type == "cpu":
            stack.enter_context(Pointwise())
            stack.enter_context(Gradients())
        if device == devices.CPU_BFLOAT16:
            stack.enter_context(Products())
        yield
