"""BatchNorm with the statistics of the batch, as training from random weights needs it.

Replicas of the network gather them, one per shard, and they are averaged after each step. The network itself stays in eval mode
throughout. A replica shares its weights, and has BatchNorms in train mode with buffers of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Collection

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from headstart.networks import cut

MOMENTUM = 0.1  # of running statistics that a phase gathers; some networks come with 0.01, at which a short training learns none


class Gathering:
    """The running statistics of stages of a tail in training; of no stages it gathers nothing.

    `stages` are names as cut.name gives them.
    """

    def __init__(self, tail: nn.Sequential, stages: Collection[str]) -> None:
        self._tail, self._stages = tail, stages
        self._replicas: list[nn.Sequential] = []

    def tails(self, parts: list[slice]) -> list[nn.Sequential]:
        """The network for each shard: the tail, or replicas of it as it is now that gather statistics."""
        if not self._stages:
            return [self._tail] * len(parts)
        while len(self._replicas) < len(parts):
            self._replicas.append(_replica(self._tail, self._stages))
        replicas = self._replicas[: len(parts)]
        for replica in replicas:
            for own, value in zip(_running(replica, self._stages), _running(self._tail, self._stages), strict=True):
                own.copy_(value)
        # One image alone has no statistics (over 1x1 maps PyTorch refuses): it is normalised with the running ones.
        return [replica if part.stop - part.start > 1 else self._tail for replica, part in zip(replicas, parts, strict=True)]

    def summand(self, tails: list[nn.Sequential], parts: list[slice], n: int) -> list[torch.Tensor]:
        """This process's summand of the running statistics after a batch of `n` images.

        It is the mean over its shards, weighted by their images.
        """
        shards = [
            [value * ((part.stop - part.start) / n) for value in _running(tail, self._stages)]
            for tail, part in zip(tails, parts, strict=True)
        ]
        return [sum(values[1:], values[0]) for values in zip(*shards, strict=True)] or [
            torch.zeros_like(value) for value in _running(self._tail, self._stages)
        ]

    def keep(self, statistics: list[torch.Tensor], overflow: torch.Tensor | None = None) -> None:
        """Take over the running statistics of a batch, but for one whose `overflow` is 1."""
        for own, value in zip(_running(self._tail, self._stages), statistics, strict=True):
            own.copy_(value if overflow is None else torch.where(overflow > 0, own, value))
        for layer in layers(self._tail, self._stages):
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked.add_(1)


def layers(tail: nn.Sequential, stages: Collection[str]) -> list[_BatchNorm]:
    """The BatchNorms of these stages that keep running statistics."""
    found = (layer for key, stage in tail.named_children() if cut.name(key) in stages for layer in stage.modules())
    return [layer for layer in found if isinstance(layer, _BatchNorm) and layer.running_mean is not None]


def _running(tail: nn.Sequential, stages: Collection[str]) -> list[torch.Tensor]:
    """The running means and variances of these stages."""
    return [value for layer in layers(tail, stages) for value in (layer.running_mean, layer.running_var) if value is not None]


def _replica(tail: nn.Sequential, stages: Collection[str]) -> nn.Sequential:
    """The tail once more, with the same parameters and buffers of its own.

    In these stages BatchNorms are in train mode, and nothing else is.
    """
    replica = copy.deepcopy(tail, {id(parameter): parameter for parameter in tail.parameters()})
    for layer in layers(replica, stages):
        layer.training, layer.momentum = True, MOMENTUM
    return replica
