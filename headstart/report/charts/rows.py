"""Values that stand below each other, a row for each name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup, escape

from headstart.report.charts import paper
from headstart.words import formats


def stacks(rows: Sequence[tuple[str, Sequence[int]]], names: Sequence[str], *, alt: str) -> Markup:
    """Horizontal stacked bars, one per row, the total at its end."""
    left, step, top = 130, 20, 30
    most = max((sum(values) for _, values in rows), default=0) or 1
    width = paper.WIDTH - left - 56
    parts = [paper.legend([(f"s{n} block", name) for n, name in enumerate(names, start=1)])]
    for number, (label, values) in enumerate(rows):
        at, y = float(left), top + number * step
        parts.append(paper.text(left - 8, y + 11, paper.cut(label, 19), "end", title=label))
        for style, value in enumerate(values, start=1):
            wide = width * value / most
            name = escape(f"{label}, {names[style - 1]}: {value:,}")
            parts.append(f'<rect class="s{style}" x="{at:.1f}" y="{y}" width="{wide:.1f}" height="14"><title>{name}</title></rect>')
            at += wide
        parts.append(paper.text(at + 6, y + 11, f"{sum(values):,}", "small"))
    return paper.svg(top + len(rows) * step + 4, alt, parts)


def whiskers(rows: Sequence[tuple[str, float, float, float]], *, alt: str, text: Callable[[float], str] = formats.short) -> Markup:
    """Values with their intervals (name, value, low, high), one per row on a common scale.

    The first row stands out.
    """
    letters = min(28, max(19, *(len(name) for name, *_ in rows)))
    left, step = 146 + 7 * (letters - 19), 34
    low, high = paper.padded([v for _, *values in rows for v in values], 1.0)
    bottom = 10 + step * len(rows)
    x = paper.Axis(low, high, left, paper.WIDTH - 22)
    parts = []
    for value in x.ticks(4):
        parts.append(f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="6" y2="{bottom}"/>')
        parts.append(paper.text(x(value), bottom + 16, text(value), "middle"))
    for number, (name, value, least, most) in enumerate(rows):
        y, kind = 10 + step * number + step / 2, "chosen" if number == 0 else "other"
        parts.append(paper.text(left - 10, y + 4, paper.cut(name, letters), "end strong" if number == 0 else "end", title=name))
        parts.append(f'<line class="{kind} thick" x1="{x(least):.1f}" x2="{x(most):.1f}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<circle class="{kind}" cx="{x(value):.1f}" cy="{y}" r="6"><title>{escape(name)}: {escape(text(value))}</title></circle>'
        )
    return paper.svg(bottom + 24, alt, parts)


def ladder(rows: Sequence[tuple[str, float, str, bool]], *, alt: str, text: Callable[[float], str] = formats.short) -> Markup:
    """Values down a ladder of names (name, value, words at its end, marked), joined by a line.

    The marked ones are filled, and their rows shaded.
    """
    left, right, step, top = 118, 96, 21, 6
    low, high = paper.padded([value for _, value, *_ in rows], 1.0)
    bottom = top + step * len(rows)
    x = paper.Axis(low, high, left, paper.WIDTH - right)
    shades = [top + step * n for n, (*_, marked) in enumerate(rows) if marked]
    parts = [f'<rect class="shade" x="0" y="{y}" width="{paper.WIDTH}" height="{step}"/>' for y in shades]
    for value in x.ticks(4):
        parts.append(f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(paper.text(x(value), bottom + 16, text(value), "middle"))
    places = [(x(value), top + step * (n + 0.5)) for n, (_, value, *_) in enumerate(rows)]
    parts.append('<polyline class="s1" points="' + " ".join(f"{px:.1f},{py:.1f}" for px, py in places) + '"/>')
    for (px, py), (name, value, words, marked) in zip(places, rows, strict=True):
        parts.append(paper.text(left - 10, py + 4, paper.cut(name, 16), "end strong" if marked else "end", title=name))
        tip = f"{escape(name)}: {escape(text(value))}"
        parts.append(f'<circle class="{"chosen" if marked else "other"}" cx="{px:.1f}" cy="{py:.1f}" r="5"><title>{tip}</title></circle>')
        parts.append(paper.text(paper.WIDTH - right + 12, py + 4, words, "small"))
    return paper.svg(bottom + 24, alt, parts)
