"""When a model should not be believed: an answer that is unsure, and an image that is unlike all that it knows.

- unsure: the confidence below which an answer is left to a person. It is chosen on held-out images, for a share of errors among the answers that are given, or for a
  share of answers that are given (selective classification, Geifman & El-Yaniv, NeurIPS 2017). An error counts as reached if the upper Clopper-Pearson bound of the
  held-out images is not above it.
- unlike: the distance from the nearest known images from which on an image counts as none of the classes. Of images of the known kind a stated share is so far at most:
  the threshold is a split-conformal quantile of held-out distances (Vovk et al., 2005), which holds for any model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from headstart.statistics import operating


@dataclass(frozen=True)
class Unsure:
    """From which confidence an answer counts, and what that was chosen by."""

    confidence: float  # 0-1: what is below is unsure
    by: str  # error or coverage
    asked: float  # 0-1: the share of errors, or of answers, that was asked for
    n: int  # held-out images that it was chosen on
    coverage: float  # share (0-1) of them that is answered
    error: float  # share (0-1) of wrong answers among those
    bound: float  # what that error is at most, with operating.CERTAINTY
    reached: bool  # whether these images show what was asked for


@dataclass(frozen=True)
class Unlike:
    """From which distance an image is unlike all known ones, and what that was chosen by."""

    distance: float  # what is above is unlike
    neighbours: int  # the distance is that of the known image of this rank, from the nearest
    false_alarms: float  # share (0-1) of images of the known kind that are called unlike, at most
    n: int  # held-out images that it was chosen on
    known: int  # images that distances are taken from


def confidence(probabilities: np.ndarray, factors: np.ndarray | None = None) -> np.ndarray:
    """How sure a model is (n,) of the class that it names, from probabilities (n, classes) and the factors (classes,) of its operating point."""
    weighed = probabilities if factors is None else probabilities * factors
    return np.asarray(weighed.max(1) / np.maximum(weighed.sum(1), operating.FLOOR))


def choose_unsure(sure: np.ndarray, right: np.ndarray, by: str, asked: float) -> Unsure:
    """The confidence from which answers count, from those of held-out images (n,) and whether they are right (n,).

    by error: as many answers as can be given; if no cut keeps what is asked for, the one of the least bound. by coverage: the least confident are left out.
    """
    order = np.argsort(-sure, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(sure[order]) < 0, True))  # images of one confidence are answered together
    wrong, n = np.cumsum(~right[order].astype(bool))[ends], ends + 1
    bounds = 1 - operating.lower_bound(n - wrong, n)
    if by == "coverage":
        at = int(np.argmax(n >= asked * len(sure)))
    else:
        good = np.flatnonzero(bounds <= asked)
        at = int(good[-1]) if len(good) else int(len(bounds) - 1 - bounds[::-1].argmin())
    last = sure[order][ends[at]]
    after = sure[order][ends[at] + 1] if at + 1 < len(ends) else 0.0
    reached = by == "coverage" or bool(bounds[at] <= asked)
    share = float(n[at] / len(sure))
    return Unsure(float((last + after) / 2), by, asked, len(sure), share, float(wrong[at] / n[at]), float(bounds[at]), reached)


def conformal(distances: np.ndarray, false_alarms: float) -> float | None:
    """The threshold above which at most a share `false_alarms` of new images of the same kind lies, from held-out distances (n,).

    None if these are too few to say: for 5%, fewer than 19.
    """
    rank = math.ceil((len(distances) + 1) * (1 - false_alarms) - 1e-9)
    return float(np.sort(distances)[rank - 1]) if 0 < rank <= len(distances) else None


def unit(features: np.ndarray) -> np.ndarray:
    """Features (n, d) at length 1, float32."""
    values = np.asarray(features, np.float32)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))


def distances(features: np.ndarray, known: np.ndarray, neighbours: int) -> np.ndarray:
    """The cosine distance (n,) of features (n, d) from the known image of a rank, 1 being the nearest (Sun et al., ICML 2022).

    known: (m, d) at length 1; of fewer than `neighbours` the furthest counts.
    """
    rank = min(neighbours, len(known))
    alike = unit(features) @ np.asarray(known, np.float32).T
    return np.asarray(1 - np.partition(alike, -rank, axis=1)[:, -rank])
