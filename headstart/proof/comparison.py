"""Did transfer help? The difference of two groups of trainings, and its interval.

Each group holds one record per seed (headstart/statistics/records.py), validated on the same held-out images as its partner in the other
group.
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
images that differ at all did so by u, and to the same side; u is 1 for one seed, and less if seeds differ about the same image. Alone it
gives Wilson's score interval (J. Am. Stat. Assoc. 22, 1927); no interval has zero width. Images too few for a sign test at `level` (five
are enough at 5%, seven at 1%) prove nothing: -1 to 1.

How often the answer is wrong is simulated by benchmarks/verdict_error.py.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from headstart.data.folding import ENOUGH_IMAGES
from headstart.proof import slopes
from headstart.proof.slopes import ENOUGH_SEEDS, Groups, Slope
from headstart.statistics import intervals
from headstart.statistics.records import Record

NOTABLE = 0.05  # difference in accuracy (0-1): few images that cannot rule it out cannot tell


class Score(TypedDict):
    """Accuracies (0-1) of two groups at one moment of training, and first - second with its interval."""

    first: float
    second: float
    difference: float
    interval: list[float]
    n_images: int
    n_seeds: int


class Comparison(TypedDict):
    """Start, slope and asymptote of two groups, and the answer, as they are in reports/verdict.json."""

    answer: str  # positive, none_shown, negative or too_few (images to tell)
    needed: int | None  # held-out images that would tell, if it is too_few and the difference stays what it is
    standing: str  # established or indicative
    evidence: str
    design: str  # crossed or folds
    level: float
    margin: float
    start: Score
    slope: Slope
    asymptote: Score


def compare(
    first: list[Record],
    second: list[Record],
    *,
    level: float = 0.05,
    margin: float = 0.01,
    resamples: int = 2000,
    seed: int = 0,
    names: tuple[str, str] = ("first", "second"),
) -> Comparison:
    """Compare two groups of records at the start, on the way and at the end.

    Differences are first - second. Records of the same index share their images; over the seeds, images are all the same (crossed) or
    none is (folds), else ValueError.
    `level` is the error rate of one end of an interval; `margin` the difference (a share) beyond which a group counts as better; `names`
    are for the evidence.

    slope: steps to slopes.SHARE of the better group's final score; `reached` counts the seeds that got there. Its interval resamples images, and
    from five on seeds (the pigeonhole bootstrap of Owen, Ann. Appl. Stat. 1, 2007). A record that never gets there takes more steps than
    it was given, without bound: an end that this leaves open is None.
    """
    crossed = _crossed(first, second)
    groups = ([_sorted(one) for one in first], [_sorted(one) for one in second])
    start = _score([[one.right[0] for one in group] for group in groups], crossed, level)
    final = _final(groups, crossed, level)
    found = _answer(final, margin)
    return {
        "answer": found,
        "needed": _needed(final, margin) if found == "too_few" else None,
        "standing": _standing(len(first)),
        "evidence": _evidence(final, found, "seeds" if crossed else "folds", level, margin, names),
        "design": "crossed" if crossed else "folds",
        "level": level,
        "margin": margin,
        "start": start,
        "slope": slopes.slope(groups, crossed, level, resamples, np.random.default_rng(seed)),
        "asymptote": final,
    }


def _standing(seeds: int) -> str:
    return "established" if seeds >= ENOUGH_SEEDS else "indicative"


def _answer(final: Score, margin: float) -> str:
    """Whether the interval lies beyond the margin, and on which side.

    If it does not, few images cannot tell when it leaves room for a difference of more than NOTABLE.
    """
    low, high = final["interval"]
    if low > margin:
        return "positive"
    if high < -margin:
        return "negative"
    open_ends = max(high, -low) > NOTABLE
    return "too_few" if open_ends and final["n_images"] < ENOUGH_IMAGES else "none_shown"


def answer(first: list[Record], second: list[Record], *, level: float, margin: float) -> str:
    """What the final scores alone say of the difference, in an interval of this level. Records and errors as in `compare`."""
    groups = ([_sorted(one) for one in first], [_sorted(one) for one in second])
    return _answer(_final(groups, _crossed(first, second), level), margin)


def _needed(final: Score, margin: float) -> int:
    """How many images would have an interval that is narrow enough, to two digits; intervals narrow by the root of their number."""
    low, high = final["interval"]
    wanted = max(abs(final["difference"]) - margin, NOTABLE)
    needed = final["n_images"] * max(((high - low) / 2 / wanted) ** 2, 1.1)
    unit = 10 ** max(len(str(int(needed))) - 2, 0)
    return int(-(-needed // unit) * unit)


def _crossed(first: list[Record], second: list[Record]) -> bool:
    """Whether all seeds share their images.

    Raises ValueError if the records do not match, or fit no design.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"{len(first)} records in the first group and {len(second)} in the second: give one of each for every seed")
    images = [np.sort(one.images) for one in first]
    for number, (own, other) in enumerate(zip(images, second, strict=True)):
        if not len(own) or not np.array_equal(own, np.sort(other.images)):
            raise ValueError(f"records {number} of the two groups hold out different images, or none: validate both on the same")
    if all(np.array_equal(images[0], other) for other in images[1:]):
        return True
    if len(np.unique(np.concatenate(images))) < sum(len(np.unique(some)) for some in images):
        raise ValueError("the seeds share some held-out images only: validate all on the same images, or each on images of its own")
    return False


