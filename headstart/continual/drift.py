"""Is the newest batch of another kind? A classifier two-sample test on frozen features, within classes, with a permutation's p-value.

A ridge regression tells new images from earlier ones (Lopez-Paz & Oquab, ICLR 2017), each image predicted by the others (leave-one-out, in
closed form). Its statistic is compared with those of permutations that swap new and earlier images of the same class only, so other shares
of the classes are no other looks; these have a test of their own. Images of one group count once: the frames of a video are no independent
images. The p-values are exact whatever the number of images; what few images cannot show is said instead.
"""

from __future__ import annotations

from math import comb

import numpy as np

from headstart.continual.outcome import Drift, Looks, Shares

COMPONENTS = 64  # of the features, of most variance, that the classifier looks at
PER_COMPONENT = 4  # images a component needs
BLOCK = 256  # permutations at a time


def measure(
    batch: str,
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    new: np.ndarray,
    *,
    level: float,
    permutations: int,
    most: int,
    seed: int,
) -> Drift:
    """The newest batch (`new` (n,) bool) against all before, from features (n, d), labels (n,) str and groups (n,).

    At most `most` images, drawn by `seed`, of either are looked at for their looks.
    """
    once = _one_a_group(groups, new)
    features, labels, new = features[once], labels[once], new[once]
    before = set(labels[~new].tolist())
    known = np.array([label in before for label in labels.tolist()])
    unknown = {str(label): int((labels[new] == label).sum()) for label in np.unique(labels[new & ~known])}
    random = np.random.default_rng(seed)
    looks = _looks(features, labels, new, level=level, permutations=permutations, most=most, random=random)
    shares = _shares(labels[known], new[known], permutations, random)
    found = ["looks"] * (looks["p"] is not None and looks["p"] <= level) + ["shares"] * (shares["p"] is not None and shares["p"] <= level)
    found += ["classes"] * bool(unknown)
    return {"batch": batch, "level": level, "looks": looks, "shares": shares, "new_classes": unknown, "found": found}


