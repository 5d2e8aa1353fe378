"""The evidence of Bayesian linear regression, log N(y; 0, I / beta + F F^T / alpha), for LogME."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize_scalar

RATIOS = np.linspace(np.log(1e-6), np.log(1e8), 65)  # log alpha / beta of LogME that are tried, per mean square length of a feature vector
RATIO_TOLERANCE = 1e-6  # of that logarithm; the evidence is flat there, so it is settled to about the square of it
RANK_TOLERANCE = 1e-12  # of the largest eigenvalue: below it lies rounding


def left_singular(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors (n, rank) of features (n, d), and squared singular values (rank,).

    They are computed from the smaller of the Gram matrices.
    """
    wide = features.shape[0] <= features.shape[1]
    energy, vectors = eigh(features @ features.T if wide else features.T @ features, driver="evd")
    kept = energy > RANK_TOLERANCE * energy[-1]
    energy, vectors = energy[kept], vectors[:, kept]
    return (vectors if wide else features @ vectors / np.sqrt(energy)), energy


def highest(energy: np.ndarray, along: np.ndarray, beside: float, n: int) -> tuple[float, float, float]:
    """The highest log evidence per image (nats), and the ratio alpha / beta and the beta where it is.

    energy (rank,): eigenvalues of F F^T; along (rank,): squared target along its eigenvectors; beside: squared target beside them all.

    For a given ratio the best scale has a closed form, n / alpha = y^T (F F^T + ratio I)^-1 y, which leaves one unknown. A grid and a
    bounded
    search find the highest maximum, where MacKay's fixed point, which the paper iterates, stays at whichever is near its start and
    creeps if the best alpha or beta is infinite. The least ratio, some 50 times the rounding noise of float16 features, bounds the
    evidence if it has no maximum: with fewer images than features, two identical ones of one class are fitted without any noise.
    """
    unit = energy.sum() / n or 1.0

    def fit(ratio: float) -> float:
        return float((along / (energy + ratio)).sum() + beside / ratio) / n  # 1 / alpha

    def evidence(log_ratio: float) -> float:
        ratio = unit * np.exp(log_ratio)
        volume = np.log(energy + ratio).sum() + (n - len(energy)) * np.log(ratio)
        return float(-0.5 * (volume / n + np.log(fit(ratio)) + np.log(2 * np.pi) + 1))

    best = int(np.argmax([evidence(log_ratio) for log_ratio in RATIOS[1:-1]]))
    found = minimize_scalar(
        lambda log_ratio: -evidence(log_ratio),
        bounds=(RATIOS[best], RATIOS[best + 2]),
        method="bounded",
        options={"xatol": RATIO_TOLERANCE},
    )
    ratio = unit * np.exp(float(found.x))
    return -float(found.fun), ratio, 1 / (fit(ratio) * ratio)
