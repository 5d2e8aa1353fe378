"""Did transfer help? Two arms, each trained from several seeds and validated on the same held-out images: the difference and its interval.

Every interval is the difference ± t x its standard error; each end errs at the rate `level`. What varies depends on the design:

- crossed (every seed is validated on the same images): seeds and images are random effects, as are readers and cases in studies of
  diagnosis. The mean of the paired differences (seeds, images) has the variance (MS_seeds + max(MS_images - MS_residual, 0)) / (seeds x
  images), on Satterthwaite's degrees of freedom of these two terms (Obuchowski & Rockette, Commun. Stat. Simul. 24, 1995; Hillis, Stat.
  Med. 26, 2007).
- folds (seed s is validated on fold s, so that each image counts once): the mean square between folds holds both variances, that within
  folds the images' alone. The larger counts, on its own degrees of freedom. Folds share training images, which no estimate can count
  (Bengio & Grandvalet, JMLR 5, 2004).
- fewer than five seeds: too few to estimate what they vary by. Images alone count (paired t), and the result says so: it is indicative.

A few images that all agree prove little, so the variance is never taken to be less than |difference| (u - |difference|) / images, as if all
images that differ at all did so by u, and to the same side; u is 1 for one seed, and less where seeds differ about the same image. Alone it
gives Wilson's score interval (J. Am. Stat. Assoc. 22, 1927); no interval has zero width. Images too few for a sign test at `level` (five
are enough at 5%, seven at 1%) prove nothing: -1 to 1.

How often the verdict errs is simulated by benchmarks/verdict_error.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.statistics import intervals
from headstart.statistics.records import Record

ENOUGH_SEEDS = 5  # to estimate the variance between seeds
SHARE = 0.9  # of the better arm's final score: the level whose steps are counted
BLOCK = 10_000_000  # image weights drawn at a time


def compare(
    first: list[Record],
    second: list[Record],
    *,
    level: float = 0.05,
    margin: float = 0.01,
    resamples: int = 2000,
    seed: int = 0,
    names: tuple[str, str] = ("first", "second"),
) -> dict[str, Any]:
    """Start, slope and asymptote of two arms and the answer that follows, as plain JSON values; differences are first - second.

    Trials of the same index share their images; over the seeds, images are all the same (crossed) or none is (folds), else ValueError.
    `level` is the error rate of one end of an interval; `margin` the difference (a share) beyond which an arm counts as better; `names`
    are for the evidence.

    slope: steps to SHARE of the better arm's final score, the median over seeds, null where never reached; `reached` counts the seeds that
    did. Its interval resamples images, and from five on seeds (the pigeonhole bootstrap of Owen, Ann. Appl. Stat. 1, 2007). An arm that
    never gets there takes more steps than it was given, without bound: an end that this leaves open is null.
    """
    crossed = _crossed(first, second)
    aligned = [[_sorted(one) for one in arm] for arm in (first, second)]
    start = _score([[one.right[0] for one in arm] for arm in aligned], crossed, level)
    final = _score([[one.right[one.best] for one in arm] for arm in aligned], crossed, level)
    low, high = final["interval"]
    answer = "positive" if low > margin else "negative" if high < -margin else "none_shown"
    standing = "established" if len(first) >= ENOUGH_SEEDS else "indicative"
    return {
        "answer": answer,
        "standing": standing,
        "evidence": _evidence(final, answer, standing, level, margin, names),
        "design": "crossed" if crossed else "folds",
        "level": level,
        "margin": margin,
        "start": start,
        "slope": _slope(aligned, crossed, level, resamples, np.random.default_rng(seed)),
        "asymptote": final,
    }


def steps_to(right: np.ndarray, steps: np.ndarray, threshold: float) -> int | None:
    """The steps (rows,) at which the share of right (rows, n) first is at least `threshold`; None if it never is."""
    reached = np.flatnonzero(_at_least(right.mean(axis=1), threshold))
    return int(steps[reached[0]]) if len(reached) else None


def _crossed(first: list[Record], second: list[Record]) -> bool:
    """Whether all seeds share their images. Raises ValueError where the trials do not match, or fit no design."""
    if not first or len(first) != len(second):
        raise ValueError(f"{len(first)} trials of the first arm and {len(second)} of the second: give one of each for every seed")
    images = [np.sort(one.images) for one in first]
    for number, (own, other) in enumerate(zip(images, second, strict=True)):
        if not len(own) or not np.array_equal(own, np.sort(other.images)):
            raise ValueError(f"trials {number} of the two arms hold out different images, or none: validate both on the same")
    if all(np.array_equal(images[0], other) for other in images[1:]):
        return True
    if len(np.unique(np.concatenate(images))) < sum(len(np.unique(some)) for some in images):
        raise ValueError("the seeds share some held-out images only: validate all on the same images, or each on images of its own")
    return False


def _sorted(one: Record) -> Record:
    """The trial with its images in order, so that those of other trials match."""
    order = np.argsort(one.images, kind="stable")
    return Record(one.images[order], one.right[:, order], one.steps, one.best)


def _score(arms: list[list[np.ndarray]], crossed: bool, level: float) -> dict[str, Any]:
    """Mean scores of two arms, and their difference with its interval; an arm is which images (n,) were right for each seed."""
    seeds = len(arms[0])
    together = np.stack if crossed else np.concatenate
    first, second = (together(arm).astype(np.float64) for arm in arms)
    differences = first - second
    if seeds < ENOUGH_SEEDS:
        low, high = intervals.images(differences.mean(0) if crossed else differences, level)
    elif crossed:
        low, high = intervals.crossed(differences, level)
    else:
        low, high = intervals.folds(differences, np.repeat(np.arange(seeds), [len(one) for one in arms[0]]), level)
    return {
        "first": float(first.mean()),
        "second": float(second.mean()),
        "difference": float(differences.mean()),
        "interval": [float(low), float(high)],
        "n_images": first.shape[-1],
        "n_seeds": seeds,
    }


def _slope(arms: list[list[Record]], crossed: bool, level: float, resamples: int, random: np.random.Generator) -> dict[str, Any]:
    """Steps to the threshold, as they are and with the interval of their difference; see `compare`."""
    seeds = len(arms[0])
    threshold, steps = _steps(arms, [[one.right.mean(axis=1)[None] for one in arm] for arm in arms], np.arange(seeds)[None])
    drawn = []
    size = max(BLOCK // max(len(one.images) for one in arms[0]), 1)
    for start in range(0, resamples, size):
        count = min(size, resamples - start)
        weights = [_weights(len(one.images), count, random) for one in (arms[0][:1] if crossed else arms[0])] * (seeds if crossed else 1)
        chosen = random.integers(seeds, size=(count, seeds)) if seeds >= ENOUGH_SEEDS else np.tile(np.arange(seeds), (count, 1))
        scores = [[weight @ one.right.T.astype(np.float32) for weight, one in zip(weights, arm, strict=True)] for arm in arms]
        drawn.append(_steps(arms, scores, chosen)[1])
    (first, first_most), (second, second_most) = np.concatenate(drawn, axis=2)
    reached = [sum(steps_to(one.right, one.steps, threshold[0]) is not None for one in arm) for arm in arms]
    return {
        "threshold": float(threshold[0]),
        "first": _finite(steps[0, 1, 0]),
        "second": _finite(steps[1, 1, 0]),
        "difference": _finite(steps[0, 1, 0] - steps[1, 1, 0]) if np.isfinite(steps).all() else None,
        "interval": [_finite(_low(first - second_most, level)), _finite(-_low(second - first_most, level))],
        "reached": {"first": reached[0], "second": reached[1]},
    }


def _steps(arms: list[list[Record]], scores: list[list[np.ndarray]], chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds (resamples,), and for each arm the least and the most that the median of its steps to them can be, (2, 2, resamples).

    A trial that never got there takes more than its last step: at least that, at most infinitely many.
    scores: of each arm and seed (resamples, rows); chosen: the seeds that count (resamples, seeds).
    """
    final = [np.stack([score[:, one.best] for one, score in zip(*pair, strict=True)], axis=1) for pair in zip(arms, scores, strict=True)]
    threshold = SHARE * np.maximum(*(np.take_along_axis(some, chosen, axis=1).mean(axis=1) for some in final))
    medians = []
    for arm, of_seeds in zip(arms, scores, strict=True):
        least, most = [], []
        for one, score in zip(arm, of_seeds, strict=True):
            reached = _at_least(score, threshold[:, None])
            at = one.steps[reached.argmax(axis=1)]
            least.append(np.where(reached.any(axis=1), at, one.steps[-1]))
            most.append(np.where(reached.any(axis=1), at, np.inf))
        medians.append([np.median(np.take_along_axis(np.stack(some, axis=1), chosen, axis=1), axis=1) for some in (least, most)])
    return threshold, np.array(medians)


