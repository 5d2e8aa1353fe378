"""The loss of a linear head and its gradient, computed on a card: that of logistic.py, from standardised features that lie there.

The solver is the same and runs where it always did: what it gets and gives are a few numbers for each class. Products are in float32 and sums
in float64, as on the CPU, so that the heads agree but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from headstart.base import reading
from headstart.base.reading import Features

LARGEST = 2 * 2**30  # bytes of features that are put on a card; each fold has them there once more, standardised
Objective = Callable[[np.ndarray, float], tuple[float, np.ndarray]]  # of parameters and a penalty: the loss and its gradient


class Rows:
    """Features (n, d) and labels (n,) on a device, for any number of fits."""

    def __init__(self, features: Features, labels: np.ndarray, place: torch.device) -> None:
        self._rows = torch.empty(len(features), features.shape[1], device=place)
        for part in reading.blocks(len(features)):
            self._rows[part] = torch.from_numpy(np.array(features[part], np.float32)).to(place)
        self._labels = torch.from_numpy(np.array(labels, np.int64)).to(place)[:, None]
        self._place = place

    def objective(self, mean: np.ndarray, scale: np.ndarray, weights: np.ndarray) -> Objective:
        """The loss over features of this mean and standard deviation (d,), of images that weigh `weights` (n,).

        It is the weighted sum of cross-entropies, and penalty / (2 d) |W|^2, of parameters (classes x (d + 1),); the bias is free.
        """
        counted = np.flatnonzero(weights)
        chosen = self._there(counted)
        rows = ((self._rows[chosen].double() - self._there(mean)) / self._there(scale)).float()
        labels, counts = self._labels[chosen], self._there(weights[counted].astype(np.float64))[:, None]
        width = len(mean)

        def loss(flat: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
            parameters = flat.reshape(-1, width + 1)
            given = self._there(parameters.astype(np.float32))
            logits = (rows @ given[:, :-1].T + given[:, -1]).double()
            norm = logits.logsumexp(1, keepdim=True)
            total = (counts * (norm - logits.gather(1, labels))).sum()
            residual = counts * (logits - norm).exp_().scatter_add_(1, labels, torch.full_like(norm, -1.0))
            inner = residual.float().T @ rows
            found = torch.cat([inner.double().flatten(), residual.sum(0), total[None]]).cpu().numpy()  # the one time that it is waited for
            weight = parameters[:, :-1]
            gradient = np.empty_like(parameters)
            gradient[:, :-1] = found[: weight.size].reshape(weight.shape) + penalty / width * weight
            gradient[:, -1] = found[weight.size : -1]
            return float(found[-1]) + penalty / (2 * width) * float((weight**2).sum()), gradient.ravel()

        return loss

    def _there(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._place)
