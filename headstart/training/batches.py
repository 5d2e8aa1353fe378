"""A batch of images: what each process reads of it, and its gradients, shard by shard."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from headstart.base.cores import ahead, one_thread
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
    loss: float
    right: float  # answers


def read(run: Run, order: np.ndarray, epoch: int) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """The batches of images in this order (n,), and the activations of this process's part.

    They are read while the batch before is worked on. Each image is seen in one of its views, and in the next one in the next epoch.
    """

    def one(chosen: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        mine = _mine(chosen, run.team)
        rows = torch.from_numpy(in_views(run.train.views, mine, (mine + epoch) % len(run.train.views)))
        return chosen, rows if run.place.type == "cpu" else rows.pin_memory()

    return ahead(map(one, (order[part] for part in shards.parts(len(order), run.recipe.batch_size))), 2)


def gradients(run: Run, state: State, unfrozen: Unfrozen, chosen: np.ndarray, rows: torch.Tensor) -> Sums:
    """Sums over this process's part of the batch `chosen`; `rows` are its activations.

    When memory runs out, shards are halved. Raises HeadstartError if the memory does not hold one image.
    """
    while True:
        try:
            return _in_shards(run, state, unfrozen, chosen, rows)
        except torch.OutOfMemoryError:
            if state.shard == 1:
                raise HeadstartError(
                    "the memory of the GPU does not hold one image of the part that is trained; lower fine_tune.depth, or use device: cpu"
                ) from None
        state.shard = -(-state.shard // 2)
        torch.cuda.empty_cache()
        log.warning("the memory of the GPU ran out: batches of %d go on in parts of %d", run.recipe.batch_size, state.shard)


def _in_shards(run: Run, state: State, unfrozen: Unfrozen, chosen: np.ndarray, rows: torch.Tensor) -> Sums:
    recipe, place, weights = run.recipe, run.place, unfrozen.updates.weights
    mine = _mine(chosen, run.team)
    parts = shards.parts(len(mine), state.shard)
    tails = unfrozen.gathering.tails(parts)
    share = state.scale / run.class_weights[torch.from_numpy(run.train.labels[chosen]).to(place)].sum()
    strength = recipe.strength * state.scale / len(chosen)  # of an image's share in the penalty

    def shard(number: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        one_thread()
        part, tail = mine[parts[number]], tails[number]
        labels = torch.from_numpy(run.train.labels[part]).to(place)
        with shards.arithmetic(run.device, place):
            features = tail[:-1](shards.tensor(rows[parts[number]], place))
            outputs = tail[-1](features).float()
        loss = functional.cross_entropy(outputs, labels, run.class_weights, label_smoothing=recipe.label_smoothing, reduction="sum")
        penalty = REGULARISERS[recipe.regulariser](features, unfrozen.weights, unfrozen.source) * strength * len(part)
        found = torch.autograd.grad(loss * share + penalty, weights, allow_unused=True, materialize_grads=True)
        return list(found), loss.detach() * share / state.scale, (outputs.argmax(1) == labels).sum()

    done = list(shards.each(place, shard, range(len(parts))))
    statistics = unfrozen.gathering.summand(tails, parts, len(chosen))
    if not done:  # a last batch smaller than the team
        return Sums([torch.zeros_like(weight) for weight in weights], statistics, 0.0, 0.0)
    total = added([each[0] for each in done], weights)
    return Sums(total, statistics, float(sum(each[1] for each in done)), float(sum(each[2] for each in done)))


def _mine(chosen: np.ndarray, team: Team) -> np.ndarray:
    """The part of a batch that falls to this process."""
    return np.array_split(chosen, team.size)[team.rank]
