"""A batch of images: what each process reads of it, and its gradients, shard by shard."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from headstart.base.cores import ahead, one_thread
from headstart.features import streamed
from headstart.features.streamed import Streamed
from headstart.machinery.errors import HeadstartError
from headstart.training import shards
from headstart.training.examples import in_views
from headstart.training.freezing import Unfrozen
from headstart.training.parallel import Team
from headstart.training.regularisers import REGULARISERS
from headstart.training.run import Run, State
from headstart.training.updates import added

log = logging.getLogger(__name__)


class Sums(NamedTuple):
    """Sums over this process's part of a batch; those of all processes, added, are the batch's."""

    gradients: list[torch.Tensor]  # of each weight, times the scale of the loss
    statistics: list[torch.Tensor]  # running ones of BatchNorms, if they are gathered
    loss: torch.Tensor
    right: torch.Tensor  # answers


class Batch(NamedTuple):
    """The labels of a batch of images, and the activations of this process's part of it."""

    rows: torch.Tensor
    labels: torch.Tensor


def read(run: Run, order: np.ndarray, epoch: int) -> Iterator[Batch]:
    """The batches of images in this order (n,).

    They are read while the batch before is worked on. Each image is seen in one of its views, and in the next one in the next epoch.
    """

    def one(chosen: np.ndarray) -> Batch:
        mine = chosen[_mine(len(chosen), run.team)]
        rows = _rows(run, mine, (mine + epoch) % len(run.train.views))
        batch = Batch(rows, torch.from_numpy(run.train.labels[chosen]))
        return batch if run.place.type == "cpu" else Batch(*(each if each.is_cuda else each.pin_memory() for each in batch))

    return ahead(map(one, (order[part] for part in shards.parts(len(order), run.recipe.batch_size))), 2)


def _rows(run: Run, images: np.ndarray, which: np.ndarray) -> torch.Tensor:
    """Activations of `images` (m,), each in the view that `which` (m,) names; those that a card computes stay there."""
    views = [view for view in run.train.views if isinstance(view, Streamed)]
    if views and views[0].frozen.engine.there is not None:
        return streamed.there(views, images, which, run.place)
    return torch.from_numpy(in_views(run.train.views, images, which))


def gradients(run: Run, state: State, unfrozen: Unfrozen, rows: torch.Tensor, labels: torch.Tensor) -> Sums:
    """Sums over this process's part of a batch; `labels` (n,) are those of all of it, and `rows` the activations of the part.

    When memory runs out, shards are halved. Raises HeadstartError if the memory does not hold one image.
    """
    while True:
        try:
            return _in_shards(run, state, unfrozen, rows, labels.to(run.place))
        except torch.OutOfMemoryError:
            if state.shard == 1:
                raise HeadstartError(
                    "the memory of the GPU does not hold one image of the part that is trained; lower fine_tune.depth, or use device: cpu"
                ) from None
        state.shard = -(-state.shard // 2)
        torch.cuda.empty_cache()
        log.warning("the memory of the GPU ran out: batches of %d go on in parts of %d", run.recipe.batch_size, state.shard)


def _in_shards(run: Run, state: State, unfrozen: Unfrozen, rows: torch.Tensor, labels: torch.Tensor) -> Sums:
    recipe, place, weights = run.recipe, run.place, unfrozen.updates.weights
    mine = labels[_mine(len(labels), run.team)]
    parts = shards.parts(len(mine), state.shard)
    tails = unfrozen.gathering.tails(parts)
    scale: torch.Tensor | float = unfrozen.scale.factor if unfrozen.scale else 1.0
    share = scale / run.class_weights[labels].sum()
    strength = recipe.strength * scale / len(labels)  # of an image's share in the penalty

    def shard(number: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        one_thread()
        own, tail = mine[parts[number]], tails[number]
        with shards.arithmetic(run.device, place):
            features = tail[:-1](shards.tensor(rows[parts[number]], place))
            outputs = tail[-1](features).float()
        loss = functional.cross_entropy(outputs, own, run.class_weights, label_smoothing=recipe.label_smoothing, reduction="sum")
        penalty = REGULARISERS[recipe.regulariser](features, unfrozen.weights, unfrozen.source) * strength * len(own)
        found = torch.autograd.grad(loss * share + penalty, weights, allow_unused=True, materialize_grads=True)
        return list(found), loss.detach() * share / scale, (outputs.argmax(1) == own).sum()

    done = list(shards.each(place, shard, range(len(parts))))
    statistics = unfrozen.gathering.summand(tails, parts, len(labels))
    if not done:  # a last batch smaller than the team
        nothing = torch.zeros((), device=place)
        return Sums([torch.zeros_like(weight) for weight in weights], statistics, nothing, nothing)
    total = added([each[0] for each in done], weights)
    loss, right = (sum(values[1:], values[0]) for values in list(zip(*done, strict=True))[1:])
    return Sums(total, statistics, loss, right.float())


def _mine(count: int, team: Team) -> slice:
    """The part of a batch of `count` images that falls to this process."""
    part = np.array_split(np.arange(count), team.size)[team.rank]
    return slice(int(part[0]), int(part[-1]) + 1) if len(part) else slice(0, 0)
