"""What ships: the best of the contenders, or a remedy if transfer did not help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headstart.proof import choosing, contenders, remedies
from headstart.proof.choosing import Shipped
from headstart.proof.contenders import Contender, Figures
from headstart.proof.proving import Proof
from headstart.proof.remedies import Context, Tried


class Verdict(Proof):
    """The content of reports/verdict.json: the proof, what ships and why, and what it was chosen from."""

    ships: str  # the contender's name
    mix: float | None  # the share (0-1) of fine-tuned weights in an average, of the fine-tuned model in both
    reason: str
    arms: list[Figures]  # of the contenders that there were before remedies
    remedies: list[Tried]


@dataclass(frozen=True)
class Field:
    """The contenders that there are before remedies."""

    head: Contender
    tuned: Contender | None  # None if fine-tuning changed nothing
    averages: list[Contender]  # of weights, and the pair of both
    scratch: Contender | None  # None if none was trained
    absent: str = ""  # why there is no fine-tuned model
    picked: bool = True  # whether the epoch of the fine-tuned model was picked on the validation images

    @property
    def all(self) -> list[Contender]:
        """Every one of them."""
        return [self.head, *self.pretrained, *([self.scratch] if self.scratch else [])]

    @property
    def pretrained(self) -> list[Contender]:
        """The fine-tuned model, first, and its averages with the head."""
        return [self.tuned, *self.averages] if self.tuned else []


def decide(prove: Callable[[Contender], Proof], field: Field, labels: np.ndarray, context: Context | None) -> tuple[Shipped, Verdict]:
    """What ships, and the whole verdict; `labels` (n,) are those of the validation images.

    `prove` says whether transfer helped, of what ships. If the network from random weights does as well, remedies are tried from
    `context`; None: they are not to be. The answer stays that of what was compared before: a remedy was picked on these images.
    """
    shipped = choosing.choose(field.head, field.pretrained, field.scratch, labels, field.absent, picked=field.picked)
    proof, tried = prove(shipped.contender), list[Tried]()
    if context and field.scratch and proof["pretrained_against_random"]["asymptote"]["difference"] <= 0:
        shipped, tried = remedies.remedy(context, shipped)
    return shipped, {
        **proof,
        "ships": shipped.contender.name,
        "mix": shipped.contender.mix,
        "reason": shipped.reason,
        "arms": [contenders.figures(one, labels) for one in field.all],
        "remedies": tried,
    }


def looked_at(verdict: Verdict) -> int | None:
    """How many held-out images the answer is from; None if transfer was not tested."""
    return verdict["pretrained_against_random"]["asymptote"]["n_images"] if "pretrained_against_random" in verdict else None
