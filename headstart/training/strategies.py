"""Fine-tuning strategies: what is trained when, and at which rate.

Freezing is data: what a phase does not name is frozen. A strategy is a function from the names of the trunk's stages (from the image to
the head) to a list of phases. To add one, write such a function and put it into STRATEGIES. Rates fall by a factor with each stage deeper
(Howard & Ruder, ACL 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """Train the stages (or `head`) that `rates` names for at most `epochs`, each at its highest rate.

    `until` is the epoch after which it ends whatever validation says, on the way of its rates through all `epochs`; None: while it gains.
    `statistics` says what BatchNorm in these stages normalises with in training: `source`, its running statistics, which stay as they
    are, or `batch`, those of the current images, which it then also gathers. Weights that mean nothing yet need the latter; images unlike
    those of the source may.
    """

    name: str
    epochs: int
    rates: dict[str, float]
    statistics: str = "source"
    until: int | None = None

    @property
    def most(self) -> int:
        """Epochs that it lasts at most."""
        return self.epochs if self.until is None else self.until


def head_only(stages: list[str], *, depth: int, epochs: int, rate: float, decay: float) -> list[Phase]:
    """Train nothing: the head that was fitted on the frozen features is the best there is for them."""
    return []


def last_stages(stages: list[str], *, depth: int, epochs: int, rate: float, decay: float) -> list[Phase]:
    """Train the head and the last `depth` stages, each deeper one `decay` times slower."""
    return [Phase(f"last {min(depth, len(stages))}", epochs, _rates(stages, depth, rate, decay))]


def gradual(stages: list[str], *, depth: int, epochs: int, rate: float, decay: float) -> list[Phase]:
    """Unfreeze one stage more in each phase, from the head down to `depth` stages."""
    return [Phase(f"last {n}", epochs, _rates(stages, n, rate, decay)) for n in range(1, min(depth, len(stages)) + 1)]


def full(stages: list[str], *, depth: int, epochs: int, rate: float, decay: float) -> list[Phase]:
    """Train everything, each deeper stage `decay` times slower."""
    return [Phase("all", epochs, _rates(stages, len(stages), rate, decay))]


def from_scratch(stages: list[str], *, epochs: int, rate: float) -> list[Phase]:
    """Train everything at one rate, from random weights. Transfer is compared with it: none of STRATEGIES."""
    return [Phase("from scratch", epochs, _rates(stages, len(stages), rate, 1.0), statistics="batch")]


STRATEGIES: dict[str, Callable[..., list[Phase]]] = {"head_only": head_only, "last_stages": last_stages, "gradual": gradual, "full": full}


def _rates(stages: list[str], depth: int, rate: float, decay: float) -> dict[str, float]:
    return {"head": rate, **{stage: rate * decay ** (i + 1) for i, stage in enumerate(stages[::-1][:depth])}}
