"""The report's section on batches: accuracy on each, what the newest did to the others, and whether it is of another kind."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.report.findings import Findings
from headstart.words import batches as words
from headstart.words.formats import percent
from headstart.words.lists import listing


@dataclass(frozen=True)
class Batches:
    """What the section shows, in sentences and tables."""

    answer: str
    drift: list[str]
    rows: list[tuple[str, str, str, str, str]]  # name, images, new classes, test images, accuracy with its interval
    forgetting: list[tuple[str, str, str, str, str, str]]  # batch, test images, without the newest, with it, difference, interval
    shares: list[tuple[str, str, str]]  # class, share before, share now
    remembered: list[str]  # of forgotten batches


def batches(f: Findings) -> Batches | None:
    """The section; None if all images came at once."""
    made = f.batches
    found, remembered = made["drift"], _remembered(f)
    if found is None:
        one = "The images that are there came in one batch; others were forgotten."
        return Batches(one, [], [], [], [], remembered) if remembered else None
    looks, shares = found["looks"], found["shares"]
    shown = {"looks": "looks unlike them", "shares": "has other shares of the classes", "classes": "has classes not known before"}
    parts = listing([shown[one] for one in found["found"]])
    return Batches(
        answer=f"The newest of {len(made['batches'])} batches, {found['batch']}, beside those before: {f'it {parts}' if parts else 'no drift is shown'}.",
        drift=[
            _sentence(words.looks(**looks, level=found["level"])),
            _sentence(words.shares(shares["p"], found["level"])),
            _sentence(words.classes(found["new_classes"])),
        ],
        rows=[
            (
                one["name"],
                f"{one['images']:,}",
                listing(one["new_classes"]) or "none",
                f"{one['n_test']:,}",
                _accuracy(one["accuracy"], one["interval"]),
            )
            for one in made["batches"]
        ],
        forgetting=[
            (
                one["name"] or "all of these",
                f"{one['n']:,}",
                percent(one["before"]),
                percent(one["after"]),
                f"{100 * one['difference']:+.1f} points",
                f"{100 * one['interval'][0]:+.1f} to {100 * one['interval'][1]:+.1f}",
            )
            for one in made["forgetting"]
        ],
        shares=[(name, percent(before), percent(now)) for name, (before, now) in shares["of_class"].items()]
        if "shares" in found["found"]
        else [],
        remembered=remembered,
    )


def _remembered(f: Findings) -> list[str]:
    kept = f.batches["remembered"]
    if kept is None:
        return []
    told = words.remembered_accuracy(kept["accuracy"], kept["interval"], kept["n_test"], kept["plain_accuracy"])
    first = _sentence(words.remembered(kept["images"], kept["batches"], kept["unusable"], kept["gone_classes"]))
    return [first, _sentence(told)] if kept["images"] else [first]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _accuracy(accuracy: float | None, interval: list[float]) -> str:
    return f"{percent(accuracy)} ({percent(interval[0])} to {percent(interval[1])})" if accuracy is not None else "no test image"
