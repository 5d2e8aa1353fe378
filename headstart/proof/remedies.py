"""What is tried if the network from random weights does as well as the fine-tuned one: REMEDIES.

They are tried in their order. The first ships that a paired t test of 99% calls better: as up to five are tried, one standard error would
let one ship by luck more often than not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from headstart.networks.cards import SourceCard
from headstart.params import FineTune, TrainHead
from headstart.proof import choosing, trained
from headstart.proof.choosing import Shipped
from headstart.proof.contenders import Contender, DataSet
from headstart.statistics import paired
from headstart.training import budget, designs

if TYPE_CHECKING:
    from headstart.choice.selection import Ranking

log = logging.getLogger(__name__)
CERTAINTY = 0.99  # one-sided, that a remedy is better: five of them are better by chance in one case of twenty at most


class Tried(TypedDict):
    """A remedy that was tried, its source, its validation accuracy (0-1), and whether it ships."""

    name: str
    source: str
    validation_accuracy: float
    ships: bool


@dataclass(frozen=True)
class Context:
    """What a remedy starts from: the source that was fine-tuned and how, and the sources that were ranked."""

    data: DataSet
    card: SourceCard
    head: TrainHead
    block: FineTune
    ranking: Ranking
    seed: int

    def tuned(self, name: str, card: SourceCard, **changes: Any) -> Contender:
        """Fine-tune the source of `card` with changes to the block."""
        training = designs.Training(0, 0, self.seed, self.data.table)
        done = trained.pretrained(training, self.data, card, self.head, self.block.model_copy(update=changes))
        weights = {key: value.numpy() for key, value in done.network.weights().items()}
        return Contender(name, weights, card, done.logits, None, self.data.goal, tuple(self.data.classes))


def another_source(context: Context) -> Contender | None:
    """The next source of the ranking, fine-tuned in the same way; None if there is no other."""
    from headstart.networks import sources  # and with it PyTorch, as below

    rows = [row for row in context.ranking["candidates"] if row["status"] == "ranked" and row["name"] != context.card.name]
    if not rows:
        return None
    card = sources.load(rows[0]["name"]).card().at(rows[0]["input_size"])
    return context.tuned("another_source", card)


def shallower_cut(context: Context) -> Contender | None:
    """Half as many stages retrained: more of the source is kept. None if only one was."""
    depth = budget.depth(context.block.depth, context.card.depth)
    return context.tuned("shallower_cut", context.card, depth=depth // 2) if depth > 1 else None


def l2_sp(context: Context) -> Contender | None:
    """The weights held near the source's (Li, Grandvalet & Davoine, ICML 2018)."""
    return context.tuned("l2_sp", context.card, regulariser="l2_sp", regulariser_strength=0.01)


def bss(context: Context) -> Contender | None:
    """Features of little use held down (Chen et al., NeurIPS 2019)."""
    return context.tuned("bss", context.card, regulariser="bss", regulariser_strength=0.001)


def more_layers(context: Context) -> Contender | None:
    """All stages retrained, the deeper the slower."""
    return context.tuned("more_layers", context.card, strategy="full")


REMEDIES: dict[str, Callable[[Context], Contender | None]] = {
    "another_source": another_source,
    "shallower_cut": shallower_cut,
    "l2_sp": l2_sp,
    "bss": bss,
    "more_layers": more_layers,
}


def remedy(context: Context, shipped: Shipped) -> tuple[Shipped, list[Tried]]:
    """Try the remedies in order until one beats what ships on validation.

    Returns what ships then, and what was tried. None is tried if what ships is wrong on so few images that even a contender without a
    fault could not be called better.
    """
    tried: list[Tried] = []
    labels = context.data.labels
    right = shipped.contender.right(labels)
    if not paired.better(shipped.contender.goal.counts(labels), shipped.contender.gain(labels), CERTAINTY):
        wrong = f"on validation it is wrong on {int((~right).sum())} of {len(right)} images, too few to show that another is better"
        return Shipped(shipped.contender, f"{shipped.reason}; no remedy was tried: {wrong}"), tried
    for name, attempt in REMEDIES.items():
        log.info("remedy: %s", name.replace("_", " "))
        found = attempt(context)
        if found is None:
            continue
        now = choosing.better_of(shipped, found, labels, CERTAINTY)
        taken = now.contender is found
        tried.append({"name": name, "source": found.card.name, "validation_accuracy": float(found.right(labels).mean()), "ships": taken})
        if taken:
            return now, tried
    return shipped, tried
