"""Fine-tuning once more on train and validation together, as the frozen head is fitted: after all that validation decides is decided.

How long each phase lasts, and the temperature, are those of the training on train alone. Its rates go the same way, over as many epochs.
Nothing is left to measure it on. But if it has a higher loss on the validation images, from which it has learned, than the network that never
saw them, by LOST, it has been lost on the way, as can happen at high rates.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.networks.cards import SourceCard
from headstart.networks.heads import Head
from headstart.params import FineTune
from headstart.training import fine_tuning
from headstart.training.outcome import Summary

LOST = 1.25  # times the loss


def refit(
    table: pd.DataFrame,
    root: Path,
    card: SourceCard,
    head: Head,
    classes: list[str],
    block: FineTune,
    known: Summary,
    *,
    seed: int,
    device: Device = CPU,
) -> dict[str, np.ndarray] | None:
    """The weights, under the library's names, of the source that `card` names, fine-tuned on the train and validation rows of `table`.

    None if the training has been lost. head: the one that was fitted on both. block, known: how the training on train alone was done, and its
    summary. Raises what fine_tuning.run raises.
    """
    held = table["split"] == "validation"
    both = pd.concat([table.assign(split=table["split"].mask(held, "train")), table[held]], ignore_index=True)
    ends = tuple(phase["best_epoch"] for phase in known["phases"] if phase["best_epoch"])
    as_known = block.model_copy(update={"keep": "last"})  # what is measured on images that it learns from says nothing
    plan = replace(fine_tuning.plan_of(as_known, both, classes, seed), until=ends)
    done = fine_tuning.run(both, root, card, head, classes, plan, device=device)
    if not _loss(done.summary) <= LOST * _loss(known):
        return None
    done.network.divide_logits(known["temperature"] / done.summary["temperature"])
    return {key: value.detach().cpu().numpy() for key, value in done.network.weights().items()}


def _loss(summary: Summary) -> float:
    """Of the validation images in the end, nats an image."""
    return summary["phases"][-1]["validation_loss"]
