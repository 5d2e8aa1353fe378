"""Fine-tuning as the stage does it: settle what is left open, train, and try again more gently if that brought nothing.

What is left open is which changes of the pictures keep their labels (augmenting.py). A training whose best weights are those that it
began with has lost what the head knew and never won it back: it is tried once more at a tenth of the rate. If that brings nothing
either, this is said, and the network is the frozen head that it began with.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.networks.cards import SourceCard
from headstart.networks.heads import Head
from headstart.params import FineTune, MeasuredAugmentation
from headstart.training import augmenting, fine_tuning, outcome
from headstart.training.augmenting import Change, Chosen

log = logging.getLogger(__name__)
GENTLER = 0.1  # factor on the rate if a training brought nothing


class Try(TypedDict):
    """A training, and the epoch after which its validation loss (nats) was lowest; 0: before the first, so it brought nothing."""

    rate: float
    epochs: int  # that it lasted
    best_epoch: int
    validation_loss: float


class Summary(outcome.Summary):
    """What the last training did, what was settled before it, and what was tried."""

    augmentation: dict[str, float | bool]  # as the views were drawn
    changes: list[Change]
    tries: list[Try]
    changed: bool  # whether there is a fine-tuned network; if not, it is the frozen head that it began with


@dataclass(frozen=True)
class Tuned:
    """The last training, the block of params.yaml with what was settled in it, and the whole summary."""

    result: outcome.Result
    block: FineTune
    summary: Summary


def tune(
    table: pd.DataFrame,
    root: Path,
    card: SourceCard,
    head: Head,
    classes: list[str],
    block: FineTune,
    *,
    seed: int,
    device: Device = CPU,
) -> Tuned:
    """Fine-tune the source that `card` names from a head of the train split alone. Raises what fine_tuning.run raises."""
    train = table[table["split"] == "train"].reset_index(drop=True)
    if block.strategy == "head_only":  # which looks at no changed picture
        chosen = Chosen(block.augmentation.settled(), [])
    else:
        chosen = augmenting.choose(block.augmentation, train, root, card, classes, seed=seed, device=device)
    settled = block.model_copy(update={"augmentation": MeasuredAugmentation(**chosen.augmentation.model_dump())})
    tries: list[Try] = []
    for rate in (block.rate, GENTLER * block.rate):
        settled = settled.model_copy(update={"rate": rate})
        done = fine_tuning.run(table, root, card, head, classes, fine_tuning.plan_of(settled, table, classes, seed), device=device)
        best = done.curve[done.best]
        tries.append({"rate": rate, "epochs": len(done.curve) - 1, "best_epoch": done.best, "validation_loss": best["validation_loss"]})
        if done.best or not done.summary["phases"]:
            break
        log.info("fine-tuning at a rate of %g brought nothing: no epoch was better on validation than the head that it began with", rate)
    summary: Summary = {
        **done.summary,
        "augmentation": chosen.augmentation.model_dump(),
        "changes": chosen.changes,
        "tries": tries,
        "changed": done.best > 0,
    }
    return Tuned(done, settled, summary)
