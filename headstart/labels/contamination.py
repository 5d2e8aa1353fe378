"""How many labels are expected to be wrong, from a model's held-out logits: a model of contaminated labels (Copas, J. R. Stat. Soc. B 50, 1988).

A label is the true one, which the logits foretell after division by a temperature, or with a chance `share` any other class, each alike. Images that are merely hard
have probabilities that the temperature explains; a label that the model finds all but impossible is explained by contamination alone. Temperature and share are
fitted together by maximum likelihood. Mistakes that follow a rule (two classes taken for each other throughout) are not seen: the model learns them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

TEMPERATURES = np.exp(np.linspace(-2.0, 1.0, 61))
SHARES = np.r_[0.0, np.exp(np.linspace(np.log(1e-4), np.log(0.4), 121))]
CHANGE = 1.92  # nats by which the log likelihood may fall inside a 95% interval (half the quantile of chi-square)
MOST = 5_000  # images that the fit looks at
DEVIATIONS = 1.96  # of a 95% interval


@dataclass(frozen=True)
class Contamination:
    """The share of labels that are wrong (0-1), its 95% interval, and the chance (n,) that each label is wrong, at the share and at both ends."""

    share: float
    interval: tuple[float, float]
    wrong: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def among(self, rows: np.ndarray) -> tuple[float, float, float]:
        """How many labels of some rows are expected to be wrong, and a 95% interval: of the share, and of chance."""

        def apart(chances: np.ndarray) -> float:
            return DEVIATIONS * float(np.sqrt((chances[rows] * (1 - chances[rows])).sum()))

        low, high = float(self.low[rows].sum()) - apart(self.low), float(self.high[rows].sum()) + apart(self.high)
        return float(self.wrong[rows].sum()), max(low, 0.0), min(high, float(len(self.wrong[rows])))


def fit(logits: np.ndarray, labels: np.ndarray) -> Contamination:
    """Fit share and temperature to held-out logits (n, classes) and labels (n,), integers below `classes`; no random number is drawn."""
    some = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), MOST)).astype(np.int64))
    gains = np.array([_likelihoods(np.exp(own), logits.shape[1]) for own in _own(logits[some], labels[some])])
    profile, temperatures = gains.max(0), TEMPERATURES[gains.argmax(0)]
    best = int(profile.argmax())
    inside = np.flatnonzero(profile >= profile[best] - CHANGE)
    chances = [
        _wrong(
            log_softmax(logits.astype(np.float64) / temperatures[at], axis=1)[np.arange(len(labels)), labels], SHARES[at], logits.shape[1]
        )
        for at in (best, inside[0], inside[-1])
    ]
    return Contamination(float(SHARES[best]), (float(SHARES[inside[0]]), float(SHARES[inside[-1]])), *chances)


def _own(logits: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """The log probability (n,) of each label at every temperature."""
    wide, rows = logits.astype(np.float64), np.arange(len(labels))
    return [log_softmax(wide / temperature, axis=1)[rows, labels] for temperature in TEMPERATURES]


def _likelihoods(likely: np.ndarray, classes: int) -> list[float]:
    """The log likelihood (nats) of labels of these probabilities (n,) at every share."""
    other = (1 - likely) / (classes - 1)
    return [float(np.log(np.maximum((1 - share) * likely + share * other, 1e-300)).sum()) for share in SHARES]


def _wrong(own: np.ndarray, share: float, classes: int) -> np.ndarray:
    """The chance (n,) that each label is wrong."""
    likely = np.exp(own)
    wrong = share * (1 - likely) / (classes - 1)
    return np.asarray(wrong / np.maximum((1 - share) * likely + wrong, 1e-300))
