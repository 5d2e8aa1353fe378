"""How many labels look wrong, in words."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.words.formats import count

FOLDER = "reports/labels"
LOOK = f"look at them with `headstart review`, or in {FOLDER}/labels.csv"


def shown(singles: int, expected: Sequence[float], blocks: int) -> bool:
    """Whether the images show that labels are wrong, and not merely that some are hard: a block, or a lower end of at least one."""
    return blocks > 0 or (singles > 0 and expected[1] >= 1)


def found(singles: int, expected: Sequence[float], blocks: int) -> str:
    """What was found, in one sentence without a full stop.

    singles: labels that are contradicted, outside blocks; expected: how many of these are expected to be wrong, and the ends of a range. The range is not named: it was
    measured to miss more often than it should (docs/decisions.md).
    """
    parts = ([_blocks(blocks)] if blocks else []) + ([_singles(singles, expected)] if singles else [])
    return "; ".join(parts) if parts else "no label looks wrong"


def _blocks(blocks: int) -> str:
    one = "block of consecutive files looks like another class"
    return count(blocks, one, "blocks of consecutive files look like another class")


def _singles(singles: int, expected: Sequence[float]) -> str:
    likely, low, high = expected
    if low >= 1:
        return f"{count(singles, 'label looks', 'labels look')} wrong, of which about {likely:.0f} are by a rough estimate"
    if round(high) < 1:
        return f"{count(singles, 'label is', 'labels are')} doubtful, most likely as the image is hard"
    return (
        f"{count(singles, 'label is', 'labels are')} doubtful; only a look can tell whether {'it is' if singles == 1 else 'they are'} wrong"
    )


def caveat(singles: int, expected: Sequence[float], blocks: int) -> str:
    """The sentence for those who should look; "" if the images show no wrong label."""
    if not shown(singles, expected, blocks):
        return ""
    said = found(singles, expected, blocks)
    return f"{said[0].upper()}{said[1:]}: {LOOK}."