def _low(values: np.ndarray, level: float) -> float:
    return float(np.quantile(values, level, method="inverted_cdf"))


def _at_least(score: np.ndarray, threshold: np.ndarray | float) -> np.ndarray:
    """Whether a score reaches a threshold; sums of float32 weights are off by less than 1e-6."""
    return score >= threshold - 1e-6


def _weights(n: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Weights (count, n) of n images in `count` bootstrap resamples."""
    rows = random.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
    return (np.bincount(rows.ravel(), minlength=count * n).reshape(count, n) / n).astype(np.float32)


def _finite(value: float) -> float | None:
    return float(value) + 0.0 if np.isfinite(value) else None  # no -0.0


def _evidence(score: dict[str, Any], answer: str, standing: str, level: float, margin: float, names: tuple[str, str]) -> str:
    """The asymptote in plain words."""
    seeds, (low, high) = score["n_seeds"], score["interval"]
    counted = "seeds and images" if standing == "established" else "images only"
    points = f"{100 * margin:g} point" + "s" * (round(100 * margin, 9) != 1)
    says = {
        "positive": f"Higher by more than {points}.",
        "negative": f"Lower by more than {points}.",
        "none_shown": f"Neither a gain nor a loss of more than {points} is shown.",
    }
    return (
        f"{names[0]} {score['first']:.1%} of {score['n_images']:,} held-out images right, {names[1]} {score['second']:.1%}"
        f"{f' ({seeds} seeds each)' if seeds > 1 else ''}: {100 * score['difference']:+.1f} points ({100 - 200 * level:g}% interval "
        f"{100 * low:+.1f} to {100 * high:+.1f}, over {counted}: {standing}). {says[answer]}"
    )
