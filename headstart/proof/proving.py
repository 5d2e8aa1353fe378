"""Whether transfer helped: one network from the source's weights against itself from random weights.

The answer speaks of what ships, if that begins with the source's weights, else of the fine-tuned model. With one seed it is compared with the
baseline, which is trained at a reduced size for time: indicative. With more seeds, and with fewer labels, both are trained at the baseline's
size, on the same images, from one seed after another. The fine-tuned model is compared with its frozen head too.

If few validation images leave the answer of one seed open, folds of train and validation are looked at (proof/trained.py). There the answer
speaks of the frozen head, whose folds cost no training of a network, unless the validation images show that what ships is better.
"""

from __future__ import annotations

from functools import partial
from typing import NotRequired, TypedDict

import numpy as np

from headstart.data import folding
from headstart.networks.cards import Architecture, SourceCard
from headstart.params import Verdict
from headstart.proof import comparison, trained
from headstart.proof.comparison import Comparison
from headstart.proof.contenders import FINE_TUNED, HEAD, SCRATCH, Contender, DataSet
from headstart.proof.trained import Blocks
from headstart.statistics import records
from headstart.statistics.records import Record, Records
from headstart.training import designs
from headstart.words import naming

FIRST_LOOK = 10  # times as sure that a look at few validation images must be as the level asks, if it is to be the last


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


class Against(TypedDict):
    """The fine-tuned model against its frozen head, if anything was unfrozen."""

    fine_tuned_against_head: NotRequired[Comparison]


class Proof(Against):
    """The answer with its evidence.

    Without a baseline, there is only what compares the fine-tuned model with its head.
    """

    answer: str  # positive, none_shown, negative, too_few or not tested
    standing: str  # established or indicative
    evidence: str
    settle: str  # what would tell, if there are too few images; else empty
    of: str  # the contender that the answer is about
    pretrained_against_random: NotRequired[Labelled]
    label_curve: NotRequired[list[Labelled]]  # the last is of all labels; empty if no others were tried
    curves: NotRequired[Curves]
    input_size: NotRequired[Sizes]


def prove(
    tuned: Record,
    random: Records,
    *,
    ships: Contender,
    data: DataSet,
    card: SourceCard,
    design: Architecture,
    blocks: Blocks,
    block: Verdict,
    seed: int,
) -> Proof:
    """Compare the records, and train what is still to be compared.

    tuned: what fine_tune left; random: what baseline left, empty if there is no baseline, of `block.runs` seeds; ships: what ships; design:
    what was trained from random weights; blocks: how everything was trained.
    """
    compare = partial(comparison.compare, level=block.level, margin=block.margin, resamples=block.resamples, seed=seed)
    against_head: Against = {}
    if len(tuned.right) > 1:
        against_head = {"fine_tuned_against_head": compare([tuned], [records.before(tuned)], names=("fine-tuned", "the frozen head"))}
    if not random:
        return {**_untested(ships), **against_head}
    ours: Records = {}
    theirs, size = dict(random), design.transform.input_size
    if block.runs == 1:
        theirs[0, 0] = records.only(random[0, 0], tuned.images)
        ours[0, 0] = records.only(tuned, theirs[0, 0].images)
    images = blocks.baseline.max_images
    for one in designs.trainings(data.table, seeds=block.runs, label_curve=block.label_curve, images=images, seed=seed):
        if (one.labels, one.number) not in ours:
            done = trained.pretrained(one, data, card.at(size), blocks.head, blocks.fine_tune)
            ours[one.labels, one.number] = records.of_run(one.table, done)
    of, spoken = _spoken_of(ships, ours, data, block.runs)
    at = card.transform.input_size if block.runs == 1 else size
    if block.seeds == "auto" and _open(spoken[0, 0], theirs[0, 0], block):
        unfrozen = of != HEAD and _ahead(spoken[0, 0], records.before(ours[0, 0]), block)
        folded, theirs_folded = trained.folds(data, card, design, blocks, theirs[0, 0], unfrozen=unfrozen, seed=seed)
        of, at = (FINE_TUNED, size) if unfrozen else (HEAD, at)
        ours, theirs, spoken = ({**some, **more} for some, more in ((ours, folded), (theirs, theirs_folded), (spoken, folded)))
    subject = naming.subject(of, ships.mix if of == ships.name else None)
    sizes: Sizes = {"pretrained": at, "random": size}
    proof = _proof(_curve(spoken, theirs, compare, subject), against_head, ours, theirs, sizes, block.label_curve)
    note = _note(ships, of, theirs, sizes, subject)
    return {**proof, "evidence": proof["evidence"].removesuffix(".") + note, "of": of, "settle": _settle(proof, data)}


