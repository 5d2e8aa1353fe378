"""The methods that can carry labels from one domain to the other, by name.

Each takes both domains as one network sees them, and gives probabilities (m, classes) of the unlabelled images. To add one, write such a
function and put it into METHODS; what is to be compared with is `nothing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from headstart.domains import graph, iterating, moving
from headstart.domains.spaces import Spaces


@dataclass(frozen=True)
class Method:
    """A method: its name for readers, and the function. `last`: what is used instead once it is settled that labels can be carried over."""

    title: str
    run: Callable[[Spaces], np.ndarray]
    last: Callable[[Spaces], np.ndarray] | None = None

    def settled(self, spaces: Spaces) -> np.ndarray:
        """Probabilities (m, classes) for the model that is made."""
        return (self.last or self.run)(spaces)


METHODS = {
    "balanced_em": Method("discriminants of both domains, balanced", iterating.balanced_em, partial(iterating.balanced_em, loosened=True)),
    "self_training": Method("balanced self-training", iterating.self_training),
    "tied_em": Method("clusters tied to the first prediction", iterating.tied_em),
    "class_confusion": Method("least confusion of classes", iterating.class_confusion),
    "propagation": Method("labels spread to neighbours", graph.propagation),
    "standardising": Method("each domain standardised", moving.standardising),
    "coral": Method("covariances made equal (CORAL)", moving.coral),
    "subspace": Method("subspaces aligned", moving.subspace),
    "label_shift": Method("shares of the classes estimated", moving.label_shift),
}
