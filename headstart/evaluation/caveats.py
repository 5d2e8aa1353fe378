"""What to keep in mind of a result, in sentences: the same in metrics.json, report, terminal and Prefect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headstart.data.folding import ENOUGH_IMAGES
from headstart.statistics import paired
from headstart.words import naming
from headstart.words.formats import count, percent
from headstart.words.lists import listing

if TYPE_CHECKING:
    from headstart.evaluation.metrics import Figures
    from headstart.evaluation.test_split import Transfer
    from headstart.proof.shipping import Verdict

WIDE = 0.1  # length of the interval of an accuracy (0-1) that is told
FEW = 10  # images of a class below which its own figures mean little
WEAK = 0.8  # recall (0-1) below which a class is called often missed
UNEVEN, OFF = 0.03, 0.05  # accuracy above balanced accuracy, and calibration error, from which they are told


@dataclass(frozen=True)
class Seen:
    """What a result is judged by: the figures of what ships and of the frozen head on the test images, and the verdict."""

    shipped: str
    source: str
    n_validation: int
    n_test: int
    test: Figures
    head: Figures
    sure: float  # mean probability of the predictions
    verdict: Verdict
    transfer: Transfer | None
    missed: str | None = None  # the measure that was asked for and is not shown to be reached


def caveats(seen: Seen) -> list[str]:
    """What a careful reader should keep in mind, worst first; empty if there is nothing."""
    return [*_of_transfer(seen), *_of_few(seen), *_of_classes(seen), *_of_choice(seen), *_of_probabilities(seen)]


def _of_transfer(seen: Seen) -> list[str]:
    """Negative transfer, too few images to tell, and test images that contradict the verdict."""
    said, verdict = [], seen.verdict
    if verdict["answer"] == "negative":
        said.append(
            f"Transfer hurt ({verdict['standing']}): on the validation images the network from random weights did better than the one that started from "
            f"{seen.source}. Look for a source that is nearer to these images."
        )
    if verdict["answer"] == "too_few":
        n = verdict["pretrained_against_random"]["asymptote"]["n_images"]
        said.append(f"{naming.answered('too_few', n)} {verdict['settle']}")
    if seen.transfer and seen.transfer["says"] == "contradicts":
        said.append(
            "The test images contradict the answer on transfer. It was given on the validation images and stays, as does what ships: choosing on the test "
            "images would make their result worthless."
        )
    return said


def _of_few(seen: Seen) -> list[str]:
    """Few test images, and few to choose by."""
    said, n, held = [], seen.n_test, seen.n_validation
    low, high = seen.test["interval"]["accuracy"]
    between = f"the accuracy on new images of this kind may lie anywhere from {percent(low)} to {percent(high)}"
    if n < ENOUGH_IMAGES:
        said.append(f"Only {count(n, 'image was', 'images were')} tested: one image more or less is {percent(1 / n)}, and {between}.")
    elif high - low > WIDE:
        said.append(f"The interval is wide: {between}.")
    if held < ENOUGH_IMAGES:
        _, reach = paired.interval(np.zeros(held), np.zeros(held))
        said.append(
            f"What ships was chosen on {count(held, 'validation image')}: between two models, less than {100 * reach:.0f} points cannot be told there."
        )
    return said


def _of_classes(seen: Seen) -> list[str]:
    """Classes with few test images, and those that are often missed."""
    said, rows = [], seen.test["per_class"]
    few = [label for label, row in rows.items() if row["n"] < FEW]
    if few:
        said.append(
            f"{count(len(few), 'class has', 'classes have')} fewer than {FEW} test images ({listing(few)}); their own rows mean little."
        )
    weak = sorted((row["recall"], label) for label, row in rows.items() if row["recall"] < WEAK and row["n"] >= FEW)
    if weak:
        said.append(f"Some classes are often missed: {listing(f'{label} ({percent(recall)} found)' for recall, label in weak)}.")
    if seen.missed:
        said.append(f"The {seen.missed} that was asked for is not shown to be reached; the report shows what is, at which point.")
    if seen.test["accuracy"] - seen.test["balanced_accuracy"] > UNEVEN:
        said.append("Rare classes do worse than common ones: accuracy is well above balanced accuracy.")
    return said


def _of_choice(seen: Seen) -> list[str]:
    """A frozen head that does better on the test images than what ships."""
    if seen.shipped == "head" or seen.head["accuracy"] <= seen.test["accuracy"]:
        return []
    return [
        f"On the test images the frozen head did better ({percent(seen.head['accuracy'])}) than what ships ({percent(seen.test['accuracy'])}). The choice was "
        "made on the validation images and stays: choosing on the test images would make their result worthless."
    ]


def _of_probabilities(seen: Seen) -> list[str]:
    """Probabilities that do not hold."""
    if seen.test["ece"] <= OFF:
        return []
    way = "too sure" if seen.sure > seen.test["accuracy"] else "less sure than it could be"
    return [f"The stated probabilities are off by {percent(seen.test['ece'])} on average: the model is {way}."]
