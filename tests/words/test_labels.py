"""headstart.words.labels: never surer than the interval."""

from __future__ import annotations

import pytest

from headstart.words import labels


@pytest.mark.parametrize(
    ("singles", "expected", "blocks", "said", "warned"),
    [
        (0, [0, 0, 0], 0, "no label looks wrong", False),
        (1, [0, 0, 0.4], 0, "1 label is doubtful, most likely as the image is hard", False),
        (22, [3.2, 0, 5.8], 0, "22 labels are doubtful; only a look can tell whether they are wrong", False),
        (79, [57, 51.2, 62], 0, "79 labels look wrong, of which about 57 are by a rough estimate", True),
        (0, [0, 0, 0], 2, "2 blocks of consecutive files look like another class", True),
    ],
)
def test_sentences(singles: int, expected: list[float], blocks: int, said: str, warned: bool) -> None:
    assert labels.found(singles, expected, blocks) == said
    caveat = labels.caveat(singles, expected, blocks)
    assert caveat == (f"{said[0].upper()}{said[1:]}: {labels.LOOK}." if warned else "")


def test_blocks_come_before_single_labels() -> None:
    assert labels.found(4, [3.7, 0, 4], 1) == (
        "1 block of consecutive files looks like another class; 4 labels are doubtful; only a look can tell whether they are wrong"
    )
