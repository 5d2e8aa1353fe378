"""Numbers as people read them: percentages, counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def percent(value: float) -> str:
    """A share (0-1) with one decimal: 97.5%. Only 1 is 100%: one mistake in many thousand is still one."""
    if value in (0, 1):
        return f"{value:.0%}"
    return f"{math.floor(1e4 * value) / 100:.2f}%" if 0.9995 <= value < 1 else f"{100 * value:.1f}%"


def short(value: float) -> str:
    """A share (0-1) at an axis: 90%, 92.5%."""
    return f"{round(100 * value, 2):g}%"


def plain(value: float) -> str:
    """A number with at most three digits that count: 0.0123, 1,000."""
    return f"{round(value, 2 - math.floor(math.log10(abs(value)))):,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def count(n: int, one: str, many: str = "") -> str:
    """A number and its noun: 1 image, 2 images, 1,000 images."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def percent_of_data(share: float) -> str:
    """A share (0-1) as a percentage with three digits at most."""
    return f"{100 * share:.3g}%"


def scale(values: Mapping[str, Sequence[float]] | None) -> str:
    """How images of more than 8 bits a channel are shown, as a sentence; "" if there is none. `values` are those of a card: integer and real, black and white each."""
    kinds = {"integer": "whole numbers", "real": "floating point"}
    parts = [f"{black:,.6g} as black and {white:,.6g} as white ({kinds[name]})" for name, (black, white) in (values or {}).items()]
    return f"Grey and colour of more than 8 bits are shown on one scale for the whole data set: {' and '.join(parts)}." if parts else ""
