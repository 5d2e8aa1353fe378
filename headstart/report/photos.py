"""The report's section on more photos: the learning curve of the head, and where it leads."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.report import charts
from headstart.report.findings import Findings
from headstart.words import aims, formats
from headstart.words.formats import count, percent

MATTERS = 0.01  # of the measure: a gain of less counts as hardly any


@dataclass(frozen=True)
class Photos:
    """The answer in words, and the curve."""

    answer: str
    measure: str
    chart: str  # empty if there is nothing to draw


def photos(f: Findings) -> Photos | None:
    """Whether more photos would help; None if an earlier version made the run."""
    curve = f.head.get("learning_curve")
    if not curve:
        return None
    measure = aims.MEASURES[curve["measure"]]
    if not curve["expected"]:
        return Photos(
            "There are too few images to draw a learning curve: add photos, above all of the rarest class, and run again.", measure, ""
        )
    now, twice, most = curve["expected"]
    low, high = twice["more_interval"]
    start = {"yes": "Yes, most likely.", "hardly": "Hardly.", "perhaps": "Perhaps."}[answer(low, high)]
    said = (
        f"{start} With twice as many ({count(twice['images'], 'image')} to learn from instead of {now['images']:,}) the head's {measure} would rise by "
        f"{100 * twice['more']:.1f} points (90% interval {100 * low:.1f} to {100 * high:.1f}), to about {percent(twice['value'])} "
        f"({percent(twice['interval'][0])} to {percent(twice['interval'][1])}); with {most['images']:,} to about {percent(most['value'])} "
        f"({percent(most['interval'][0])} to {percent(most['interval'][1])})."
    )
    return Photos(said, measure, _chart(f, measure))


def answer(low: float, high: float) -> str:
    """Whether twice as many photos would help, from the interval of the gain (0-1): yes, hardly or perhaps."""
    if low >= MATTERS:
        return "yes"
    return "hardly" if high < MATTERS else "perhaps"


def _chart(f: Findings, measure: str) -> str:
    curve = f.head["learning_curve"]
    measured = [(float(one["images"]), one["value"]) for one in curve["measured"]]
    expected = [(float(one["images"]), one["value"]) for one in curve["expected"]]
    ends = [[(float(one["images"]), one["interval"][side]) for one in curve["expected"]] for side in (0, 1)]
    said = "; ".join(f"{int(images):,} images: {percent(value)}" for images, value in [*measured, *expected])
    return charts.lines(
        [
            charts.Series("measured", measured),
            charts.Series("expected", expected, 2, dashed=True),
            charts.Series("90% interval", ends[0], 3, dashed=True),
            charts.Series("", ends[1], 3, dashed=True),
        ],
        alt=f"Learning curve, {measure} over the number of images: {said}",
        x_title="images that the head learned from",
        y_title=measure,
        y_text=formats.short,
        log=True,
        ceiling=1.0,
    )
