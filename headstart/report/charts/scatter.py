"""Points in a plane: labelled ones with error bars, and circles for stated probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from headstart.report.charts import paper
from headstart.words import formats

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Dot:
    """A labelled point with an error bar of `error` either way.

    `edge`: it is on the frontier, which a line joins.
    """

    text: str
    x: float
    y: float
    error: float = 0.0
    chosen: bool = False
    edge: bool = False


def dots(points: Sequence[Dot], *, alt: str, x_title: str, y_title: str, y_text: Callable[[float], str] = formats.short) -> Markup:
    """Labelled points with error bars, those on the edge joined; the chosen one is filled.

    A label that would cover another is left to the tooltip.
    """
    height, bottom = 260, 216
    least, most = min(p.x for p in points), max(p.x for p in points)
    log = least > 0 and most > 6 * least
    low_x, high_x = paper.spread(least, most, log)
    if not log:
        low_x, high_x = 0.0, high_x * 1.15
    low, high = paper.padded([p.y + sign * p.error for p in points for sign in (-1, 1)], 1.0)
    x, y = paper.Axis(low_x, high_x, 52, paper.WIDTH - 14, log), paper.Axis(low, high, bottom, 30)
    edge = sorted((x(p.x), y(p.y)) for p in points if p.edge)
    parts = [paper.grid(x, y, y_text, x_title, y_title, bottom)]
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
        wide = len(p.text) * paper.LETTER * (1.12 if p.chosen else 1)
        spot = _room(px, py, min(py - 6, y(min(p.y + p.error, high))), max(py + 6, y(p.y - p.error)), wide, taken)
        if spot:
            taken.append((spot[0], spot[1] - 10, spot[0] + wide, spot[1] + 3))
            parts.append(paper.text(spot[0], spot[1], p.text, "strong" if p.chosen else ""))
    return paper.svg(height, alt, parts)


def _room(x: float, y: float, top: float, bottom: float, wide: float, taken: Sequence[Box]) -> tuple[float, float] | None:
    """Where a label `wide` units wide covers nothing; None if nowhere.

    It is tried right and left of (x, y), and above and below its error bar.
    """
    middle = min(max(x - wide / 2, 54), paper.WIDTH - wide)
    for left, base in ((x + 9, y + 4), (x - 9 - wide, y + 4), (middle, top - 6), (middle, bottom + 14)):
        box = (left, base - 10, left + wide, base + 3)
        clear = all(box[2] < t[0] or box[0] > t[2] or box[3] < t[1] or box[1] > t[3] for t in taken)
        if clear and left > 50 and left + wide <= paper.WIDTH:
            return left, base
    return None


def reliability(bins: Iterable[tuple[float, float, int]], *, alt: str) -> Markup:
    """Accuracy over confidence, one circle per bin (confidence, accuracy, images).

    The area of a circle tells the number of images; the diagonal is perfect.
    """
    bins = [(c, a, n) for c, a, n in bins if n > 0]
    bottom = 290
    low = min((min(c, a) for c, a, _ in bins), default=0.0)
    low = math.floor(10 * max(0.0, low - 0.05)) / 10
    x, y = paper.Axis(low, 1.0, 52, paper.WIDTH - 20), paper.Axis(low, 1.0, bottom, 34)
    most = max((n for _, _, n in bins), default=1)
    parts = [paper.grid(x, y, formats.short, "how sure the model was", "how often it was right", bottom, x_text=formats.short)]
    parts.append(f'<line class="level" x1="{x(low)}" y1="{y(low)}" x2="{x(1.0)}" y2="{y(1.0)}"/>')
    for confidence, accuracy, n in bins:
        px, py = x(confidence), y(accuracy)
        parts.append(f'<line class="s2" x1="{px:.1f}" x2="{px:.1f}" y1="{y(confidence):.1f}" y2="{py:.1f}"/>')
        name = escape(f"sure {formats.percent(confidence)}, right {formats.percent(accuracy)}, {n:,} images")
        parts.append(
            f'<circle class="s1 bubble" cx="{px:.1f}" cy="{py:.1f}" r="{3.5 + 10 * math.sqrt(n / most):.1f}"><title>{name}</title></circle>'
        )
    return paper.svg(bottom + 44, alt, parts)
