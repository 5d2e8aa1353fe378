"""Many points in a plane, by class, each with a picture that shows while a mouse rests on it, or once it is tapped or walked to.

The page has no script: a point holds a radio button, so that a tap chooses it, and the keyboard comes to all of them with one Tab and goes on by the arrow keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from headstart.report.charts import paper

SHAPES = (  # about (0, 0)
    '<circle r="3.6"/>',
    '<path d="M-3.4-3.4h6.8v6.8h-6.8z"/>',
    '<path d="M0-4.4 4.2 3.2H-4.2z"/>',
    '<path d="M0-4.8 4.8 0 0 4.8-4.8 0z"/>',
)
COLOURS = 6  # of the style sheet: k0 to k5
KINDS = COLOURS * len(SHAPES)  # that can be told apart
PICTURE = 96  # units of the picture that is shown, a side
REACH = 7  # units around a point that a finger meets


@dataclass(frozen=True)
class Mark:
    """A point (0 to 1 either way) of a class by number, what it is, and its picture as a data URL; "" for none.

    `name` is an id for the picture, by which a later chart of the page shows it again: its `picture` is "#" and that name. `hollow`: an outline,
    for one of two kinds of images.
    """

    x: float
    y: float
    kind: int
    text: str
    picture: str = ""
    name: str = ""
    hollow: bool = False


def kind(number: int, hollow: bool = False) -> Markup:
    """How the points of a class look."""
    outline = " hollow" if hollow else ""
    return Markup(f'<g class="k{number % COLOURS}{outline}">{SHAPES[number // COLOURS % len(SHAPES)]}</g>')


def key(number: int, hollow: bool = False) -> Markup:
    """The same by itself, for a legend."""
    return Markup(f'<svg class="key" viewBox="-6 -6 12 12" aria-hidden="true">{kind(number, hollow)}</svg>')


def marks(points: Sequence[Mark], *, alt: str, chart: str = "mark") -> Markup:
    """The points of the chart of this name, which no other of the page has; a picture shows in the upper right corner, which is left free. The arrow keys go through a class from left to right, then to the next."""
    side, right = paper.WIDTH - 16, paper.WIDTH - PICTURE - 24
    parts = [f'<rect class="shown" x="{paper.WIDTH - PICTURE - 8}" y="8" width="{PICTURE}" height="{PICTURE}" rx="4"/>']
    for one in sorted(points, key=lambda one: (one.kind, one.x, one.y)):
        x, y = 12 + one.x * (right - 12), 12 + one.y * (side - 24)
        words = f'<text class="end" x="{paper.WIDTH - 8}" y="{PICTURE + 24}">{escape(paper.cut(one.text, 34))}</text>'
        choose = (
            f'<foreignObject x="-{REACH}" y="-{REACH}" width="{2 * REACH}" height="{2 * REACH}">'
            f'<input type="radio" name="{escape(chart)}" aria-label="{escape(one.text)}"></foreignObject>'
        )
        parts.append(
            f'<g class="mark"><g transform="translate({x:.1f} {y:.1f})">{kind(one.kind, one.hollow)}<title>{escape(one.text)}</title>{choose}</g>'
            f'<g class="hover">{_picture(one)}{words}</g></g>'
        )
    return Markup(
        f'<svg class="chart map" viewBox="0 0 {paper.WIDTH} {side}" role="radiogroup" aria-label="{escape(alt)}">{"".join(parts)}</svg>'
    )


def _picture(one: Mark) -> str:
    """The picture of a point in the upper right corner; none if it has none."""
    if not one.picture or one.picture.startswith("#"):
        return f'<use href="{escape(one.picture)}"/>' if one.picture else ""
    name = f' id="{escape(one.name)}"' if one.name else ""
    return f'<image{name} href="{escape(one.picture)}" x="{paper.WIDTH - PICTURE - 8}" y="8" width="{PICTURE}" height="{PICTURE}"/>'
