"""Paired observations of the same images: their difference, its standard error and interval, and who is better."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from headstart.statistics import intervals

LEVEL = 0.05  # error rate of one end of the interval that is told beside a difference; that of the verdict, too, unless it is set


def difference(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Mean of first - second over paired observations (n,), and its standard error (0 if n < 2)."""
    gaps = first.astype(np.float64) - second
    error = float(gaps.std(ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else 0.0
    return float(gaps.mean()), error


def interval(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Ends of the interval of the mean of first - second, right answers of the same images (n,); it never has zero width."""
    low, high = intervals.images(first.astype(np.float64) - second, LEVEL)
    return float(low), float(high)


def points(gap: float, low: float, high: float) -> str:
    """A difference of two shares and its interval in words: +5.0 points, 90% interval -1.2 to +11.4."""
    return f"{100 * gap:+.1f} points, {100 - 200 * LEVEL:g}% interval {100 * low:+.1f} to {100 * high:+.1f}"


def better(first: np.ndarray, second: np.ndarray, certainty: float | None = None) -> bool:
    """Whether the mean of `first` is higher by more than a paired standard error.

    With `certainty` (0-1), it must be higher by a one-sided paired t test. Both are arrays (n,) of the same images.
    """
    gap, error = difference(first, second)
    if certainty is None:
        return beyond_error(gap, error)
    return len(first) > 1 and gap > error * float(stdtrit(len(first) - 1, certainty))


def beyond_error(gap: float, error: float) -> bool:
    """Whether a mean difference is above its standard error.

    A gain of one image alone is exactly one standard error, whatever n: that is not enough, and is not left to rounding.
    """
    return gap > error * (1 + 1e-9)
