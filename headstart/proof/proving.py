"""Whether transfer helped: one network from the source's weights against itself from random weights.

With one seed the fine-tuned model itself is compared with the baseline, which is trained at a reduced size for time: indicative. With
more seeds, and with
fewer labels, both are trained at the baseline's size, on the same images, from one seed after another. The fine-tuned model is compared
with its frozen
head too.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

import numpy as np

from headstart.base.devices import CPU, Device
from headstart.linear import frozen_head
from headstart.networks.cards import SourceCard
from headstart.params import FineTune, TrainHead
from headstart.proof import comparison
from headstart.proof.comparison import Comparison
from headstart.proof.contenders import DataSet
from headstart.statistics import records
from headstart.statistics.records import Record, Records
from headstart.training import designs
from headstart.training.designs import Training

if TYPE_CHECKING:
    from headstart.training import fine_tuning

NAMES = ("from the source's weights", "from random weights")


class Labelled(Comparison):
    """A comparison of trainings on so many labels per class; 0 is all."""

    labels: int


class Step(TypedDict):
    """Mean validation accuracy (0-1) over the seeds after so many steps of the optimizer."""

    step: float
    accuracy: float


class Curves(TypedDict):
    """How both groups learn."""

    pretrained: list[Step]
    random: list[Step]


class Sizes(TypedDict):
    """The input sizes (pixels) at which both groups were trained."""

    pretrained: int
    random: int


class Proof(TypedDict):
    """The answer with its evidence.

    Without a baseline, there is only what compares the fine-tuned model with its head.
    """

    answer: str  # positive, none_shown or negative
    standing: str  # established or indicative
    evidence: str
    pretrained_against_random: NotRequired[Labelled]
    fine_tuned_against_head: Comparison
    label_curve: NotRequired[list[Labelled]]  # the last is of all labels; empty if no others were tried
    curves: NotRequired[Curves]
    input_size: NotRequired[Sizes]


def prove(
    tuned: Record,
    random: Records,
    *,
    data: DataSet,
    card: SourceCard,
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
) -> Proof:
    """Compare the records, and train what is still to be compared.

    tuned: what fine_tune left; random: what baseline left, empty if there is no baseline; head, block: those of train_head and fine_tune;
    images: the most that the baseline saw of each split; size: pixels at which it was trained; the others are as in the block of verdict.
    """
    compare = partial(comparison.compare, level=level, margin=margin, resamples=resamples, seed=seed)
    against_head = compare([tuned], [records.before(tuned)], names=("fine-tuned", "the frozen head"))
    if not random:
        return {
            "answer": "none_shown",
            "standing": "indicative",
            "evidence": "no baseline was trained (baseline.epochs is 0)",
            "fine_tuned_against_head": against_head,
        }
    ours: Records = {}
    theirs = dict(random)
    if seeds == 1:
        theirs[0, 0] = records.only(random[0, 0], tuned.images)
        ours[0, 0] = records.only(tuned, theirs[0, 0].images)
    for one in designs.trainings(data.table, seeds=seeds, label_curve=label_curve, images=images, seed=seed):
        if (one.labels, one.number) not in ours:
            done = pretrained(one, data.root, card.at(size), data.classes, head, block, data.device)
            ours[one.labels, one.number] = records.of_run(one.table, done)
    sizes: Sizes = {"pretrained": card.transform.input_size if seeds == 1 else size, "random": size}
    return _proof(_curve(ours, theirs, compare), against_head, ours, theirs, sizes, label_curve)


def _curve(ours: Records, theirs: Records, compare: partial[Comparison]) -> list[Labelled]:
    """A comparison for each number of labels, the last being all."""
    curve: list[Labelled] = []
    for labels in [*sorted({labels for labels, _ in ours if labels}), 0]:
        numbers = sorted(number for some, number in ours if some == labels)
        pair = [[group[labels, number] for number in numbers] for group in (ours, theirs)]
        curve.append({"labels": labels, **compare(*pair, names=NAMES)})
    return curve


def _proof(curve: list[Labelled], against_head: Comparison, ours: Records, theirs: Records, sizes: Sizes, label_curve: bool) -> Proof:
    whole, (at, size) = curve[-1], (sizes["pretrained"], sizes["random"])
    note = f" (the baseline was trained at {size} pixels, the fine-tuned model at {at})" if at != size else ""
    return {
        "answer": whole["answer"],
        "standing": whole["standing"],
        "evidence": whole["evidence"].removesuffix(".") + note,
        "pretrained_against_random": whole,
        "fine_tuned_against_head": against_head,
        "label_curve": curve if label_curve else [],
        "curves": {"pretrained": _mean(ours), "random": _mean(theirs)},
        "input_size": sizes,
    }


def pretrained(
    training: Training, root: Path, card: SourceCard, classes: list[str], head: TrainHead, block: FineTune, device: Device = CPU
) -> fine_tuning.Result:
    """Train a head on the frozen source that `card` names, and fine-tune.

    `head` and `block` are the blocks of train_head and fine_tune.
    """
    from headstart.training import fine_tuning  # and with it PyTorch, which a verdict on finished trainings does without

    train = training.table[training.table["split"] == "train"].reset_index(drop=True)
    balanced = head.class_weights == "balanced"
    fitted = frozen_head.on(
        train, root, card, classes, penalties=head.penalties, folds=head.folds, balanced=balanced, seed=training.seed, device=device
    )
    return fine_tuning.run(
        training.table, root, card, fitted, classes, fine_tuning.plan_of(block, training.table, classes, training.seed), device=device
    )


def _mean(group: Records) -> list[Step]:
    """The mean over the seeds, all labels, as far as every training went."""
    known = [one for (labels, _), one in group.items() if labels == 0]
    rows = min(len(one.steps) for one in known)
    return [
        {"step": float(np.mean([one.steps[i] for one in known])), "accuracy": float(np.mean([one.right[i].mean() for one in known]))}
        for i in range(rows)
    ]
