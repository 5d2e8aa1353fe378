"""The trainings that a verdict still needs: from the source's weights, and from random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headstart.data import encoding
from headstart.features import of_source
from headstart.linear import frozen_head
from headstart.networks.cards import Architecture, SourceCard
from headstart.networks.heads import Head
from headstart.params import Baseline, FineTune, TrainHead
from headstart.proof.contenders import DataSet
from headstart.statistics import records
from headstart.statistics.records import Record, Records
from headstart.training import designs
from headstart.training.designs import Training

if TYPE_CHECKING:
    from headstart.training import fine_tuning


@dataclass(frozen=True)
class Blocks:
    """How the networks are trained: the blocks of params.yaml."""

    head: TrainHead
    fine_tune: FineTune
    baseline: Baseline


def pretrained(training: Training, data: DataSet, card: SourceCard, head: TrainHead, block: FineTune) -> fine_tuning.Result:
    """Train a head on the frozen source that `card` names, and fine-tune."""
    from headstart.training import fine_tuning  # and with it PyTorch, which a verdict on finished trainings does without

    plan = fine_tuning.plan_of(block, training.table, data.classes, training.seed)
    fitted = _head(training, data, card, head)
    return fine_tuning.run(training.table, data.root, card, fitted, data.classes, plan, device=data.device)


def folds(
    data: DataSet, card: SourceCard, design: Architecture, blocks: Blocks, known: Record, *, unfrozen: bool, seed: int
) -> tuple[Records, Records]:
    """Records of both networks in FOLDS folds of train and validation, each of which is held out once.

    The source that `card` names has a head on the frozen base, at its own size, or is fine-tuned, at the size of `design`, if `unfrozen`.
    `design` is what is trained from random weights; `known` is the record of that on the validation split as it is, which may be a fold. If
    its training brought nothing there, the folds fit what it began with: a head on random weights.
    """
    ours: Records = {}
    theirs: Records = {}
    for one in designs.trainings(data.table, seeds=designs.FOLDS, label_curve=False, images=blocks.baseline.max_images, seed=seed):
        at = one.labels, one.number
        if unfrozen:
            small = card.at(design.transform.input_size)
            ours[at] = records.of_run(one.table, pretrained(one, data, small, blocks.head, blocks.fine_tune))
        else:
            ours[at] = _frozen(one, data, card, blocks.head)
        same = one.number == 0 and np.array_equal(np.sort(known.images), np.sort(ours[at].images))
        theirs[at] = known if same else _random(one, data, design, blocks.baseline if known.best else None)
    return ours, theirs


def _head(training: Training, data: DataSet, card: SourceCard, block: TrainHead) -> Head:
    train = training.table[training.table["split"] == "train"].reset_index(drop=True)
    return frozen_head.on(
        train,
        data.root,
        card,
        data.classes,
        penalties=block.penalties,
        folds=block.folds,
        balanced=block.class_weights == "balanced",
        seed=training.seed,
        device=data.device,
    )


def _frozen(training: Training, data: DataSet, card: SourceCard, block: TrainHead) -> Record:
    """The record of a head on the frozen source, from stored features."""
    fitted = _head(training, data, card, block)
    held = training.table[training.table["split"] == "validation"].reset_index(drop=True)
    named = fitted.logits(of_source.of_source(card, held, data.root, data.device)).argmax(1)
    return records.untrained(training.table, named == encoding.encode(held["label"], data.classes))


def _random(training: Training, data: DataSet, design: Architecture, block: Baseline | None) -> Record:
    """The record of a network from random weights, trained as `block` says, or with a head alone."""
    from headstart.training import scratch

    if block is None:
        right = scratch.head_alone(training.table, data.root, design, data.classes, seed=training.seed)
        return records.untrained(training.table, right)
    plan = scratch.plan_of(block)
    done = scratch.train(training.table, data.root, design, data.classes, plan, seed=training.seed, device=data.device)
    return records.of_run(training.table, done)
