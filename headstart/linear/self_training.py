"""Images without labels teach the head too: by the labels that it gives them itself, the surest first, as many of each class as labels say.

The head labels the images, learns from the surest part of them beside those that have labels, labels them again and learns from more
(Lee, ICML workshop 2013; the shares of the classes as in Zou et al., ECCV 2018). Both kinds of images weigh the same together. Whether that helps is asked of labelled images that were left out: each is judged by a head that
neither saw it nor any image that looks like it, trained with the images without labels and without them, and both are compared in pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from threadpoolctl import threadpool_limits

from headstart.base.cores import in_order
from headstart.linear import logistic
from headstart.linear.logistic import CrossValidated
from headstart.machinery.progress import Progress
from headstart.networks.heads import Head
from headstart.statistics import goals, likelihood, paired, probabilities
from headstart.statistics.goals import Goal

PARTS = (0.2, 0.4, 0.6, 0.8, 0.8)  # of the images of each class that are learned from, the surest, in each round
EVEN = 0.5  # how far the shares of the classes are held to those of the labels; the rest is what the head finds
CONFIDENCE = 0.9  # mean of the largest probability, when labels are given
SURE = 0.95  # one-sided, that left-out images gain, or that their labels are likelier


class Side(TypedDict):
    """What a head makes of labelled images that it did not see: gain (accuracy, or balanced accuracy; 0-1) and log likelihood (nats)."""

    gain: float
    log_likelihood: float


@dataclass(frozen=True)
class Pool:
    """Images without labels: features (m, d) and groups (m,), in one numbering with those of labelled images."""

    features: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class Taught:
    """A head that learned from images without labels too: which of them, bool (m,), and the labels (m,) that they got."""

    head: Head
    learned: np.ndarray
    named: np.ndarray


def teach(
    features: np.ndarray, labels: np.ndarray, pool: np.ndarray, *, classes: int, penalty: float, balanced: bool, goal: Goal
) -> Taught:
    """A head on labelled rows (n, d) and on the rows `pool` (m, d) that have no label, in the calling thread.

    The penalty is that of the labelled rows alone; it is as much lighter as there are more rows, so that the head believes the same of its
    weights before it sees images.
    """
    weights = logistic.row_weights(labels, classes, balanced) / len(labels)
    shares = goals.shares(labels, classes)
    shift = np.log(shares).astype(np.float32) if balanced and goal.even else np.zeros(classes, np.float32)
    head = logistic.weighted(features, labels, weights, classes=classes, penalty=penalty)
    learned, named = np.zeros(len(pool), bool), np.zeros(len(pool), np.int64)
    for part in PARTS if len(pool) else ():
        learned, named = surest(head.logits(pool) + shift, shares, part)
        both = np.concatenate([features, pool[learned]])
        given = np.concatenate([labels, named[learned]])
        theirs = logistic.row_weights(named[learned], classes, balanced) / learned.sum()
        lighter = penalty * len(labels) / len(both)
        head = logistic.weighted(both, given, np.concatenate([weights, theirs]), classes=classes, penalty=lighter, start=head)
    return Taught(Head(head.weight, head.bias + shift), learned, named)


def surest(logits: np.ndarray, shares: np.ndarray, part: float) -> tuple[np.ndarray, np.ndarray]:
    """The surest part (0-1) of the images of each class, bool (m,), and the class (m,) of each image, from logits (m, classes).

    Classes have shares (classes,) midway between those of the labels, `shares`, and those that the head finds, so that none swallows the
    others and one may be rarer.
    """
    certain = max(CONFIDENCE, 1.2 / len(shares))
    q = probabilities.tempered(logits.astype(np.float64), certain)
    q = probabilities.with_shares(q, EVEN * shares + (1 - EVEN) * q.mean(0))
    named = q.argmax(1)
    taken = np.zeros(len(q), bool)
    for label in range(len(shares)):
        mine = np.flatnonzero(named == label)
        taken[mine[np.argsort(-q[mine, label], kind="stable")][: int(np.ceil(part * len(mine)))]] = True
    return taken, named


def left_out(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    folds: np.ndarray,
    pool: Pool,
    *,
    classes: int,
    alone: CrossValidated,
    goal: Goal,
) -> np.ndarray:
    """Logits (n, classes) of each labelled row, by a head that was taught without its fold and without what looks like an image of it.

    folds, alone: those of the head on labels alone, whose penalty and weights are taken.
    """

    def fold(number: int) -> np.ndarray:
        held, seen = folds == number, folds != number
        usable = ~np.isin(pool.groups, groups[held])
        taught = teach(
            features[seen], labels[seen], pool.features[usable], classes=classes, penalty=alone.penalty, balanced=alone.balanced, goal=goal
        )
        return taught.head.logits(features[held])

    found = np.empty((len(labels), classes), np.float32)
    count = int(folds.max()) + 1
    with Progress(count, "images without labels, folds") as progress, threadpool_limits(1):
        for number, logits in enumerate(in_order(fold, range(count))):
            found[folds == number] = logits
            progress.step()
    return found


@dataclass(frozen=True)
class Compared:
    """Whether left-out images show that images without labels help, why, and both figures; the difference with its 90% interval."""

    helps: bool
    reason: str
    alone: Side
    taught: Side
    difference: list[float]


def compared(alone: np.ndarray, taught: np.ndarray, labels: np.ndarray, goal: Goal) -> Compared:
    """Compare logits (n, classes) of labelled images, by heads on labels alone and by such that were taught, none of which saw the image.

    It helps if the gain is higher by a paired t test, or if the labels are likelier by one and the gain is not lower by a standard error.
    Both are read at the best temperature, as how sure a head is overall moves no prediction.
    """
    shares, counts = goals.shares(labels, alone.shape[1]), goal.counts(labels)
    (before, old), (after, new) = (_read(logits, labels, shares, counts, goal) for logits in (alone, taught))
    gap = [paired.difference(after, before)[0], *paired.interval(after, before)]
    told = f"{paired.points(gap[0], gap[1], gap[2])}, on {len(labels)} labelled images that were left out"
    nats = float((new - old).mean())
    if paired.better(after, before, SURE):
        helps, reason = True, f"a head that learned from them has more right ({told})"
    elif paired.better(new, old, SURE) and not paired.better(before, after):
        helps, reason = True, f"a head that learned from them fits the labels better, by {nats:.3f} nats per image ({told})"
    else:
        helps, reason = False, f"they are not shown to help ({told})"
    return Compared(helps, reason, _side(before, old), _side(after, new), gap)


def _read(logits: np.ndarray, labels: np.ndarray, shares: np.ndarray, counts: np.ndarray, goal: Goal) -> tuple[np.ndarray, np.ndarray]:
    """The gain (n,) and the merit (n,) of each image."""
    even = logits / likelihood.temperature(logits, labels)
    return (goal.seen(logits, shares).argmax(1) == labels) * counts, goal.merits(even, labels, shares)


def _side(gains: np.ndarray, merits: np.ndarray) -> Side:
    return {"gain": float(gains.mean()), "log_likelihood": float(merits.mean())}