def _untested(ships: Contender) -> Proof:
    """What is said without a baseline."""
    return {"answer": naming.NOT_TESTED, "standing": "indicative", "evidence": naming.UNTESTED, "settle": "", "of": ships.name}


def _open(ours: Record, theirs: Record, block: Verdict) -> bool:
    """Whether folds are needed: few images were held out, and they do not settle the answer.

    A first look that settles it must be surer than the last one, tenfold, so that two looks do not err more often than one.
    """
    if len(ours.images) >= folding.ENOUGH_IMAGES:
        return False
    return comparison.answer([ours], [theirs], level=block.level / FIRST_LOOK, margin=block.margin) not in ("positive", "negative")


def _ahead(ships: Record, head: Record, block: Verdict) -> bool:
    """Whether the validation images show that what ships is better than the frozen head: then its own folds are worth their trainings."""
    return comparison.answer([ships], [head], level=block.level, margin=0.0) == "positive"


def _spoken_of(ships: Contender, ours: Records, data: DataSet, seeds: int) -> tuple[str, Records]:
    """What the answer is about, and its records: what ships, as far as it is pretrained and has records.

    The frozen head is where each fine-tuning began, and all there is if nothing was unfrozen. Averages were made once, so with more seeds the
    fine-tuned model stands for them.
    """
    unfrozen = any(len(one.right) > 1 for one in ours.values())
    if ships.name == HEAD or not unfrozen:
        return HEAD, {key: records.before(one) for key, one in ours.items()}
    if seeds > 1 or ships.name in (FINE_TUNED, SCRATCH):
        return FINE_TUNED, ours
    tuned = ours[0, 0]
    whole = Record(data.validation["sha256"].to_numpy(str), ships.right(data.labels)[None], tuned.steps[tuned.best][None], 0)
    return ships.name, {**ours, (0, 0): records.only(whole, tuned.images)}


def _settle(proof: Proof, data: DataSet) -> str:
    """What would tell, if there are too few images."""
    compared = proof["pretrained_against_random"]
    held = int(data.table["split"].isin(["train", "validation"]).sum())
    final = compared["asymptote"]
    return naming.settle(compared["needed"], final["n_images"], held, repeated=final["n_seeds"] > 1) if compared["needed"] else ""


def _curve(ours: Records, theirs: Records, compare: partial[Comparison], subject: str) -> list[Labelled]:
    """A comparison for each number of labels, the last being all; `subject` is what `ours` are of."""
    curve: list[Labelled] = []
    for labels in [*sorted({labels for labels, _ in ours if labels}), 0]:
        numbers = sorted(number for some, number in ours if some == labels)
        pair = [[group[labels, number] for number in numbers] for group in (ours, theirs)]
        curve.append({"labels": labels, **compare(*pair, names=(subject, naming.subject(SCRATCH)))})
    return curve


def _note(ships: Contender, of: str, theirs: Records, sizes: Sizes, subject: str) -> str:
    """What to keep in mind of the evidence, in brackets; "" if nothing."""
    notes = []
    if of == HEAD and ships.name not in (HEAD, SCRATCH):
        notes.append(f"{ships.subject}, what ships, is not shown to be better than the frozen head")
    if sizes["pretrained"] != sizes["random"]:
        notes.append(f"the network from random weights was trained at {sizes['random']} pixels, {subject} at {sizes['pretrained']}")
    if any(len(one.right) == 1 for one in theirs.values()):
        notes.append("in the folds it was given a head alone, as training it had brought nothing")
    return f" ({'; '.join(notes)})" if notes else ""


def _proof(curve: list[Labelled], against_head: Against, ours: Records, theirs: Records, sizes: Sizes, label_curve: bool) -> Proof:
    whole = curve[-1]
    return {
        "answer": whole["answer"],
        "standing": whole["standing"],
        "evidence": whole["evidence"],
        "settle": "",
        "of": FINE_TUNED,
        "pretrained_against_random": whole,
        **against_head,
        "label_curve": curve if label_curve else [],
        "curves": {"pretrained": _mean(ours), "random": _mean(theirs)},
        "input_size": sizes,
    }


def _mean(group: Records) -> list[Step]:
    """The mean over the seeds, all labels, as far as every training went."""
    known = [one for (labels, _), one in group.items() if labels == 0]
    rows = min(len(one.steps) for one in known)
    return [
        {"step": float(np.mean([one.steps[i] for one in known])), "accuracy": float(np.mean([one.right[i].mean() for one in known]))}
        for i in range(rows)
    ]
