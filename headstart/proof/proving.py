"""Whether transfer helped: the network from the source's weights against the same network from random ones, and the fine-tuned model against its frozen head.

With one seed the fine-tuned model itself is compared with the baseline, which is trained at a reduced size for time: indicative. With more, and with fewer
labels, both arms are run at the baseline's size, on the same images, from one seed after another.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart.base.devices import CPU, Device
from headstart.linear import frozen_head
from headstart.networks.cards import SourceCard
from headstart.params import FineTune, TrainHead
from headstart.proof import comparison
from headstart.statistics import records
from headstart.statistics.records import Record
from headstart.training import designs
from headstart.training.designs import Cell

if TYPE_CHECKING:
    from headstart.training import fine_tuning


Trials = dict[tuple[int, int], Record]
NAMES = ("from the source's weights", "from random weights")


def prove(
    tuned: Record,
    random: Trials,
    *,
    table: pd.DataFrame,
    root: Path,
    card: SourceCard,
    classes: list[str],
    head: TrainHead,
    block: FineTune,
    images: int,
    size: int,
    seeds: int,
    label_curve: bool,
    level: float,
    margin: float,
    resamples: int,
    seed: int,
    device: Device = CPU,
) -> dict[str, Any]:
    """The answer with its evidence, as plain values.

    tuned: the run of fine_tune; random: the runs of baseline, by (labels a class, number of the seed), none if there is no baseline; head
    and block: those of train_head and fine_tune; images: how many the baseline saw of each split at most; size: pixels at which it ran.
    """
    how: dict[str, Any] = {"level": level, "margin": margin, "resamples": resamples, "seed": seed}
    result: dict[str, Any] = {
        "fine_tuned_against_head": comparison.compare([tuned], [records.before(tuned)], names=("fine-tuned", "the frozen head"), **how)
    }
    if not random:
        return {"answer": "none_shown", "standing": "indicative", "evidence": "no baseline was trained (baseline.epochs is 0)", **result}
    ours: Trials = {}
    theirs = dict(random)
    if seeds == 1:
        theirs[0, 0] = records.only(random[0, 0], tuned.images)
        ours[0, 0] = records.only(tuned, theirs[0, 0].images)
    for cell in designs.cells(table, seeds=seeds, label_curve=label_curve, images=images, seed=seed):
        if (cell.labels, cell.number) not in ours:
            done = pretrained(cell, root, card.at(size), classes, head, block, device)
            ours[cell.labels, cell.number] = records.of_run(cell.table, done)
    curve = []
    for labels in sorted({labels for labels, _ in ours if labels}) + [0]:
        numbers = sorted(number for some, number in ours if some == labels)
        pair = [[arm[labels, number] for number in numbers] for arm in (ours, theirs)]
        curve.append({"labels": labels, **comparison.compare(*pair, names=NAMES, **how)})
    whole = curve[-1]
    at = card.transform.input_size if seeds == 1 else size
    note = f" (the baseline was trained at {size} pixels, the fine-tuned model at {at})" if at != size else ""
    return {
        "answer": whole["answer"],
        "standing": whole["standing"],
        "evidence": whole["evidence"].removesuffix(".") + note,
        "pretrained_against_random": whole,
        **result,
        "label_curve": curve if label_curve else [],
        "curves": {name: _mean(arm) for name, arm in (("pretrained", ours), ("random", theirs))},
        "input_size": {"pretrained": at, "random": size},
    }


def pretrained(
    cell: Cell, root: Path, card: SourceCard, classes: list[str], head: TrainHead, block: FineTune, device: Device = CPU
) -> fine_tuning.Result:
    """Train a head on the frozen source that `card` names, and fine-tune; the blocks are those of train_head and fine_tune."""
    from headstart.training import fine_tuning  # and with it PyTorch, which a verdict on finished runs does without

    train = cell.table[cell.table["split"] == "train"].reset_index(drop=True)
    balanced = head.class_weights == "balanced"
    fitted = frozen_head.on(
        train, root, card, classes, penalties=head.penalties, folds=head.folds, balanced=balanced, seed=cell.seed, device=device
    )
    return fine_tuning.run(
        cell.table, root, card, fitted, classes, fine_tuning.plan_of(block, cell.table, classes, cell.seed), device=device
    )


def _mean(arm: Trials) -> list[dict[str, float]]:
    """Mean validation accuracy over the seeds at each step, all labels: as far as every run went."""
    runs = [one for (labels, _), one in arm.items() if labels == 0]
    rows = min(len(one.steps) for one in runs)
    return [
        {"step": float(np.mean([one.steps[i] for one in runs])), "accuracy": float(np.mean([one.right[i].mean() for one in runs]))}
        for i in range(rows)
    ]
