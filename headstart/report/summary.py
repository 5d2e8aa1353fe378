"""What a run came to, in plain words: the headline, the summary and what to keep in mind."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.report.findings import Findings
from headstart.words import naming
from headstart.words.formats import count, percent

OFTEN = 2  # confusions of a pair from which it is named


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
    said += confused(f)
    if len(ranked) > 1:
        said.append(f"Of {len(ranked)} pretrained sources that were ranked, {f.ranking['chosen']} was chosen.")
    said.append(transfer(f))
    if f.metrics["shipped"] != "head":
        before = int((f.predictions["head_predicted"] != f.predictions["label"]).sum())
        said.append(
            f"On the test images the frozen head alone would have made {count(before, 'mistake')}; the model that ships makes {wrong:,}."
        )
    return said


def confused(f: Findings) -> list[str]:
    """What is most often taken for what, in a sentence; none if no pair of classes was confused twice."""
    found = commonest(f)
    if found is None:
        return []
    actual, predicted, times = found
    among = int((f.confusion["actual"] == actual).sum())
    return [f"Most often {actual} is taken for {predicted} ({times} of its {count(among, 'test image')})."]


def commonest(f: Findings) -> tuple[str, str, int] | None:
    """The class that is most often taken for another, that other, and how often; None if no pair was confused twice."""
    wrong = f.confusion[f.confusion["actual"] != f.confusion["predicted"]]
    pairs = wrong.groupby(["actual", "predicted"]).size().sort_values(ascending=False, kind="stable")
    if not len(pairs) or pairs.iloc[0] < OFTEN:
        return None
    actual, predicted = pairs.index[0]
    return str(actual), str(predicted), int(pairs.iloc[0])


def transfer(f: Findings) -> str:
    """Whether transfer helped, in a sentence."""
    if "pretrained_against_random" not in f.verdict:
        return naming.answered(naming.NOT_TESTED)
    compared = f.verdict["pretrained_against_random"]
    score, (low, high) = compared["asymptote"], compared["asymptote"]["interval"]
    subject = naming.subject(f.verdict["of"], f.verdict["mix"] if f.verdict["of"] == f.verdict["ships"] else None)
    surely = f", {told}" if (told := naming.told(f.verdict["answer"], f.verdict["standing"])) else ""
    return (
        f"{naming.answered(f.verdict['answer'], score['n_images'])[:-1]}: {subject} has {100 * score['difference']:+.1f} points of accuracy on held-out images beside "
        f"the same network from random weights ({100 - 200 * compared['level']:g}% interval {100 * low:+.1f} to {100 * high:+.1f}{surely})."
    )


def caveats(f: Findings) -> list[str]:
    """What a careful reader should keep in mind: that of metrics.json, and the warnings of the data check."""
    warnings = f.validation["warnings"]
    return [
        *f.metrics["caveats"],
        *([f"The data check gave {count(len(warnings), 'warning')}; see Data below."] if warnings else []),
    ]
