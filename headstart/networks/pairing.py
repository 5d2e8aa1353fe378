"""What two models of one architecture are called side by side, and the weights of both in one file: pairs.py, without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

PREFIX = "pair:"


def weights(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], classifier: tuple[str, str], share: float
) -> dict[str, np.ndarray]:
    """The weights of a pair whose logits are those of the first model and, with a share (0-1), of the second.

    `classifier` names the weight (classes, d) and the bias (classes,) of the head, which both have.
    """
    weight, bias = classifier
    trunks = {f"{name}.{key}": value for name, one in (("first", first), ("second", second)) for key, value in one.items()}
    both = {key: value for key, value in trunks.items() if key.partition(".")[2] not in classifier}
    heads = [(1 - share) * first[weight], share * second[weight]]
    return {
        **both,
        weight: np.concatenate(heads, axis=1).astype(np.float32),
        bias: ((1 - share) * first[bias] + share * second[bias]).astype(np.float32),
    }
