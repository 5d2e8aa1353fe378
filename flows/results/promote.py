"""What `headstart promote` says: the decision and its numbers in plain words."""

from __future__ import annotations

from pathlib import Path

from headstart.params import Published
from headstart.registry import foretelling, shelf
from headstart.registry.shelf import Entry


def describe(entry: Entry, folder: Path, published: Published | None = None) -> str:
    """A decision on the registry in `folder`, and how well rankings foretold races so far.

    `entry` is what headstart.registry.promotion.promote returned. With `published`, what counts in the ranking now, it says what races
    teach of that.
    """
    notes = [f"note: {note}" for note in entry["notes"]]
    return "\n".join([_decision(entry), *_comparison(entry), *_batches(entry), *notes, *_taught(folder, published), *_end(entry, folder)])


def _decision(entry: Entry) -> str:
    """What was decided, and why."""
    how = f"{entry['decision']} by --force" if entry["forced"] else entry["decision"]
    name = f" as {entry['model']}" if entry["decision"] == "promoted" else ""
    return f"{how}{name}: {entry['reason']}"


def _comparison(entry: Entry) -> list[str]:
    """How good the new model is, and how it compares with the current one.

    Nothing if no image was looked at.
    """
    if entry["n"] is None:
        return []
    own = f"right on {entry['accuracy']:.1%} of {entry['n']:,} {entry['split']} images"
    theirs, interval, difference = entry["standing_accuracy"], entry["interval"], entry["difference"]
    if theirs is None or interval is None or difference is None:
        return [own]
    low, high = interval
    return [
        f"{own}; the current model, {entry['standing']}, on {theirs:.1%}",
        f"the new one alone is right on {entry['gained']:,}, the current one alone on {entry['lost']:,}; the rest does not tell them apart",
        f"difference {100 * difference:+.1f} points; "
        f"with 95% confidence each, no less than {100 * low:+.1f} and no more than {100 * high:+.1f}",
    ]


def _batches(entry: Entry) -> list[str]:
    """How the two compare on each batch of images: what the new model has forgotten would show here."""
    lines = []
    for one in entry.get("batches", []):
        low, high = (100 * end for end in one["interval"])
        shown = ": worse" if high < 0 else ": better" if low > 0 else ""
        lines.append(
            f"batch {one['name']}: {one['accuracy']:.1%} of {one['n']:,}, the current model {one['standing_accuracy']:.1%}; "
            f"between {low:+.1f} and {high:+.1f} points{shown}"
        )
    return lines


def _taught(folder: Path, published: Published | None) -> list[str]:
    """What races showed published accuracy to be worth, if that is something else than it counts now."""
    return foretelling.told(foretelling.learn(shelf.rankings(folder)), published) if published else []


def _end(entry: Entry, folder: Path) -> list[str]:
    """How well rankings foretold races, and where the current model is."""
    won, runs = shelf.foretold(folder)
    times = "1 time" if won == 1 else f"{won} times"
    races = "the last race" if runs == 1 else f"the last {runs} races"
    lines = [f"in {races}, the ranking's first came first {times}"] if runs else []
    if entry["decision"] == "refused":
        return [*lines, f"{folder / shelf.MODEL} is as before; --force promotes all the same"]
    return [*lines, f"model       {folder / shelf.MODEL}/"]
