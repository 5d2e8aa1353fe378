"""What a checkpoint holds of a run: save it after an epoch, go on from it in another process."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import cast

import numpy as np
import torch
from torch import nn

from headstart.base import weights
from headstart.base.devices import Device
from headstart.training import checkpoints, shards
from headstart.training.examples import Examples, Recipe
from headstart.training.freezing import Unfrozen, changed
from headstart.training.parallel import Team
from headstart.training.run import Run, State
from headstart.training.strategies import Phase
from headstart.training.updates import like

log = logging.getLogger(__name__)
VALUES = [field.name for field in fields(State) if field.name not in ("random", "shard", "right")]  # what JSON can hold of a state


def key(tail: nn.Sequential, phases: list[Phase], train: Examples, validation: Examples, recipe: Recipe, device: Device, team: Team) -> str:
    """The name of a training among all others."""
    return checkpoints.key(
        {
            "weights": weights.digest({**dict(tail.named_parameters()), **dict(tail.named_buffers())}),
            "network": [(name, type(module).__qualname__, module.extra_repr()) for name, module in tail.named_modules()],
            "phases": [asdict(phase) for phase in phases],
            "recipe": {**asdict(recipe), "class_weights": recipe.class_weights.tolist()},
            "labels": [examples.labels.tolist() for examples in (train, validation)],
            "images": [train.images, validation.images],
            "device": [device.kind, device.precision, torch.cuda.get_device_name() if device.kind == "cuda" else _processor()],
            "parts": [team.size, shards.SHARD],
        }
    )


def _processor() -> str:
    """What decides the bytes that a CPU computes: its kind and its instructions."""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def save(
    run: Run, state: State, phases: list[Phase], unfrozen: Unfrozen | None = None, best: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Keep a checkpoint, if one is due.

    After an epoch of what is `unfrozen`, or without it when all phases are done. `best` are the weights of the current phase's best
    epoch, by name.
    """
    if not run.keeper:
        return
    sizes = torch.zeros(run.team.size, device=run.place)  # of shards: memory may have run out in some processes only
    sizes[run.team.rank] = state.shard
    run.team.add([sizes])
    if run.team.rank == 0 and run.keeper.due():
        run.keeper.write(run.key, lambda: _content(run, state, phases, unfrozen, best or {}, sizes))


def _content(
    run: Run, state: State, phases: list[Phase], unfrozen: Unfrozen | None, best: Mapping[str, torch.Tensor], sizes: torch.Tensor
) -> checkpoints.Content:
    """What no phase so far has changed is not in it."""
    tensors = {"right": torch.from_numpy(np.stack(state.right)), "shards": sizes, "torch": torch.get_rng_state()}
    if run.place.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(run.place)
    tensors |= {f"weights.{name}": value for name, value in _changed_so_far(run, state, phases).items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    tensors |= {f"optimizer.{name}": value for name, value in (unfrozen.updates.state() if unfrozen else {}).items()}
    values = {name: getattr(state, name) for name in VALUES} | {"random": state.random.bit_generator.state}
    return checkpoints.Content({name: value.detach().cpu().numpy() for name, value in tensors.items()}, values)


def restore(run: Run, state: State, phases: list[Phase]) -> dict[str, np.ndarray]:
    """Take state and weights over from the checkpoint, if there is one.

    Returns its arrays if it was saved within a phase, for `go_on`; else {}.
    """
    if not run.keeper:
        return {}
    found = run.keeper.read(run.key)
    able = torch.tensor([float(found is not None)], device=run.place)
    run.team.add([able])
    if found is None or int(able) < run.team.size:  # a team goes on together or not at all
        return {}
    for name in VALUES:
        setattr(state, name, found.values[name])
    state.random.bit_generator.state = cast(Mapping[str, object], found.values["random"])
    state.right, state.shard = list(found.arrays["right"]), int(found.arrays["shards"][run.team.rank])
    torch.set_rng_state(torch.from_numpy(found.arrays["torch"]))
    if run.place.type == "cuda":
        torch.cuda.set_rng_state(torch.from_numpy(found.arrays["cuda"]), run.place)
    for name, value in _changed_so_far(run, state, phases).items():
        value.data.copy_(torch.from_numpy(found.arrays[f"weights.{name}"]))
    log.info("training goes on from a checkpoint: epochs done: %d", len(state.curve) - 1)
    return found.arrays if state.epoch else {}


def _changed_so_far(run: Run, state: State, phases: list[Phase]) -> dict[str, torch.Tensor]:
    """What the phases up to the current one change, by name."""
    return {name: value for phase in phases[: len(state.summaries) + 1] for name, value in changed(run.tail, phase).items()}


def go_on(unfrozen: Unfrozen, saved: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Give the optimizer its saved moments; returns the weights of the phase's best epoch, by name."""
    moments = {name.removeprefix("optimizer."): value for name, value in saved.items() if name.startswith("optimizer.")}
    unfrozen.updates.resume(moments)
    return {name: like(weight, saved[f"best.{name}"]) for name, weight in unfrozen.changed.items()}
