"""Linear heads on frozen features: multinomial logistic regression by L-BFGS, its L2 penalty chosen by cross-validation.

Features are standardised, read in blocks from disk (memory does not grow with the number of images), and the path of penalties is
walked from the strongest to the weakest, each solution starting the next (Friedman, Hastie & Tibshirani, J. Stat. Softw. 33, 2010).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from threadpoolctl import threadpool_limits

from headstart.cores import in_order
from headstart.progress import Progress

BLOCK = 4096  # rows read at a time
IN_MEMORY = 256 * 2**20  # bytes of features up to which one copy is kept in memory; beyond, they are read again at every step
MAX_ITERATIONS = 500
GRADIENT_TOLERANCE = 1e-5  # of the mean loss: far below what moves a prediction
LOSS_TOLERANCE = 1e-8  # relative; float32 features carry no more
PATIENCE = 2  # penalties
FOLDS, PENALTIES = 5, [1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1]  # where no parameters say other ones
LEAST_SCALE = 0.1  # of the median of the features' standard deviations: less counts as that much


class Features(Protocol):
    """Rows (n, d) that are read by slice or by integer array: a NumPy array, or store.Rows."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice | np.ndarray, /) -> np.ndarray: ...


class Selected:
    """Some rows of features, read only when asked for."""

    def __init__(self, features: Features, rows: np.ndarray) -> None:
        self._features, self._rows = features, rows
        self.shape = (len(rows), features.shape[1])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        return self._features[self._rows[index]]


@dataclass(frozen=True)
class Head:
    """Logits of features x (n, d) are x @ weight.T + bias: weight (classes, d), bias (classes,), float32."""

    weight: np.ndarray
    bias: np.ndarray

    def logits(self, features: Features) -> np.ndarray:
        """(n, d) -> (n, classes), float32."""
        out = np.empty((len(features), len(self.bias)), np.float32)
        for part in blocks(len(features)):
            out[part] = features[part].astype(np.float32) @ self.weight.T + self.bias
        return out


@dataclass(frozen=True)
class CrossValidated:
    """The penalty chosen by cross-validation and what it was chosen by."""

    penalty: float
    path: list[dict[str, float]]  # penalty, log_loss, accuracy
    held_out: np.ndarray  # out-of-fold logits (n, classes) at that penalty

    @property
    def figures(self) -> dict[str, float]:
        """The figures of the chosen penalty."""
        return next(row for row in self.path if row["penalty"] == self.penalty)


def fit(
    features: Features, labels: np.ndarray, folds: np.ndarray, *, classes: int, penalties: list[float], balanced: bool = False, what: str
) -> tuple[Head, CrossValidated]:
    """Choose the penalty of lowest cross-validated log loss, then fit on all rows.

    features: (n, d); labels: (n,) integers below `classes`; folds: (n,) the fold each row is held out in; what: the progress line.
    """
    validated = cross_validate(features, labels, folds, classes=classes, penalties=penalties, balanced=balanced, what=what)
    walked = [row["penalty"] for row in validated.path if row["penalty"] >= validated.penalty]
    weights = row_weights(labels, classes, balanced)
    with threadpool_limits(1):
        *_, head = _path(_at_hand(features), labels, classes, walked, weights)
    return head, validated


def cross_validate(
    features: Features, labels: np.ndarray, folds: np.ndarray, *, classes: int, penalties: list[float], balanced: bool = False, what: str
) -> CrossValidated:
    """Figures of each penalty, from the strongest down, and the out-of-fold logits of the best. Arguments as for `fit`.

    Stops once PATIENCE penalties in a row were worse than the best: weaker ones only overfit more, and take longest to fit.
    """
    weights = row_weights(labels, classes, balanced)
    path = sorted(set(penalties), reverse=True)
    held = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
    features = _at_hand(features)
    # A fold leaves rows out by giving them no weight, so that all folds read the same rows and none needs a copy of its own.
    walks = [_path(features, labels, classes, path, np.where(folds == fold, 0.0, weights)) for fold in range(len(held))]
    figures: list[dict[str, float]] = []
    best, best_logits, worse = np.inf, np.zeros((len(labels), classes), np.float32), 0
    # One BLAS thread a fit and a fit a core: the products are too narrow to share, and the result does not depend on the number of cores.
    with Progress(len(path) * len(held), what) as progress, threadpool_limits(1):
        for penalty in path:
            logits = np.empty((len(labels), classes), np.float32)
            for rows, head in zip(held, in_order(next, walks), strict=True):
                logits[rows] = head.logits(Selected(features, rows))
                progress.step()
            losses = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]
            loss = float((weights * losses).sum() / weights.sum())
            figures.append({"penalty": penalty, "log_loss": loss, "accuracy": float((logits.argmax(1) == labels).mean())})
            worse = 0 if loss < best else worse + 1
            if loss < best:
                best, best_logits = loss, logits
            if worse == PATIENCE:
                break
        progress.total = progress.done
    return CrossValidated(min(figures, key=lambda row: row["log_loss"])["penalty"], figures, best_logits)


