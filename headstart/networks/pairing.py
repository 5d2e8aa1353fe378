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


def apart(arrays: Mapping[str, np.ndarray], classifier: tuple[str, str]) -> dict[str, dict[str, np.ndarray]]:
    """The two models of a pair's weights by name, `first` and `second`, whose logits have to be averaged; `classifier` as in `weights`.

    Each gives twice its part of the logits, and the bias of the pair.
    """
    weight, bias = classifier
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, half in zip(("first", "second"), np.split(arrays[weight], 2, axis=1), strict=True):
        trunk = {key.removeprefix(f"{name}."): value for key, value in arrays.items() if key.startswith(f"{name}.")}
        found[name] = {**trunk, weight: np.ascontiguousarray(2 * half), bias: arrays[bias]}
    return found
