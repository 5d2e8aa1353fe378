"""Which contender ships, chosen from the validation images.

Every contender competes at its own operating point, every class counting alike unless the goal is accuracy (headstart/statistics/goals.py). It
is better if it gains more on the validation images by more than a paired standard error; or, if neither does, if it is likelier with
LIKELIER certainty: few images show that far sooner. Few images show little of either. An average of source and fine-tuned weights takes the place
of the fine-tuned ones if it is better than these. The averages compete as one, by their likelihood: it tells mixes apart when their accuracies
are equal, and does not let the best of several win by luck more often than not.

If the epoch of the fine-tuned network was picked on these images, to be as good as the frozen head there says nothing, and the head ships unless
something is better; with ENOUGH_IMAGES of them the luck of that pick is small, and what gains more ships. The pair, both models with their logits
averaged, competes too: fine-tuning far from the source leaves weights that cannot be averaged. Of fewer than 20 validation images it is asked
first, as it loses least if fine-tuning has lost.

If the last weights of the network are taken, nothing was picked, and head and network are weighed: both ship side by side, each with the share
that the validation images give it (contenders.both). If one has a share below ALONE, the other ships alone, at half the cost. To choose one of
them by few images loses more than it gains (docs/decisions.md, "Fine-tuning"). A network from random weights ships only if it is better than
what else would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.data import folding
from headstart.proof.contenders import BOTH, Contender
from headstart.statistics import paired

LIKELIER = 0.95  # one-sided certainty of a paired t test, if a contender ships for its likelihood without gaining more
ALONE = 0.15  # a model of a smaller share is left out


@dataclass(frozen=True)
class Shipped:
    """The contender that ships, and why."""

    contender: Contender
    reason: str


def choose(
    head: Contender, tuned: list[Contender], scratch: Contender | None, labels: np.ndarray, absent: str = "", *, picked: bool = True
) -> Shipped:
    """What ships of the contenders, by their gains on the validation images of `labels` (n,).

    tuned: the fine-tuned model first, then averages and the pair; empty if there is none, of which `absent` gives the reason. scratch: the
    network from random weights, None if none was trained. picked: whether the epoch of the fine-tuned model was picked on these images.
    """
    if not tuned:
        shipped = Shipped(head, absent)
    elif picked:
        shipped = _beating(head, tuned, labels)
    else:
        shipped = _weighed(head, tuned, labels)
    return better_of(shipped, scratch, labels) if scratch else shipped


def _beating(head: Contender, tuned: list[Contender], labels: np.ndarray) -> Shipped:
    """What ships if the epoch of the fine-tuned model was picked: the head, unless something is better."""
    best = _best_of(tuned, labels)
    shipped = better_of(Shipped(head, ""), best, labels)
    if shipped.contender is not head:
        return shipped
    most = max(tuned, key=lambda one: one.gain(labels).mean())
    if len(labels) >= folding.ENOUGH_IMAGES and most.gain(labels).mean() > head.gain(labels).mean():
        return better_of(Shipped(most, f"{most.subject} gains more on validation: {compared(most, head, labels)}"), head, labels)
    return Shipped(head, f"nothing beats the frozen head by a standard error on validation: {compared(best, head, labels)}")


def _weighed(head: Contender, tuned: list[Contender], labels: np.ndarray) -> Shipped:
    """What ships if it was not: both, or one alone if the other has next to no share."""
    pair = next((one for one in tuned if one.name == BOTH), None)
    share = pair.mix if pair else None
    if pair and share is not None and ALONE <= share <= 1 - ALONE:
        which = f"{len(labels)} validation images do not settle which of the two does better alone"
        return Shipped(
            pair, f"{which}, so both are asked, the fine-tuned model with a share of {share:.0%}: {compared(pair, head, labels)}"
        )
    best = _best_of([one for one in tuned if one is not pair], labels)
    told = compared(best, head, labels)
    if share is None:
        return better_of(Shipped(best, f"{best.subject} is not shown to be worse: {told}"), head, labels)
    if share < ALONE:
        return Shipped(head, f"beside the frozen head, the fine-tuned model adds next to nothing on validation: {told}")
    return Shipped(best, f"beside {best.subject}, the frozen head adds next to nothing on validation: {told}")


def _best_of(tuned: list[Contender], labels: np.ndarray) -> Contender:
    """The fine-tuned model, or the pair if images are very few; or the likeliest of the others if that is better."""
    order = sorted(tuned, key=lambda one: one.name != BOTH) if len(labels) < folding.LEAST_RACED else tuned
    first, *others = order
    return better_of(Shipped(first, ""), max(others, key=lambda one: one.merit(labels)), labels).contender if others else first


def better_of(shipped: Shipped, other: Contender, labels: np.ndarray, certainty: float | None = None) -> Shipped:
    """What ships already, or `other` if it is better.

    With `certainty`, it must gain more (paired.better). Without, it is enough if it is likelier and does not gain less.
    """
    before = shipped.contender
    told = compared(other, before, labels)
    if paired.better(other.gain(labels), before.gain(labels), certainty):
        return Shipped(other, f"{other.subject} beats {before.subject} on validation: {told}")
    if certainty is None and not paired.better(before.gain(labels), other.gain(labels)):
        ours, theirs = other.merits(labels), before.merits(labels)
        if paired.better(ours, theirs, LIKELIER):
            gap, error = paired.difference(ours, theirs)
            likelier = f"its probabilities fit the labels of the validation images better, by {gap:.3f} nats per image (standard error {error:.3f})"
            return Shipped(other, f"{other.subject} beats {before.subject}: {likelier}; {told}")
    return shipped


def compared(first: Contender, second: Contender, labels: np.ndarray) -> str:
    """Two contenders in words and numbers."""
    ours, theirs = first.gain(labels), second.gain(labels)
    n = len(labels)
    start = (
        f"{first.subject} balanced accuracy {ours.mean():.1%} on {n} images"
        if first.goal.even
        else f"{first.subject} {ours.mean():.1%} of {n} images right"
    )
    said = paired.points(paired.difference(ours, theirs)[0], *paired.interval(ours, theirs))
    return f"{start}, {second.subject} {theirs.mean():.1%} ({said})"