def _sorted(one: Record) -> Record:
    """The record with its images in order, so that those of other records match."""
    order = np.argsort(one.images, kind="stable")
    return Record(one.images[order], one.right[:, order], one.steps, one.best)


def _score(groups: list[list[np.ndarray]], crossed: bool, level: float) -> Score:
    """Mean scores of two groups and their difference.

    A group is which images (n,) were right for each seed.
    """
    seeds = len(groups[0])
    together = np.stack if crossed else np.concatenate
    first, second = (together(group).astype(np.float64) for group in groups)
    differences = first - second
    if seeds < ENOUGH_SEEDS:
        low, high = intervals.images(differences.mean(0) if crossed else differences, level)
    elif crossed:
        low, high = intervals.crossed(differences, level)
    else:
        low, high = intervals.folds(differences, np.repeat(np.arange(seeds), [len(one) for one in groups[0]]), level)
    return {
        "first": float(first.mean()),
        "second": float(second.mean()),
        "difference": float(differences.mean()),
        "interval": [float(low), float(high)],
        "n_images": first.shape[-1],
        "n_seeds": seeds,
    }


def _final(groups: Groups, crossed: bool, level: float) -> Score:
    return _score([[one.right[one.best] for one in group] for group in groups], crossed, level)


def _evidence(score: Score, answer: str, runs: str, level: float, margin: float, names: tuple[str, str]) -> str:
    """The asymptote in plain words; `runs` are called seeds or folds."""
    seeds, (low, high) = score["n_seeds"], score["interval"]
    standing = _standing(seeds)
    counted = f"{runs} and images" if standing == "established" else "images only"
    surely = "" if answer == "too_few" else f": {standing}"  # of what is told
    noun = "point" if round(100 * margin, 9) == 1 else "points"
    says = {
        "positive": f"Higher by more than {100 * margin:g} {noun}.",
        "negative": f"Lower by more than {100 * margin:g} {noun}.",
        "too_few": f"Too few images to tell: a difference of more than {100 * NOTABLE:g} points is not ruled out.",
        "none_shown": f"Neither a gain nor a loss of more than {100 * margin:g} {noun} is shown.",
    }
    return (
        f"{names[0]} {score['first']:.1%} of {score['n_images']:,} held-out images right, {names[1]} {score['second']:.1%}"
        f"{f' ({seeds} {runs} each)' if seeds > 1 else ''}: {100 * score['difference']:+.1f} points ({100 - 200 * level:g}% interval "
        f"{100 * low:+.1f} to {100 * high:+.1f}, over {counted}{surely}). {says[answer]}"
    )