def split_folds(labels: np.ndarray, groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Stratified folds (n,) that keep the near-duplicates of a group together.

    Raises nothing: where a class has fewer groups than `count`, some folds lack it.
    """
    random = np.random.default_rng(seed)
    folds = np.zeros(len(labels), dtype=np.int64)
    filled = np.zeros(count, dtype=np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        names, inverse, sizes = np.unique(groups[rows], return_inverse=True, return_counts=True)
        assigned, here = np.zeros(len(names), dtype=np.int64), np.zeros(count, dtype=np.int64)
        for group in sorted(random.permutation(len(names)), key=lambda g: -sizes[g]):
            fold = min(range(count), key=lambda f: (here[f], filled[f], f))
            assigned[group] = fold
            here[fold] += sizes[group]
            filled[fold] += sizes[group]
        folds[rows] = assigned[inverse]
    # A group under two labels may have been parted: all of it goes where its first image went.
    first = dict(zip(groups[::-1], folds[::-1], strict=True))
    folds = np.array([first[group] for group in groups], dtype=np.int64)
    return np.unique(folds, return_inverse=True)[1]


def row_weights(labels: np.ndarray, classes: int, balanced: bool) -> np.ndarray:
    """Weights (n,) of mean 1: equal, or such that every class weighs the same."""
    if not balanced:
        return np.ones(len(labels))
    counts = np.bincount(labels, minlength=classes)
    return len(labels) / (np.count_nonzero(counts) * counts[labels])


def blocks(n: int, size: int | None = None) -> list[slice]:
    """Slices of at most `size` rows (BLOCK where none is given) that cover n rows."""
    size = BLOCK if size is None else size
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def save(path: Path, heads: dict[str, Head]) -> None:
    """Write heads by name into one safetensors file."""
    from safetensors.numpy import save_file

    save_file(
        {f"{name}.{part}": np.ascontiguousarray(getattr(head, part)) for name, head in heads.items() for part in ("weight", "bias")}, path
    )


def load(path: Path, name: str) -> Head:
    """Read the head called `name`."""
    from safetensors.numpy import load_file

    tensors = load_file(path)
    return Head(tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def _at_hand(features: Features) -> Features:
    """The features in memory where they are few, else as they are."""
    return features[:].astype(np.float32, copy=False) if len(features) * features.shape[1] * 4 <= IN_MEMORY else features


def _path(features: Features, labels: np.ndarray, classes: int, penalties: list[float], weights: np.ndarray) -> Iterator[Head]:
    """Yield the head of each penalty in turn, fitted on the rows that have a weight."""
    share = weights / weights.sum()
    mean, scale = moments(features, weights > 0)
    start = np.zeros((classes, len(mean) + 1), np.float64)
    for penalty in penalties:
        result = minimize(
            _objective,
            start.ravel(),
            args=(features, labels, mean, scale, penalty, share),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MAX_ITERATIONS, "gtol": GRADIENT_TOLERANCE, "ftol": LOSS_TOLERANCE, "maxcor": 20},
        )
        start = result.x.reshape(start.shape)
        weight = start[:, :-1] / scale
        yield Head(weight.astype(np.float32), (start[:, -1] - weight @ mean).astype(np.float32))


def moments(features: Features, counted: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (d,) of the rows, or of those that are `counted` (n,), the least ones raised; all-constant features get 1."""
    total, square = np.zeros(features.shape[1]), np.zeros(features.shape[1])
    for part in blocks(len(features)):
        block = features[part].astype(np.float64)
        block = block if counted is None else block[counted[part]]
        total, square = total + block.sum(0), square + (block**2).sum(0)
    n = len(features) if counted is None else int(counted.sum())
    mean = total / n
    scale = np.sqrt(np.maximum(square / n - mean**2, 0))
    # A feature that is nearly always zero would throw off the one image in which it is not.
    scale = np.maximum(scale, LEAST_SCALE * np.median(scale))
    return mean, np.where(scale > 1e-6, scale, 1.0)


def _objective(
    flat: np.ndarray, features: Features, labels: np.ndarray, mean: np.ndarray, scale: np.ndarray, penalty: float, weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """Weighted mean cross-entropy + penalty / (2 d) |W|^2 over standardised features and its gradient; the bias is free.

    Dividing by the number of features d makes one grid of penalties fit networks of any width.
    """
    parameters = flat.reshape(-1, len(mean) + 1)
    weight = parameters[:, :-1]
    folded = (weight / scale).astype(np.float32)
    bias = (parameters[:, -1] - folded @ mean).astype(np.float32)
    loss, inner, outer = 0.0, np.zeros(weight.shape), np.zeros(len(weight))
    for part in blocks(len(features)):
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
