"""Adapt or not, and by which network: the default is not to, and no label of the other domain is used.

It is done if the networks, each adapted by itself, agree clearly (LEAST, beyond chance), agree more than they do without adapting, and the
labels that were carried over find the labelled images again more often than the most frequent class would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.domains import agreement
from headstart.domains.methods import METHODS
from headstart.domains.moving import nothing
from headstart.domains.spaces import Spaces

LEAST = 0.4  # agreement beyond chance that counts as clear: "moderate" and more (Landis & Koch, 1977)
FEWEST = 30  # unlabelled images


@dataclass(frozen=True)
class Tried:
    """What one network made of the target: probabilities (m, classes) adapted and plain, and what is known of them without labels."""

    name: str
    probabilities: np.ndarray
    plain: np.ndarray
    agrees: float  # with the other networks, adapted, beyond chance
    carried_back: float  # share (0-1)
    nuclear_norm: float


@dataclass(frozen=True)
class Decision:
    """Whether to adapt, the networks best first, and why.

    `kappa`: agreement beyond chance of the adapted networks, of the plain ones, and the interval of the difference. `accuracy`: estimate,
    lower and upper end for the best network adapted; None for a single network.
    """

    adapt: bool
    reasons: list[str]
    tried: list[Tried]
    kappa: tuple[float, float]
    gap: tuple[float, float]
    accuracy: tuple[float, float, float] | None


def decide(views: dict[str, Spaces], method: str, seed: int, least: float = LEAST) -> Decision:
    """Adapt each network by a method of METHODS, and decide. `views` has both domains as each network, by name, sees them; `least` is the agreement that is needed."""
    adapted = {name: METHODS[method].run(spaces) for name, spaces in views.items()}
    plain = {name: nothing(spaces) for name, spaces in views.items()}
    some = next(iter(views.values()))
    named, before = ([q.argmax(1) for q in given.values()] for given in (adapted, plain))
    single = len(views) < 2
    agrees = np.zeros(1) if single else agreement.with_others(named, some.classes)
    tried = [
        Tried(name, q, plain[name], float(one), agreement.carried_back(views[name], q), agreement.nuclear_norm(q))
        for (name, q), one in zip(adapted.items(), agrees, strict=True)
    ]
    order = [int(i) for i in np.argsort(-agrees, kind="stable")]
    tried = [tried[i] for i in order]
    if single:
        reason = "one source alone cannot be checked without labels: name two or more candidates"
        return Decision(False, [reason], tried, (0.0, 0.0), (0.0, 0.0), None)
    kappas = agreement.mean_kappa(named, some.classes), agreement.mean_kappa(before, some.classes)
    gap = agreement.more_than(named, before, some.classes, seed)
    against = _against(kappas, gap, tried[0], float(some.shares.max()), len(named[0]), least)
    return Decision(not against, against, tried, kappas, gap, agreement.accuracy(named, order[0], tried[0].carried_back))


def _against(kappas: tuple[float, float], gap: tuple[float, float], best: Tried, frequent: float, images: int, least: float) -> list[str]:
    """What speaks against adapting, in words."""
    found = []
    if images < FEWEST:
        found.append(f"{images} unlabelled images are too few; {FEWEST} are needed")
    if kappas[0] < least:
        found.append(f"the sources, each adapted by itself, agree too little ({kappas[0]:.2f} beyond chance, {least:g} is needed)")
    if gap[0] <= 0:
        found.append(f"they are not shown to agree more than without adapting ({kappas[1]:.2f} beyond chance)")
    if best.carried_back <= frequent:
        found.append(
            f"labels carried back from the target name {best.carried_back:.0%} of the labelled images rightly, the most frequent class {frequent:.0%}"
        )
    return found
