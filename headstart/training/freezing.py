"""What a phase trains, and what stays frozen: freezing is data, as strategies.Phase holds it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from headstart.networks import cut
from headstart.training import batch_norm
from headstart.training.batch_norm import Gathering
from headstart.training.graphs import Graphs
from headstart.training.run import Run
from headstart.training.strategies import Phase
from headstart.training.updates import Group, Updates


@dataclass(frozen=True)
class Unfrozen:
    """The part of the tail that a phase trains, and how."""

    phase: Phase
    changed: dict[str, torch.Tensor]
    updates: Updates
    gathering: Gathering
    weights: list[torch.Tensor]  # of the trunk, that a regulariser holds
    source: list[torch.Tensor]  # what they hold in the source
    graphs: Graphs = field(default_factory=Graphs)
    scale: Scale | None = None  # of the loss, if small gradients vanish


@dataclass(frozen=True)
class Scale:
    """The factor on the loss in float16, and how many steps were left out as a gradient overflowed.

    Both lie where training runs: what decides in each step does not wait for the card.
    """

    factor: torch.Tensor
    left_out: torch.Tensor

    @classmethod
    def of(cls, run: Run, factor: float) -> Scale | None:
        """For a run; None for numbers in which small gradients do not vanish."""
        if run.device.precision != "float16":
            return None
        return cls(torch.tensor(factor, device=run.place), torch.zeros((), device=run.place))

    def note(self, norm: torch.Tensor) -> torch.Tensor:
        """Halve the factor if the norm of the gradients is not finite. Returns 1 if so, else 0."""
        overflow = 1 - torch.isfinite(norm).float()
        self.factor.mul_(1 - overflow / 2)
        self.left_out.add_(overflow)
        return overflow


def unfreeze(run: Run, phase: Phase, done: int, scale: float = 1.0) -> Unfrozen:
    """Let the stages that the phase names be trained, and nothing else; `done` epochs of it are done.

    `scale` is the factor on the loss in float16.
    """
    trained = stages(run.tail, phase)
    trunk = {p for name, parameters in trained.items() if name != "head" for p in parameters}
    held = [(p, value) for p, value in run.source if p in trunk]
    steps = -(-len(run.train.labels) // run.recipe.batch_size)  # per epoch
    decayed = groups(trained, phase, run.recipe.weight_decay, run.recipe.regulariser == "l2_sp")
    graphs = Graphs.on(run.place, run.team.size)
    return Unfrozen(
        phase,
        changed(run.tail, phase),
        Updates(decayed, phase.epochs * steps, done * steps, graphs.place),
        Gathering(run.tail, _gathering(phase)),
        [p for p, _ in held],
        [value for _, value in held],
        graphs,
        Scale.of(run, scale),
    )


def stages(tail: nn.Sequential, phase: Phase) -> dict[str, list[nn.Parameter]]:
    """Have the parameters of the named stages require gradients, and no others. Returns them by stage."""
    trained = {}
    for key, module in tail.named_children():
        name = cut.name(key)
        module.requires_grad_(name in phase.rates)
        if name in phase.rates:
            trained[name] = list(module.parameters())
    return trained


def groups(trained: dict[str, list[nn.Parameter]], phase: Phase, weight_decay: float, to_source: bool = False) -> list[Group]:
    """What the optimizer is given: one rate per stage.

    Biases and the scales of normalisation are not decayed, nor is a trunk that a regulariser holds `to_source`.
    """
    found: list[Group] = []
    for name, parameters in trained.items():
        decays = 0.0 if to_source and name != "head" else weight_decay
        for decay, chosen in ((decays, [p for p in parameters if p.ndim > 1]), (0.0, [p for p in parameters if p.ndim <= 1])):
            if chosen:
                found.append({"params": chosen, "lr": phase.rates[name], "weight_decay": decay})
    return found


def changed(tail: nn.Sequential, phase: Phase) -> dict[str, torch.Tensor]:
    """What a phase changes, by name: weights of its stages, and what their BatchNorms gather."""
    gathered = {id(value) for layer in batch_norm.layers(tail, _gathering(phase)) for value in layer.buffers(recurse=False)}
    found: dict[str, torch.Tensor] = {}
    for key, stage in tail.named_children():
        if cut.name(key) in phase.rates:
            found |= {f"{key}.{name}": value for name, value in stage.named_parameters()}
            found |= {f"{key}.{name}": value for name, value in stage.named_buffers() if id(value) in gathered}
    return found


def _gathering(phase: Phase) -> set[str]:
    """The stages whose BatchNorms use and gather the statistics of the batch in a phase."""
    return set(phase.rates) if phase.statistics == "batch" else set()
