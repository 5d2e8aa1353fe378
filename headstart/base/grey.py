"""The one scale that makes 8 bits of a data set's deep pictures: grey of 16 or 32 bits or of floating point, colour of 16 bits a channel.

A scale of its own for each picture would wipe out what tells a bright class from a dark one. Grey and colour share the scale, whatever
their channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Range = tuple[float, float]  # the value that is shown as black, the value that is shown as white
_WHITES = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # of 8, 10, 12, 14 and 16 bits
_USED = 1 / 4  # a data set that uses less than this of a camera's depth is stretched
_OUTLIERS = 0.1  # percent of a picture's pixels, at either end, that do not decide a scale: hot and dead ones


@dataclass(frozen=True)
class Grey:
    """What a data set shows as black and as white: of whole numbers, and of floating point. None: it has no such pictures."""

    integer: Range | None = None
    real: Range | None = None

    def to_json(self) -> dict[str, list[float]]:
        """Plain values; what there is none of is left out."""
        return {name: list(found) for name, found in (("integer", self.integer), ("real", self.real)) if found}

    @classmethod
    def from_json(cls, content: Mapping[str, Sequence[float]] | None) -> Grey | None:
        """What `to_json` gave; None of nothing."""
        return cls(**{name: (float(black), float(white)) for name, (black, white) in content.items()}) if content else None


@dataclass(frozen=True)
class Span:
    """The values of one picture: the darkest and the brightest but for outliers, and the white that the file declares (0: none)."""

    low: float
    high: float
    declared: float
    real: bool  # floating point


def span(values: np.ndarray, declared: float, real: bool) -> Span:
    """The span of a picture's raw values; what is brighter than the white that its file declares shows that it is not."""
    low, high = np.percentile(_finite(values), (_OUTLIERS, 100 - _OUTLIERS))
    return Span(float(low), float(high), declared if high <= declared else 0.0, real)


def choose(spans: Iterable[Span]) -> Grey | None:
    """One scale for all pictures of a data set; None if it has no deep ones.

    If every file declares its depth, the deepest is the scale. Otherwise it is the common depth (8, 10, 12, 14, 16 bits; 0 to 1 of floating
    point) that holds all values; values that fit none, or that use less than a quarter of it, are stretched from the lowest to the highest.
    """
    spans = list(spans)
    whole, real = [one for one in spans if not one.real], [one for one in spans if one.real]
    return Grey(_common(whole), _common(real)) if spans else None


def range_of(values: np.ndarray, real: bool, grey: Grey | None, declared: float = 0.0) -> Range:
    """The values of a picture that are shown as black and as white: those of the data set.

    Without a scale for such values, what is known of the picture alone: its declared white, else the depth that holds its own values.
    """
    scale = (grey.real if real else grey.integer) if grey else None
    if scale:
        return scale
    low, high = (float(value) for value in (_finite(values).min(), _finite(values).max()))
    return (0.0, declared) if low >= 0 and high <= declared else _whole_range(low, high, real)


def eight_bit(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """Raw values as uint8, of the same shape; what lies beyond the scale is black or white."""
    if values.dtype == np.uint16:
        return eight_bit(np.arange(2**16, dtype=np.float32), black, white)[values]
    values = (_finite(values) - black) * (255 / max(white - black, 1e-30))
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _finite(values: np.ndarray) -> np.ndarray:
    return values if values.dtype == np.uint16 else np.nan_to_num(np.asarray(values, np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def _common(spans: list[Span]) -> Range | None:
    if not spans:
        return None
    if all(one.declared for one in spans):
        return 0.0, max(one.declared for one in spans)
    low, high = min(one.low for one in spans), max(one.high for one in spans)
    black, white = _whole_range(low, high, spans[0].real)
    if 0 < high - low < _USED * (white - black):
        return low, high
    return black, white if white > black else black + 1.0


def _whole_range(low: float, high: float, real: bool) -> Range:
    """The depth that holds values from `low` to `high`; these themselves if they fit none."""
    if real and low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and high <= _WHITES[-1]:
        return 0.0, next(white for white in _WHITES if high <= white)
    return low, high
