"""Linear heads on frozen features: multinomial logistic regression by L-BFGS.

The L2 penalty is chosen by cross-validation.
Features are standardised, read in blocks from disk (memory does not grow with the number of images), and the path of penalties is
walked from the strongest to the weakest, each solution starting the next (Friedman, Hastie & Tibshirani, J. Stat. Softw. 33, 2010).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

from headstart.base import reading
from headstart.base.cores import in_order
from headstart.base.devices import CPU, Device
from headstart.base.reading import Features, Selected
from headstart.linear import row_space
from headstart.linear.standardised import moments as moments
from headstart.machinery.progress import Progress
from headstart.networks.heads import Head
from headstart.statistics import goals, likelihood
from headstart.statistics.goals import ACCURACY, Goal

if TYPE_CHECKING:
    from headstart.linear.on_card import Rows

IN_MEMORY = 256 * 2**20  # bytes of features up to which one copy is kept in memory; beyond, they are read again at every step
MAX_ITERATIONS = 500
GRADIENT_TOLERANCE = 1e-5  # of the mean loss: far below what moves a prediction
LOSS_TOLERANCE = 1e-8  # relative; float32 features carry no more
PATIENCE = 2  # penalties
FOLDS, PENALTIES = 5, [1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1]  # if no parameters say others
WIDER = (3.0, 10.0)  # factors by which the grid of penalties is widened at the end where the best one is, as often as need be
WEAKEST, STRONGEST = 1e-4, 1e6  # penalties, beyond which there is nothing to gain
GAIN = 1e-3  # nats by which a wider grid has to be better for it to be widened again


@dataclass(frozen=True)
class CrossValidated:
    """The penalty chosen by cross-validation and what it was chosen by."""

    penalty: float
    path: list[dict[str, float]]  # penalty, log_loss, accuracy
    held_out: np.ndarray  # out-of-fold logits (n, classes) at that penalty
    balanced: bool = False  # whether every class weighed the same in the fits
    others: Sequence[np.ndarray] = ()  # such logits of other features of the same rows

    @property
    def figures(self) -> dict[str, float]:
        """The figures of the chosen penalty."""
        return next(row for row in self.path if row["penalty"] == self.penalty)


def fit(
    features: Features,
    labels: np.ndarray,
    folds: np.ndarray,
    *,
    classes: int,
    penalties: list[float],
    balanced: bool | None = False,
    goal: Goal = ACCURACY,
    what: str,
    device: Device = CPU,
) -> tuple[Head, CrossValidated]:
    """Choose the penalty of lowest cross-validated log loss, then fit on all rows.

    If the best is at an end of the grid, the grid is widened there.

    features: (n, d); labels: (n,) integers below `classes`; folds: (n,) the fold each row is held out in; what: the progress line.
    balanced: whether every class weighs the same in the fits; None: whichever does better if classes count alike in the goal, else not. goal: says how much an image counts in the log loss.
    If classes count alike in the goal, the logits keep to the shares of the classes, however the fits were weighted. On a card (`device`) the
    same fits are computed from features that lie there (on_card.py).
    """
    features, there = _at_hand(features), _on(device, features, labels)
    ways = (False, True) if balanced is None and goal.even else (bool(balanced),)
    how = partial(_widened, features, labels, folds, classes=classes, penalties=penalties, goal=goal, what=what, there=there)
    tried = [how(balanced=way) for way in ways]
    validated = min(tried, key=lambda one: one.figures["log_loss"])
    walked = [row["penalty"] for row in validated.path if row["penalty"] >= validated.penalty]
    with threadpool_limits(1):
        *_, head = _path(features, labels, classes, walked, row_weights(labels, classes, validated.balanced), there)
    return replace(head, bias=head.bias + _restored(labels, classes, validated.balanced, goal)), validated


def once(features: Features, labels: np.ndarray, *, classes: int, penalty: float, balanced: bool, goal: Goal) -> Head:
    """The head of one penalty, in the calling thread; arguments as for `fit`."""
    (head,) = _path(_at_hand(features), labels, classes, [penalty], row_weights(labels, classes, balanced))
    return replace(head, bias=head.bias + _restored(labels, classes, balanced, goal))


def weighted(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, *, classes: int, penalty: float, start: Head | None = None
) -> Head:
    """The head of one penalty on rows (n, d) that count by their weights (n,), in the calling thread; sought from the head `start` on."""
    (head,) = _path(features, labels, classes, [penalty], weights, begin=start)
    return head


def cross_validate(
    features: Features,
    labels: np.ndarray,
    folds: np.ndarray,
    *,
    classes: int,
    penalties: list[float],
    balanced: bool = False,
    goal: Goal = ACCURACY,
    others: Sequence[np.ndarray] = (),
    what: str,
    there: Rows | None = None,
) -> CrossValidated:
    """Figures of each penalty, from the strongest down, and the out-of-fold logits of the best.

    Arguments as for `fit`. The same heads give logits of each of `others` (n, d), whose rows are those of `features`. `there`: the features on a card.

    Stops once PATIENCE penalties in a row were worse than the best: weaker ones only overfit more, and take longest to fit.
    """
    weights = row_weights(labels, classes, balanced)
    counts = goal.counts(labels) if goal.even else weights
    shift, prior = _restored(labels, classes, balanced, goal), goals.shares(labels, classes)
    path = sorted(set(penalties), reverse=True)
    held = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
    features = _at_hand(features)
    # A fold leaves rows out by giving them no weight, so that all folds read the same rows and none needs a copy of its own.
    walks = [_path(features, labels, classes, path, np.where(folds == fold, 0.0, weights), there) for fold in range(len(held))]
    figures: list[dict[str, float]] = []
    best, best_logits, worse = np.inf, np.zeros((1 + len(others), len(labels), classes), np.float32), 0
    # One BLAS thread per fit, and one fit per core if that pays: the products are too narrow to share, and no result depends on the cores.
    with Progress(len(path) * len(held), what) as progress, threadpool_limits(1):
        for penalty in path:
            every = np.empty_like(best_logits)
            logits = every[0]
            for rows, head in zip(held, _by_core(features)(next, walks), strict=True):
                for place, given in zip(every, [features, *others], strict=True):
                    place[rows] = head.logits(Selected(given, rows)) + shift
                progress.step()
            losses = -likelihood.of_labels(goal.seen(logits, prior), labels)
            loss = float((counts * losses).sum() / counts.sum())
            figures.append({"penalty": penalty, "log_loss": loss, "accuracy": float((logits.argmax(1) == labels).mean())})
            worse = 0 if loss < best else worse + 1
            if loss < best:
                best, best_logits = loss, every
            if worse == PATIENCE:
                break
        progress.total = progress.done
    return CrossValidated(
        min(figures, key=lambda row: row["log_loss"])["penalty"], figures, best_logits[0], balanced, list(best_logits[1:])
    )


def _by_core(features: Features) -> Callable[..., Iterator[Head]]:
    """How fits on features are spread: over the cores, or one after the other."""
    return map if row_space.short(*features.shape) else in_order


def _restored(labels: np.ndarray, classes: int, balanced: bool, goal: Goal) -> np.ndarray:
    """What is added to the logits (classes,) of a fit in which every class weighed the same, so that they keep to the shares of the classes.

    Nothing, if that weighting is all by which the goal is followed.
    """
    return np.log(goals.shares(labels, classes)).astype(np.float32) if balanced and goal.even else np.zeros(classes, np.float32)


def _widened(
    features: Features,
    labels: np.ndarray,
    folds: np.ndarray,
    *,
    classes: int,
    penalties: list[float],
    balanced: bool,
    goal: Goal,
    what: str,
    there: Rows | None = None,
) -> CrossValidated:
    """As cross_validate; while the best penalty is at an end of several, others beyond it are tried, a decade at a time, if that pays.

    A single penalty is a choice, and stays. The stronger ones are tried in one go, as the walk begins with them.
    """
    how = partial(cross_validate, features, labels, folds, classes=classes, balanced=balanced, goal=goal, there=there)
    found = how(penalties=penalties, what=what)
    while len(set(penalties)) > 1:
        tried = [row["penalty"] for row in found.path]
        beyond = [found.penalty * step for step in WIDER] if found.penalty == max(tried) else []
        beyond += [found.penalty / step for step in WIDER] if found.penalty == min(penalties) else []
        beyond = [penalty for penalty in beyond if WEAKEST <= penalty <= STRONGEST]
        if not beyond:
            return found
        more = how(penalties=beyond, what=f"{what} beyond the grid")
        gain = found.figures["log_loss"] - more.figures["log_loss"]
        best = more if gain > 0 else found
        path = sorted([*found.path, *more.path], key=lambda row: -row["penalty"])
        penalties, found = [*penalties, *beyond], CrossValidated(best.penalty, path, best.held_out, balanced)
        if gain < GAIN:
            return found
    return found


def row_weights(labels: np.ndarray, classes: int, balanced: bool) -> np.ndarray:
    """Weights (n,) of mean 1: equal, or such that every class weighs the same."""
    if not balanced:
        return np.ones(len(labels))
    counts = np.bincount(labels, minlength=classes)
    return len(labels) / (np.count_nonzero(counts) * counts[labels])


def _at_hand(features: Features) -> Features:
    """The features in memory if they are few, else as they are."""
    return features[:].astype(np.float32, copy=False) if len(features) * features.shape[1] * 4 <= IN_MEMORY else features


def _on(device: Device, features: Features, labels: np.ndarray) -> Rows | None:
    """The features on the first card, if there is one and they are not too many."""
    if device.kind == "cpu":
        return None
    from headstart.linear.on_card import LARGEST, Rows

    return Rows(features, labels, device.all()[0]) if len(features) * features.shape[1] * 4 <= LARGEST else None


def _path(
    features: Features,
    labels: np.ndarray,
    classes: int,
    penalties: list[float],
    weights: np.ndarray,
    there: Rows | None = None,
    begin: Head | None = None,
) -> Iterator[Head]:
    """Yield the head of each penalty in turn, fitted on the rows that have a weight; the first is sought from the head `begin` on."""
    share = weights / weights.sum()
    counted = np.flatnonzero(weights)
    mean, scale = moments(features, weights > 0)
    space, on_card = None, None
    if isinstance(features, np.ndarray) and row_space.pays(len(counted), len(mean), card=there is not None):
        space = row_space.RowSpace.of((features[counted].astype(np.float64) - mean) / scale)
    elif there is not None:
        on_card = there.objective(mean, scale, share)
    places = labels[counted], np.arange(len(counted))
    start = np.zeros((classes, (len(mean) if space is None else space.coordinates.shape[1]) + 1), np.float64)
    if begin is not None:
        weight = begin.weight * scale
        start[:, :-1], start[:, -1] = weight if space is None else space.to(weight), begin.bias + begin.weight @ mean
    for penalty in penalties:
        if on_card is not None:
            start = _least(on_card, start, penalty)
            weight = start[:, :-1] / scale
        elif space is None:
            start = _least(_objective, start, features, labels, mean, scale, penalty, share)
            weight = start[:, :-1] / scale
        else:
            start = _least(row_space.objective, start, space.coordinates, places, penalty / len(mean), share[counted])
            weight = space.back(start[:, :-1]) / scale
        yield Head(weight.astype(np.float32), (start[:, -1] - weight @ mean).astype(np.float32))


def _least(objective: Callable[..., tuple[float, np.ndarray]], start: np.ndarray, *given: object) -> np.ndarray:
    """The parameters (classes, width + 1) at which an objective is least, sought from `start` on."""
    options = {"maxiter": MAX_ITERATIONS, "gtol": GRADIENT_TOLERANCE, "ftol": LOSS_TOLERANCE, "maxcor": 20}
    found: np.ndarray = minimize(objective, start.ravel(), args=given, jac=True, method="L-BFGS-B", options=options).x.reshape(start.shape)
    return found


def _objective(
    flat: np.ndarray, features: Features, labels: np.ndarray, mean: np.ndarray, scale: np.ndarray, penalty: float, weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """The loss of a head over standardised features, and its gradient.

    The loss is the weighted mean cross-entropy + penalty / (2 d) |W|^2; the bias is free.
    Dividing by the number of features d makes one grid of penalties fit networks of any width.
    """
    parameters = flat.reshape(-1, len(mean) + 1)
    weight = parameters[:, :-1]
    folded = (weight / scale).astype(np.float32)
    bias = (parameters[:, -1] - folded @ mean).astype(np.float32)
    loss, inner, outer = 0.0, np.zeros(weight.shape), np.zeros(len(weight))
    for part in reading.blocks(len(features)):
        block = features[part].astype(np.float32, copy=False)
        logits = (block @ folded.T + bias).astype(np.float64)
        norm = logsumexp(logits, axis=1, keepdims=True)
        here = np.arange(len(block))
        loss += float((weights[part] * (norm[:, 0] - logits[here, labels[part]])).sum())
        residual = np.exp(logits - norm)
        residual[here, labels[part]] -= 1
        residual *= weights[part][:, None]
        inner += residual.astype(np.float32).T @ block
        outer += residual.sum(0)
    gradient = np.empty_like(parameters)
    gradient[:, :-1] = (inner - outer[:, None] * mean) / scale + penalty / len(mean) * weight
    gradient[:, -1] = outer
    return loss + penalty / (2 * len(mean)) * float((weight**2).sum()), gradient.ravel()
