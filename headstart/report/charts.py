"""Charts as inline SVG, written by hand: small, crisp at any size, and coloured by the page's style sheet, so that they follow light and dark.

Every function returns a Markup of one <svg> with a text alternative; all names are escaped. Colours are the classes s1 to s4 of report.css,
and series differ in dashes or marks too, so that no meaning hangs on colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from headstart.words import formats

WIDTH = 440
_LETTER = 6.3  # mean width of a letter (SVG units) at the style sheet's 12 units


@dataclass(frozen=True)
class Series:
    """A line through (x, y) points; `style` is 1 to 4."""

    name: str
    points: Sequence[tuple[float, float]]
    style: int = 1
    dashed: bool = False


@dataclass(frozen=True)
class Dot:
    """A labelled point with an error bar of `error` either way; `edge`: it is on the frontier, which a line joins."""

    text: str
    x: float
    y: float
    error: float = 0.0
    chosen: bool = False
    edge: bool = False


@dataclass(frozen=True)
class Axis:
    """Maps values from `low` to `high` onto SVG units from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
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


def lines(
    series: Sequence[Series],
    *,
    alt: str,
    x_title: str,
    y_title: str,
    y_text: Callable[[float], str] = formats.plain,
    log: bool = False,
    level: tuple[float, str] | None = None,
    walls: Sequence[tuple[float, str]] = (),
    rings: Sequence[tuple[float, float]] = (),
    ceiling: float = math.inf,
    x_names: Sequence[str] = (),
) -> Markup:
    """Lines over a common x axis.

    `level` is a horizontal line with its name, `walls` are vertical ones with what begins there, `rings` mark points, `ceiling` bounds the
    y axis from above. `log` makes x logarithmic; `x_names` are what stands at x = 0, 1, 2, ... instead of the numbers.
    """
    top = 34 if walls else 28
    height, bottom = 250, 206
    xs = [x for s in series for x, _ in s.points]
    ys = [y for s in series for _, y in s.points] + ([level[0]] if level else [])
    low, high = _padded(ys, ceiling)
    x = Axis(*_spread(min(xs), max(xs), log), 48, WIDTH - 14, log)
    y = Axis(low, high, bottom, top + 14)
    x_text = (lambda value: x_names[round(value)]) if x_names else formats.plain
    parts = [_grid(x, y, y_text, x_title, y_title, bottom, whole=not log, x_text=x_text)]
    for place, name in walls:
        parts.append(f'<line class="wall" x1="{x(place):.1f}" x2="{x(place):.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(_text(x(place) + 4, top + 9, name, "small"))
    if level:
        parts.append(f'<line class="level" x1="{x.start}" x2="{x.end}" y1="{y(level[0]):.1f}" y2="{y(level[0]):.1f}"/>')
    for s in series:
        parts.append(_line(s, x, y))
    for px, py in rings:
        parts.append(f'<circle class="ring" cx="{x(px):.1f}" cy="{y(py):.1f}" r="7"/>')
    key = [(f"s{s.style}" + (" dashed" if s.dashed else ""), s.name) for s in series] + ([("level", level[1])] if level else [])
    parts.append(_legend(key) if len(key) > 1 else "")
    return _svg(height, alt, parts)


def dots(points: Sequence[Dot], *, alt: str, x_title: str, y_title: str, y_text: Callable[[float], str] = formats.short) -> Markup:
    """Labelled points with error bars, those on the edge joined; the chosen one is filled. A label that would cover another is left to the tooltip."""
    height, bottom = 260, 216
    log = max(p.x for p in points) > 6 * min(p.x for p in points) > 0
    low_x, high_x = _spread(min(p.x for p in points), max(p.x for p in points), log)
    if not log:
        low_x, high_x = 0.0, high_x * 1.15
    low, high = _padded([p.y + sign * p.error for p in points for sign in (-1, 1)], 1.0)
    x, y = Axis(low_x, high_x, 52, WIDTH - 14, log), Axis(low, high, bottom, 30)
    edge = sorted((x(p.x), y(p.y)) for p in points if p.edge)
    parts = [_grid(x, y, y_text, x_title, y_title, bottom)]
    if len(edge) > 1:
        parts.append('<polyline class="edge" points="' + " ".join(f"{px:.1f},{py:.1f}" for px, py in edge) + '"/>')
    taken = [(x(p.x) - 6, min(y(p.y) - 6, y(min(p.y + p.error, high))), x(p.x) + 6, max(y(p.y) + 6, y(p.y - p.error))) for p in points]
    for p in sorted(points, key=lambda p: (not p.chosen, -p.y)):
        px, py, name = x(p.x), y(p.y), "chosen" if p.chosen else "other"
        parts.append(
            f'<line class="{name}" x1="{px:.1f}" x2="{px:.1f}" y1="{y(p.y - p.error):.1f}" y2="{y(min(p.y + p.error, high)):.1f}"/>'
        )
        parts.append(
            f'<circle class="{name}" cx="{px:.1f}" cy="{py:.1f}" r="5.5"><title>{escape(p.text)}: {escape(y_text(p.y))}</title></circle>'
        )
        wide = len(p.text) * _LETTER * (1.12 if p.chosen else 1)
        spot = _room(px, py, min(py - 6, y(min(p.y + p.error, high))), max(py + 6, y(p.y - p.error)), wide, taken)
        if spot:
            taken.append((spot[0], spot[1] - 10, spot[0] + wide, spot[1] + 3))
            parts.append(_text(spot[0], spot[1], p.text, "strong" if p.chosen else ""))
    return _svg(height, alt, parts)


def stacks(rows: Sequence[tuple[str, Sequence[int]]], names: Sequence[str], *, alt: str) -> Markup:
    """Horizontal stacked bars, one a row, the total at its end."""
    left, step, top = 130, 20, 30
    most = max((sum(values) for _, values in rows), default=0) or 1
    width = WIDTH - left - 56
    parts = [_legend([(f"s{n} block", name) for n, name in enumerate(names, start=1)])]
    for number, (label, values) in enumerate(rows):
        at, y = float(left), top + number * step
        parts.append(_text(left - 8, y + 11, _cut(label, 19), "end", title=label))
        for style, value in enumerate(values, start=1):
            wide = width * value / most
            name = escape(f"{label}, {names[style - 1]}: {value:,}")
            parts.append(f'<rect class="s{style}" x="{at:.1f}" y="{y}" width="{wide:.1f}" height="14"><title>{name}</title></rect>')
            at += wide
        parts.append(_text(at + 6, y + 11, f"{sum(values):,}", "small"))
    return _svg(top + len(rows) * step + 4, alt, parts)


def whiskers(rows: Sequence[tuple[str, float, float, float]], *, alt: str, text: Callable[[float], str] = formats.short) -> Markup:
    """Values with their intervals (name, value, low, high), one a row on a common scale. The first row stands out."""
    left, step = 146, 34
    low, high = _padded([v for _, *values in rows for v in values], 1.0)
    bottom = 10 + step * len(rows)
    x = Axis(low, high, left, WIDTH - 22)
    parts = []
    for value in x.ticks(4):
        parts.append(f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="6" y2="{bottom}"/>')
        parts.append(_text(x(value), bottom + 16, text(value), "middle"))
    for number, (name, value, least, most) in enumerate(rows):
        y, kind = 10 + step * number + step / 2, "chosen" if number == 0 else "other"
        parts.append(_text(left - 10, y + 4, _cut(name, 19), "end strong" if number == 0 else "end", title=name))
        parts.append(f'<line class="{kind} thick" x1="{x(least):.1f}" x2="{x(most):.1f}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<circle class="{kind}" cx="{x(value):.1f}" cy="{y}" r="6"><title>{escape(name)}: {escape(text(value))}</title></circle>'
        )
    return _svg(bottom + 24, alt, parts)


def ladder(rows: Sequence[tuple[str, float, str, bool]], *, alt: str, text: Callable[[float], str] = formats.short) -> Markup:
    """Values down a ladder of names (name, value, words at its end, marked), joined by a line; the marked ones are filled and stand on a shade."""
    left, right, step, top = 118, 96, 21, 6
    low, high = _padded([value for _, value, *_ in rows], 1.0)
    bottom = top + step * len(rows)
    x = Axis(low, high, left, WIDTH - right)
    shades = [top + step * n for n, (*_, marked) in enumerate(rows) if marked]
    parts = [f'<rect class="shade" x="0" y="{y}" width="{WIDTH}" height="{step}"/>' for y in shades]
    for value in x.ticks(4):
        parts.append(f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(_text(x(value), bottom + 16, text(value), "middle"))
    places = [(x(value), top + step * (n + 0.5)) for n, (_, value, *_) in enumerate(rows)]
    parts.append('<polyline class="s1" points="' + " ".join(f"{px:.1f},{py:.1f}" for px, py in places) + '"/>')
    for (px, py), (name, value, words, marked) in zip(places, rows, strict=True):
        parts.append(_text(left - 10, py + 4, _cut(name, 16), "end strong" if marked else "end", title=name))
        tip = f"{escape(name)}: {escape(text(value))}"
        parts.append(f'<circle class="{"chosen" if marked else "other"}" cx="{px:.1f}" cy="{py:.1f}" r="5"><title>{tip}</title></circle>')
        parts.append(_text(WIDTH - right + 12, py + 4, words, "small"))
    return _svg(bottom + 24, alt, parts)


def reliability(bins: Iterable[tuple[float, float, int]], *, alt: str) -> Markup:
    """Accuracy over confidence, one circle a bin (confidence, accuracy, images), its area by the number of images. The diagonal is perfect."""
    bins = [(c, a, n) for c, a, n in bins if n > 0]
    bottom = 290
    low = min((min(c, a) for c, a, _ in bins), default=0.0)
    low = math.floor(10 * max(0.0, low - 0.05)) / 10
    x, y = Axis(low, 1.0, 52, WIDTH - 20), Axis(low, 1.0, bottom, 34)
    most = max((n for _, _, n in bins), default=1)
    parts = [_grid(x, y, formats.short, "how sure the model was", "how often it was right", bottom, x_text=formats.short)]
    parts.append(f'<line class="level" x1="{x(low)}" y1="{y(low)}" x2="{x(1.0)}" y2="{y(1.0)}"/>')
    for confidence, accuracy, n in bins:
        px, py = x(confidence), y(accuracy)
        parts.append(f'<line class="s2" x1="{px:.1f}" x2="{px:.1f}" y1="{y(confidence):.1f}" y2="{py:.1f}"/>')
        name = escape(f"sure {formats.percent(confidence)}, right {formats.percent(accuracy)}, {n:,} images")
        parts.append(
            f'<circle class="s1 bubble" cx="{px:.1f}" cy="{py:.1f}" r="{3.5 + 10 * math.sqrt(n / most):.1f}"><title>{name}</title></circle>'
        )
    return _svg(bottom + 44, alt, parts)


def _svg(height: float, alt: str, parts: Iterable[str]) -> Markup:
    body = "".join(str(part) for part in parts)
    return Markup(f'<svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(alt)}">{body}</svg>')


def _text(x: float, y: float, words: str, kind: str = "", title: str = "") -> str:
    tip = f"<title>{escape(title)}</title>" if title else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}{tip}</text>'


def _grid(
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
    parts = [_text(x.start - 42, 12, y_title, "small")]
    for value in y.ticks():
        parts.append(f'<line class="grid" x1="{x.start}" x2="{x.end}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(_text(x.start - 6, y(value) + 4, y_text(value), "end"))
    for value in x.ticks(6):
        if not whole or value == round(value):
            parts.append(_text(x(value), bottom + 17, x_text(value), "middle"))
    parts.append(f'<line class="axis" x1="{x.start}" x2="{x.end}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(_text((x.start + x.end) / 2, bottom + 36, x_title, "middle small"))
    return "".join(parts)


def _line(s: Series, x: Axis, y: Axis) -> str:
    places = [(x(px), y(py)) for px, py in s.points]
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
    kind = f"s{s.style}" + (" dashed" if s.dashed else "")
    marks = "".join(f'<circle class="s{s.style}" cx="{px:.1f}" cy="{py:.1f}" r="2.6"/>' for px, py in places) if len(places) <= 40 else ""
    return f'<polyline class="{kind}" points="{path}"/>{marks}'


def _legend(key: Sequence[tuple[str, str]]) -> str:
    """Names in a row along the top, right-aligned so that they leave the axis title its place."""
    at = WIDTH - 14 - sum(34 + len(name) * _LETTER for _, name in key) + 10
    parts = []
    for kind, name in key:
        if "block" in kind:
            parts.append(f'<rect class="{kind}" x="{at + 6:.1f}" y="3" width="12" height="12"/>')
        else:
            parts.append(f'<line class="{kind}" x1="{at:.1f}" x2="{at + 18:.1f}" y1="9" y2="9"/>')
        parts.append(_text(at + 22, 13, name))
        at += 34 + len(name) * _LETTER
    return "".join(parts)


def _room(
    x: float, y: float, top: float, bottom: float, wide: float, taken: Sequence[tuple[float, float, float, float]]
) -> tuple[float, float] | None:
    """Where a label `wide` units wide covers nothing: right or left of (x, y), or above or below its error bar; None if nowhere."""
    middle = min(max(x - wide / 2, 54), WIDTH - wide)
    for left, base in ((x + 9, y + 4), (x - 9 - wide, y + 4), (middle, top - 6), (middle, bottom + 14)):
        box = (left, base - 10, left + wide, base + 3)
        clear = all(box[2] < t[0] or box[0] > t[2] or box[3] < t[1] or box[1] > t[3] for t in taken)
        if clear and left > 50 and left + wide <= WIDTH:
            return left, base
    return None


def _cut(words: str, letters: int) -> str:
    return words if len(words) <= letters else words[: letters - 1] + "…"


def _step(rough: float) -> float:
    """The round step (1, 2, 2.5 or 5 times a power of ten) that is at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))


def _padded(values: Sequence[float], ceiling: float) -> tuple[float, float]:
    """Bounds around values with some air, from 0 and up to `ceiling` at most."""
    low, high = min(values), max(values)
    air = max((high - low) * 0.12, abs(high) * 0.01, 1e-3)
    return max(0.0, low - air), min(ceiling, high + air)


def _spread(low: float, high: float, log: bool) -> tuple[float, float]:
    """Bounds that differ, so that one value alone can be drawn."""
    if log:
        return (low / 1.3, high * 1.3)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
