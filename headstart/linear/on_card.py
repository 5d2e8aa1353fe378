"""The loss of a linear head and its gradient, computed on a card: logistic.py's, with the features kept there.

The solver is the same and runs where it always did: what it gets and gives are a few numbers for each class. Products are in float32 and sums
in float64, as on the CPU, so that the heads agree but for rounding.
"""

from __future__ import annotations

import numpy as np
import torch

from headstart.base import reading
from headstart.base.reading import Features

LARGEST = 8 * 2**30  # bytes of features that are put on a card


class Rows:
    """Features (n, d) and labels (n,) on a device, for any number of fits."""

    def __init__(self, features: Features, labels: np.ndarray, place: torch.device) -> None:
        self._rows = torch.empty(len(features), features.shape[1], device=place)
        for part in reading.blocks(len(features)):
            self._rows[part] = torch.from_numpy(np.array(features[part], np.float32)).to(place)
        self._labels = torch.from_numpy(np.array(labels, np.int64)).to(place)
        self._place = place

    def objective(
        self, flat: np.ndarray, mean: np.ndarray, scale: np.ndarray, penalty: float, weights: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """As logistic._objective: the loss over standardised features and its gradient, of parameters (classes x (d + 1),)."""
        parameters = flat.reshape(-1, len(mean) + 1)
        weight = parameters[:, :-1]
        folded = (weight / scale).astype(np.float32)
        bias = (parameters[:, -1] - folded @ mean).astype(np.float32)
        logits = (self._rows @ self._there(folded).T + self._there(bias)).double()
        norm = logits.logsumexp(1, keepdim=True)
        counts = self._there(weights)
        loss = (counts * (norm - logits.gather(1, self._labels[:, None]))[:, 0]).sum()
        residual = (logits - norm).exp_()
        residual.scatter_add_(1, self._labels[:, None], torch.full_like(norm, -1.0))
        residual *= counts[:, None]
        inner = residual.float().T @ self._rows
        found = torch.cat([inner.double().flatten(), residual.sum(0), loss[None]]).cpu().numpy()  # the one time that the card is waited for
        inside, outer = found[: weight.size].reshape(weight.shape), found[weight.size : -1]
        gradient = np.empty_like(parameters)
        gradient[:, :-1] = (inside - outer[:, None] * mean) / scale + penalty / len(mean) * weight
        gradient[:, -1] = outer
        return float(found[-1]) + penalty / (2 * len(mean)) * float((weight**2).sum()), gradient.ravel()

    def _there(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._place)
