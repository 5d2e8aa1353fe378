"""What a run came to, in plain words: the headline, the summary and what to keep in mind."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.report.findings import Findings
from headstart.words import naming
from headstart.words.formats import count, percent
from headstart.words.lists import listing

FEW_TESTED = 200  # test images below which the result is called rough


@dataclass(frozen=True)
class Headline:
    """The answer in words."""

    accuracy: str  # on the test images
    interval: str
    n: str  # of the test images
    classes: str
    ships: str
    source: str  # what it was made from; empty for random weights


def headline(f: Findings) -> Headline:
    """The answer in short."""
    test = f.metrics["test"]
    low, high = test["interval"]["accuracy"]
    shipped = f.metrics["shipped"]
    return Headline(
        accuracy=percent(test["accuracy"]),
        interval=f"{percent(low)} to {percent(high)}",
        n=count(f.metrics["n_test"], "test image"),
        classes=count(len(f.metrics["classes"]), "class", "classes"),
        ships=naming.headline(shipped, f.card["architecture"]),
        source="" if shipped == "scratch" else f.card["source"],
    )


def summary(f: Findings) -> list[str]:
    """What happened, in a few plain sentences; the figures behind the choices are further below on the page."""
    ranked = [c for c in f.ranking["candidates"] if c["status"] == "ranked"]
    wrong = int((~f.predictions["correct"]).sum())
    said = [
        f"The model tells {count(len(f.metrics['classes']), 'class', 'classes')} apart and is wrong on {wrong:,} of {count(f.metrics['n_test'], 'test image')}, "
        "which were kept out of the training and of every choice."
    ]
    if len(ranked) > 1:
        said.append(f"Of {len(ranked)} pretrained sources that were ranked, {f.ranking['chosen']} was chosen.")
    said.append(transfer(f))
    if f.metrics["shipped"] != "head":
        before = int((f.predictions["head_predicted"] != f.predictions["label"]).sum())
        said.append(
            f"On the test images the frozen head alone would have made {count(before, 'mistake')}; the model that ships makes {wrong:,}."
        )
    return said


def transfer(f: Findings) -> str:
    """Whether transfer helped, in a sentence."""
    if "pretrained_against_random" not in f.verdict:
        return naming.UNTESTED
    compared = f.verdict["pretrained_against_random"]
    score, (low, high) = compared["asymptote"], compared["asymptote"]["interval"]
    return (
        f"Transfer {naming.ANSWERS[f.verdict['answer']]}: {100 * score['difference']:+.1f} points of validation accuracy beside the same network from "
        f"random weights ({100 - 200 * compared['level']:g}% interval {100 * low:+.1f} to {100 * high:+.1f}, {f.verdict['standing']})."
    )


def caveats(f: Findings) -> list[str]:
    """What a careful reader should keep in mind, worst first; empty if there is nothing."""
    test, head, n = f.metrics["test"], f.metrics["head"], f.metrics["n_test"]
    low, high = test["interval"]["accuracy"]
    said = _of_transfer(f)
    if n < FEW_TESTED:
        said.append(
            f"Only {count(n, 'image was', 'images were')} tested, so the accuracy is rough: one image more or less is {percent(1 / n)}."
        )
    elif high - low > 0.1:
        said.append(
            f"The interval is wide: the accuracy on new images of this kind may lie anywhere from {percent(low)} to {percent(high)}."
        )
    if f.metrics["shipped"] != "head" and head["accuracy"] > test["accuracy"]:
        said.append(
            f"On the test images the frozen head did better ({percent(head['accuracy'])}) than what ships ({percent(test['accuracy'])}). The choice was "
            "made on the validation images and stays: choosing on the test images would make their result worthless."
        )
    few = [label for label, row in test["per_class"].items() if row["n"] < 10]
    if few:
        said.append(
            f"{count(len(few), 'class has', 'classes have')} fewer than 10 test images ({listing(few)}); their own rows mean little."
        )
    weak = sorted((row["recall"], label) for label, row in test["per_class"].items() if row["recall"] < 0.8 and row["n"] >= 10)
    if weak:
        said.append(f"Some classes are often missed: {listing(f'{label} ({percent(recall)} found)' for recall, label in weak)}.")
    if test["accuracy"] - test["balanced_accuracy"] > 0.03:
        said.append("Rare classes do worse than common ones: accuracy is well above balanced accuracy.")
    sure = float(f.predictions["probability"].mean()) - test["accuracy"]
    if test["ece"] > 0.05:
        said.append(
            f"The stated probabilities are off by {percent(test['ece'])} on average: the model is {'too sure' if sure > 0 else 'less sure than it could be'}."
        )
    if f.validation["warnings"]:
        said.append(f"The data check gave {count(len(f.validation['warnings']), 'warning')}; see Data below.")
    return said


def _of_transfer(f: Findings) -> list[str]:
    """Negative transfer, and test images that contradict the verdict."""
    said = []
    if "pretrained_against_random" in f.verdict and f.verdict["answer"] == "negative":
        said.append(
            f"Transfer hurt ({f.verdict['standing']}): on the validation images the network from random weights did better than the one that started from "
            f"{f.metrics['source']}. Look for a source that is nearer to these images."
        )
    tested = f.metrics["transfer"]
    if tested and tested["says"] == "contradicts":
        said.append(
            "The test images contradict the answer on transfer. It was given on the validation images and stays, as does what ships: choosing on the test "
            "images would make their result worthless."
        )
    return said