def _one_a_group(groups: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The first row of each group among the new and among the earlier rows."""
    pairs = np.stack([groups, new.astype(groups.dtype)], 1)
    return np.sort(np.unique(pairs, axis=0, return_index=True)[1])


def _looks(
    features: np.ndarray, labels: np.ndarray, new: np.ndarray, *, level: float, permutations: int, most: int, random: np.random.Generator
) -> Looks:
    both = set(labels[new].tolist()) & set(labels[~new].tolist())
    rows = np.flatnonzero([label in both for label in labels.tolist()])
    rows = np.sort(np.concatenate([_drawn(rows[new[rows] == kind], most, random) for kind in (True, False)]))
    names, classes = np.unique(labels[rows], return_inverse=True)
    is_new, sizes = new[rows], np.bincount(classes, minlength=len(names)) if len(rows) else np.zeros(0, int)
    fresh = np.bincount(classes[is_new], minlength=len(sizes)) if len(rows) else sizes
    told: Looks = {
        "n_new": int(is_new.sum()),
        "n_before": int((~is_new).sum()),
        "p": None,
        "told_apart": None,
        "least": least(np.unique(labels[~new], return_counts=True)[1], level),
    }
    if _arrangements(sizes, fresh, level) * level < 1 or (permutations + 1) * level < 1:
        return told
    target = is_new - (fresh / sizes)[classes]
    basis = _basis(features[rows], classes, len(sizes))
    observed, answers = _left_out(basis, target[:, None])
    more = 0
    for start in range(0, permutations, BLOCK):
        count = min(BLOCK, permutations - start)
        shuffled = np.stack([target[_within(classes, random)] for _ in range(count)], 1)
        more += int((_left_out(basis, shuffled)[0] >= observed[0] - 1e-12).sum())
    told["p"], told["told_apart"] = (1 + more) / (1 + permutations), _told_apart(answers[:, 0], is_new, classes)
    return told


def _drawn(rows: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= most else random.permutation(rows)[:most]


def least(sizes: np.ndarray, level: float) -> int:
    """The fewest new images, all of one class, for which a permutation's p can reach the level; `sizes` (classes,) are earlier images."""
    largest, count = int(sizes.max(initial=0)), 1
    while largest and comb(largest + count, count) * level < 1:
        count += 1
    return count if largest else 0


def _arrangements(sizes: np.ndarray, new: np.ndarray, level: float) -> float:
    """In how many ways new and earlier images can be swapped within classes; no more than matter are counted."""
    ways = 1.0
    for size, count in zip(sizes.tolist(), new.tolist(), strict=True):
        ways *= min(float(comb(size, count)) if size < 1000 else size, 1e9)
        if ways * level >= 1:
            break
    return ways if len(sizes) else 0.0


def _basis(features: np.ndarray, classes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal components (n, k) of what features have beside their class, and how much of each a ridge regression lets through (k,)."""
    x = features.astype(np.float64)
    sums = np.zeros((count, x.shape[1]))
    np.add.at(sums, classes, x)
    x -= (sums / np.bincount(classes)[:, None])[classes]
    spread = x.std(0)
    x /= np.where(spread > 0, np.maximum(spread, 0.1 * np.median(spread)), 1)
    left, values, _ = np.linalg.svd(x, full_matrices=False) if x.shape[0] <= x.shape[1] else _by_gram(x)
    kept = max(1, min(COMPONENTS, len(x) // PER_COMPONENT, int((values > 1e-9 * values[0]).sum())))
    values = values[:kept] ** 2
    return left[:, :kept], values / (values + np.median(values))


def _by_gram(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The singular vectors of a tall matrix, by way of its Gram matrix."""
    values, right = np.linalg.eigh(x.T @ x)
    values, right = np.sqrt(np.maximum(values[::-1], 0)), right[:, ::-1]
    return (x @ right) / np.where(values > 0, values, 1), values, right.T


def _left_out(basis: tuple[np.ndarray, np.ndarray], targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How well each of the targets (n, m) is foretold by the other rows: the statistic (m,), and what is foretold (n, m)."""
    left, through = basis
    fitted = left @ (through[:, None] * (left.T @ targets))
    own = (left**2 @ through)[:, None]
    answers = (fitted - own * targets) / np.maximum(1 - own, 1e-6)
    return (answers * targets).sum(0), answers


def _within(classes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A permutation (n,) of the rows that leaves each in its class."""
    order, shuffled = np.argsort(classes, kind="stable"), np.lexsort((random.random(len(classes)), classes))
    result = np.empty(len(classes), np.int64)
    result[order] = shuffled
    return result


def _told_apart(answers: np.ndarray, new: np.ndarray, classes: np.ndarray) -> float:
    """How often a new image is taken for newer than an earlier one of its class (0-1), over all such pairs."""
    right = pairs = 0.0
    for label in np.unique(classes):
        ours, theirs = answers[new & (classes == label)], np.sort(answers[~new & (classes == label)])
        below, upto = np.searchsorted(theirs, ours, "left"), np.searchsorted(theirs, ours, "right")
        right += float((below + upto).sum()) / 2
        pairs += len(ours) * len(theirs)
    return right / pairs if pairs else 0.5


def _shares(labels: np.ndarray, new: np.ndarray, permutations: int, random: np.random.Generator) -> Shares:
    """Whether known classes come in other shares: the chi-square statistic against permutations of which images are new."""
    names, classes = np.unique(labels, return_inverse=True)
    total, now = np.bincount(classes, minlength=len(names)), np.bincount(classes[new], minlength=len(names))
    fresh, earlier = int(now.sum()), int((total - now).sum())
    shares = {str(name): [float((total[i] - now[i]) / max(earlier, 1)), float(now[i] / max(fresh, 1))] for i, name in enumerate(names)}
    if not fresh or len(names) < 2:
        return {"p": None, "of_class": shares}
    expected = fresh * total / total.sum()
    drawn = random.multivariate_hypergeometric(total, fresh, size=permutations, method="marginals")
    more = int((((drawn - expected) ** 2 / expected).sum(1) >= ((now - expected) ** 2 / expected).sum() - 1e-9).sum())
    return {"p": (1 + more) / (1 + permutations), "of_class": shares}
