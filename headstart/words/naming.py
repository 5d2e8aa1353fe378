"""What contenders and answers are called in the report, in the log and in the terminal: one table.

A contender is a whole model that could ship. Its name is what the JSON files call it ("fine_tuned"); all its words are in CONTENDERS, in
the
order in which contenders are listed beside each other. A remedy is one more entry.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """The words for one kind of contender: parts of sentences, but for `outcome`, which is a whole one."""

    short: str  # in a table or a list
    subject: str  # in a sentence that compares it; {mix} is the share of fine-tuned weights in it
    headline: str  # after "What ships:"; {architecture} is its network's
    terminal: str  # after "ships" in a terminal
    outcome: str  # what became of the fine-tuned model, if this is what ships
    change: str = ""  # of a remedy: what it does differently


def _remedy(short: str, change: str = "") -> Words:
    """The words for a model that was fine-tuned in another way."""
    return Words(
        short,
        short,
        f"a fine-tuned {{architecture}} ({short})",
        f"fine-tuned model ({short})",
        f"It does not ship; what ships was fine-tuned in another way ({short}).",
        change,
    )


CONTENDERS = {
    "fine_tuned": Words("fine-tuned", "the fine-tuned model", "a fine-tuned {architecture}", "fine-tuned model", "It ships."),
    "head": Words(
        "frozen head",
        "the frozen head",
        "a new head on the frozen {architecture}",
        "frozen head",
        "It does not ship; the frozen head does.",
    ),
    "average": Words(
        "average",
        "the average with {mix} fine-tuned weights",
        "the average of a fine-tuned {architecture} and its frozen head",
        "average of frozen head and fine-tuned model",
        "Its average with the frozen head ships.",
    ),
    "both": Words(
        "pair",
        "the pair of frozen head and fine-tuned model",
        "a pair of the frozen and the fine-tuned {architecture}",
        "pair of frozen head and fine-tuned model",
        "It ships paired with the frozen head, both being asked.",
    ),
    "scratch": Words(
        "from random weights",
        "the network from random weights",
        "a {architecture} trained from random weights",
        "network from random weights",
        "It does not ship; the network from random weights does.",
    ),
    "another_source": _remedy("another source", "the next source of the ranking, fine-tuned in the same way"),
    "shallower_cut": _remedy("shallower cut", "half as many stages retrained"),
    "l2_sp": _remedy("L2-SP", "weights held near the source's"),
    "bss": _remedy("BSS", "features of little use held down"),
    "more_layers": _remedy("more layers", "all stages retrained, the deeper the slower"),
}
HOLD_TUNED = ("fine_tuned", "average", "both")  # contenders that hold the fine-tuned network

# Whether transfer helped: after "Transfer" or alone, and as a sentence.
NOT_TESTED = "not tested"  # there was no network from random weights to compare with
ANSWERS = {
    "positive": "helped",
    "none_shown": "is not shown to help",
    "negative": "hurt",
    "too_few": "too few images to tell ({n:,})",
    NOT_TESTED: "not tested",
}
SAID = {
    "positive": "Transfer helped.",
    "none_shown": "Transfer is not shown to help.",
    "negative": "Transfer hurt.",
    "too_few": "Too few images to tell whether transfer helped ({n:,}).",
    NOT_TESTED: "Whether transfer helped was not tested.",
}
UNTESTED = "transfer is not tested: baseline.epochs is 0, so there is no network from random weights to compare with"
# What the test images, which decide nothing, do to that answer: after "the test images".
TEST = {
    "confirms": "confirm {answer}",
    "contradicts": "contradict {answer}",
    "leaves open": "leave it open",
    "answers positive": "show that it helped",
    "answers negative": "show that it hurt",
}


def answer(name: str, n: int | None = None, standing: str | None = None) -> str:
    """Whether transfer helped, after "transfer"; `n` held-out images were looked at. How surely it is told is added if `standing` is given."""
    surely = told(name, standing)
    return ANSWERS.get(name, name).format(n=n or 0) + (f" ({surely})" if surely else "")


def told(name: str, standing: str | None) -> str:
    """How surely it is told whether transfer helped: `standing` of the verdict, "" if nothing is told."""
    return "" if name in (NOT_TESTED, "too_few") else standing or ""


def answered(name: str, n: int | None = None) -> str:
    """The same as a sentence."""
    return SAID[name].format(n=n or 0)


def settle(needed: int, n: int, held: int, *, repeated: bool) -> str:
    """What would tell, of `n` held-out images that cannot, and how long it takes.

    So many as `needed` could. There are `held` training and validation images; `repeated`: every one of them was held out in turn.
    """
    would = f"About {needed:,} held-out images would tell, if the difference stays what it is"
    if not repeated and held > n:
        more = "" if held >= needed else " (a part of what is needed)"
        return (
            f"{would}. `headstart run --set verdict.seeds=5` holds out each of the {held:,} training and validation images once{more}, "
            "and takes up to five times as long as fine_tune and baseline did."
        )
    return f"{would}: {needed - n:,} more than there are."


def contender(name: str) -> Words:
    """The words for a contender.

    One that this version does not know is called by its name, as a model fine-tuned in another way.
    """
    return CONTENDERS.get(name) or _remedy(name.replace("_", " "))


def short(name: str) -> str:
    """A contender in a word or two: average, L2-SP."""
    return contender(name).short


def title(name: str, mix: float | None = None) -> str:
    """The same with a capital first: Average, 25% fine-tuned.

    `mix` (0-1) is the share of fine-tuned weights in an average, of the fine-tuned model in a pair.
    """
    words = short(name)
    return words[:1].upper() + words[1:] + _mixed(mix)


def subject(name: str, mix: float | None = None) -> str:
    """A contender in a sentence: the frozen head. `mix` is that of `title`."""
    words = contender(name).subject
    return words if mix is None else words.replace("{mix}", f"{mix:.0%}")


def headline(name: str, architecture: str) -> str:
    """What ships, in a headline: a new head on the frozen tf_efficientnet_lite0."""
    return contender(name).headline.replace("{architecture}", architecture.removeprefix("pair:"))  # networks/pairing.py puts it there


def terminal(name: str, mix: float | None = None) -> str:
    """What ships, in a terminal: fine-tuned model. `mix` is that of `title`."""
    return contender(name).terminal + _mixed(mix)


def _mixed(mix: float | None) -> str:
    return "" if mix is None else f", {mix:.0%} fine-tuned"
