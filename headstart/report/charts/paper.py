"""What all charts are drawn with: axes, text, a grid and a legend, as parts of an SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from headstart.words import formats

WIDTH = 440
LETTER = 6.3  # mean width of a letter (SVG units) at the style sheet's 12 units


@dataclass(frozen=True)
class Axis:
    """Maps values from `low` to `high` onto SVG units from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values along the axis, about as many as wanted."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            values = [m * 10.0**d for d in decades for m in ((1,) if len(decades) > 3 else (1, 3))]
        else:
            step = _step((self.high - self.low) / wanted)
            values = [step * n for n in range(math.floor(self.low / step), math.ceil(self.high / step) + 1)]
        return [v for v in values if self.low * (1 - 1e-9) - 1e-12 <= v <= self.high * (1 + 1e-9)]


def svg(height: float, alt: str, parts: Iterable[str]) -> Markup:
    """A chart of this height, with a text that says what it shows."""
    body = "".join(str(part) for part in parts)
    return Markup(f'<svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(alt)}">{body}</svg>')


def text(x: float, y: float, words: str, kind: str = "", title: str = "") -> str:
    """Words at a place, in the style sheet's class `kind`; `title` is shown by a mouse that rests on them."""
    tip = f"<title>{escape(title)}</title>" if title else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}{tip}</text>'


def grid(
    x: Axis,
    y: Axis,
    y_text: Callable[[float], str],
    x_title: str,
    y_title: str,
    bottom: float,
    *,
    whole: bool = False,
    x_text: Callable[[float], str] = formats.plain,
) -> str:
    """Lines across at round values of y, the values along x, and both titles.

    `whole` leaves out values of x that are not whole numbers.
    """
    parts = [text(x.start - 42, 12, y_title, "small")]
    for value in y.ticks():
        parts.append(f'<line class="grid" x1="{x.start}" x2="{x.end}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(text(x.start - 6, y(value) + 4, y_text(value), "end"))
    for value in x.ticks(6):
        if not whole or value == round(value):
            parts.append(text(x(value), bottom + 17, x_text(value), "middle"))
    parts.append(f'<line class="axis" x1="{x.start}" x2="{x.end}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(text((x.start + x.end) / 2, bottom + 36, x_title, "middle small"))
    return "".join(parts)


def beside(key: Sequence[tuple[str, str]], title: str) -> bool:
    """Whether a legend has room in the row of the title of the y axis."""
    return 6 + len(title) * LETTER < _begin(key)


def _begin(key: Sequence[tuple[str, str]]) -> float:
    return WIDTH - 14 - sum(34 + len(name) * LETTER for _, name in key) + 10


def legend(key: Sequence[tuple[str, str]], down: float = 0.0) -> str:
    """Names in a row along the top, or so far below it, right-aligned so that they leave the axis title its place."""
    at = _begin(key)
    parts = []
    for kind, name in key:
        if "block" in kind:
            parts.append(f'<rect class="{kind}" x="{at + 6:.1f}" y="{3 + down:g}" width="12" height="12"/>')
        else:
            parts.append(f'<line class="{kind}" x1="{at:.1f}" x2="{at + 18:.1f}" y1="{9 + down:g}" y2="{9 + down:g}"/>')
        parts.append(text(at + 22, 13 + down, name))
        at += 34 + len(name) * LETTER
    return "".join(parts)


def cut(words: str, letters: int) -> str:
    """Words, or as many letters of them as there is room for."""
    return words if len(words) <= letters else words[: letters - 1] + "…"


def _step(rough: float) -> float:
    """The round step (1, 2, 2.5 or 5 times a power of ten) that is at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))


def padded(values: Sequence[float], ceiling: float) -> tuple[float, float]:
    """Bounds around values with some air, from 0 and up to `ceiling` at most."""
    low, high = min(values), max(values)
    air = max((high - low) * 0.12, abs(high) * 0.01) or 1e-3
    return max(0.0, low - air), min(ceiling, high + air)


def spread(low: float, high: float, log: bool) -> tuple[float, float]:
    """Bounds that differ, so that one value alone can be drawn."""
    if log:
        return (low / 1.3, high * 1.3)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
