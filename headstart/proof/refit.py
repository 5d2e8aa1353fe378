"""What ships, fitted once more on train and validation together, if there are few images to learn from.

The frozen head ships fitted on both; a network that was trained without a fifth of few images would fall behind it for that alone. All
that validation decides is decided before: what ships, epochs, temperature and operating point stay. Nothing of the result can be measured
on validation any more, so its twin, as it was measured there, is kept beside it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headstart.data import folding
from headstart.linear import frozen_head
from headstart.networks import averaging, heads, kept
from headstart.networks.cards import SourceCard
from headstart.params import FineTune
from headstart.proof.contenders import AVERAGE, BOTH, FINE_TUNED, Contender, DataSet, divided, side_by_side

if TYPE_CHECKING:
    from headstart.training import outcome

log = logging.getLogger(__name__)
SAID = "it was then trained once more, on the images of train and validation together"
LOST = "trained once more, on the images of train and validation together, it lost what it had learned, so it ships as it was"
Weights = dict[str, np.ndarray]  # under the library's names


def wanted(asked: bool | str, ships: Contender, data: DataSet) -> bool:
    """Whether what ships is fitted again: if it has been fine-tuned, and few images were held out from it unless `asked` says otherwise."""
    return folding.if_few(asked, len(data.validation)) and ships.name in (FINE_TUNED, AVERAGE, BOTH)


def refit(
    ships: Contender, data: DataSet, card: SourceCard, head: Path, block: FineTune, known: outcome.Summary, *, seed: int
) -> Weights | None:
    """The weights of what ships, fine-tuned or with a part that is, fitted on train and validation; None if that has been lost.

    card: of the source; head: the folder of its heads, of which the one that was fitted on both is taken. block, known: how the fine-tuning
    was done, and its summary.
    """
    from headstart.training import refitting  # and with it PyTorch

    log.info("%s ships: it is trained once more, on the images of train and validation together", ships.subject)
    final = heads.load(head / "head.safetensors", frozen_head.FINAL)
    tuned = refitting.refit(data.table, data.root, card, final, data.classes, block, known, seed=seed, device=data.device)
    if tuned is None or ships.name == FINE_TUNED:
        return tuned
    frozen = kept.with_head(card, tuned, final)
    assert ships.mix is not None
    mix = side_by_side(frozen, tuned, card, ships.mix) if ships.name == BOTH else averaging.averaged(frozen, tuned, ships.mix)
    return divided(mix, tuned, card, ships.temperature)
