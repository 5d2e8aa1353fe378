"""The report's section on a second domain: whether labels were carried over to it, and what speaks for that."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.report.findings import Findings
from headstart.words.formats import count, percent


@dataclass(frozen=True)
class Domains:
    """What the section shows, in sentences and tables."""

    answer: str
    accuracy: str  # without labels of the target
    tested: str  # with some
    sources: list[tuple[str, str, str, str]]  # name, agreement with the others, carried back, nuclear norm
    shares: list[tuple[str, str, str]]  # class, share among the labelled images, share in the target as it is now labelled
    changed: list[str]  # classes that all but vanish, or become far more


def domains(f: Findings) -> Domains | None:
    """The section; None if there is no second domain."""
    made = f.adapt
    if not made["images"]:
        return None
    done = "were carried over" if made["adapted"] else "were not carried over"
    return Domains(
        answer=f"The labels {done} to {count(made['images'], 'image')} of a second domain: {made['reason']}.",
        accuracy=_accuracy(made["accuracy"], made["adapted"]),
        tested=_tested(f),
        sources=[(s["name"], f"{s['agrees']:.2f}", percent(s["carried_back"]), f"{s['nuclear_norm']:.2f}") for s in made["sources"]],
        shares=[(name, percent(known), percent(found)) for name, (known, found) in made["shares"].items()],
        changed=[_change(name, *pair) for name, pair in made["shares"].items() if _differs(*pair)],
    )


def _accuracy(told: list[float], adapted: bool) -> str:
    if not told or not adapted:
        return ""
    about, low, high = told
    return (
        f"Without any label of it, its accuracy is estimated from how far the sources agree and how well the labels can be carried back: about "
        f"{percent(about)}, between {percent(low)} and {percent(high)}. That is no interval of a stated coverage: labels of a few images give one."
    )


def _tested(f: Findings) -> str:
    tested = f.adapt["labelled"]
    if tested is None:
        return "Label the images that reports/target/label_these.csv names, drawn at random, and import again with --target-labels."
    low, high = tested["adapted_interval"]
    worst, best = tested["difference_interval"]
    return (
        f"Of {count(tested['n'], 'image')} with a label the adapted model has {percent(tested['adapted'])} right (95% interval {percent(low)} to "
        f"{percent(high)}), the plain one {percent(tested['plain'])}: {100 * tested['difference']:+.1f} points (90% interval {100 * worst:+.1f} to {100 * best:+.1f})."
    )


def _differs(known: float, found: float) -> bool:
    return found < known / 4 or found > 3 * known


def _change(name: str, known: float, found: float) -> str:
    return f"{name}: {percent(known)} of the labelled images, {percent(found)} of the target as it is labelled now"
