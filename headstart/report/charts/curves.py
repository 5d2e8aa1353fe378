"""Lines over a common x axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from headstart.report.charts import paper
from headstart.words import formats


@dataclass(frozen=True)
class Series:
    """A line through (x, y) points; `style` is 1 to 4."""

    name: str
    points: Sequence[tuple[float, float]]
    style: int = 1
    dashed: bool = False


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
    x_text: Callable[[float], str] | None = None,
) -> Markup:
    """Lines over a common x axis.

    `level` is a horizontal line with its name, `walls` are vertical ones with what begins there, `rings` mark points, `ceiling` bounds the
    y axis from above. `log` makes x logarithmic; `x_names` are what is written at x = 0, 1, 2, ... instead of the numbers,
    and `x_text` says how these are written (left out: only whole ones are).
    """
    key = [(f"s{s.style}" + (" dashed" if s.dashed else ""), s.name) for s in series if s.name] + ([("level", level[1])] if level else [])
    down = 0 if len(key) < 2 or paper.beside(key, y_title) else 18
    top = (34 if walls else 28) + down
    height, bottom = 250 + down, 206 + down
    xs = [x for s in series for x, _ in s.points]
    ys = [y for s in series for _, y in s.points] + ([level[0]] if level else [])
    low, high = paper.padded(ys, ceiling)
    x = paper.Axis(*paper.spread(min(xs), max(xs), log), 48, paper.WIDTH - 14, log)
    y = paper.Axis(low, high, bottom, top + 14)
    named = (lambda value: x_names[round(value)]) if x_names else formats.plain
    parts = [paper.grid(x, y, y_text, x_title, y_title, bottom, whole=not log and x_text is None, x_text=x_text or named)]
    for place, name in walls:
        parts.append(f'<line class="wall" x1="{x(place):.1f}" x2="{x(place):.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(paper.text(x(place) + 4, top + 9, name, "small"))
    if level:
        parts.append(f'<line class="level" x1="{x.start}" x2="{x.end}" y1="{y(level[0]):.1f}" y2="{y(level[0]):.1f}"/>')
    for s in series:
        parts.append(_line(s, x, y))
    for px, py in rings:
        parts.append(f'<circle class="ring" cx="{x(px):.1f}" cy="{y(py):.1f}" r="7"/>')
    parts.append(paper.legend(key, down) if len(key) > 1 else "")
    return paper.svg(height, alt, parts)


def _line(s: Series, x: paper.Axis, y: paper.Axis) -> str:
    places = [(x(px), y(py)) for px, py in s.points]
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
    kind = f"s{s.style}" + (" dashed" if s.dashed else "")
    marks = "".join(f'<circle class="s{s.style}" cx="{px:.1f}" cy="{py:.1f}" r="2.6"/>' for px, py in places) if len(places) <= 40 else ""
    return f'<polyline class="{kind}" points="{path}"/>{marks}'
