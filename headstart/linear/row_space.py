"""Fits of few images: on coordinates that are computed once, in memory.

With fewer images than features these lie in the space that the images span, where the solution lies (the representer theorem). The penalty
does not see a rotation, so these are the same fits with a parameter per image instead of one per feature: with 40 images and 1,280
features a fit takes a fraction of the time. With more images they are the standardised features themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FEWER = 3  # times as many features as images make the space of the images pay
SMALL = 2**19  # features of all images (4 MiB), up to which to read raw ones anew in each step takes longer than they do
SHORT = 2**16  # coordinates of all images (512 KiB), up to which threads that fit beside each other wait for the interpreter


@dataclass(frozen=True)
class RowSpace:
    """Standardised features of some images as coordinates (n, r): in an orthonormal basis (d, r) of the space that they span, or as they are."""

    coordinates: np.ndarray
    basis: np.ndarray | None

    @classmethod
    def of(cls, rows: np.ndarray) -> RowSpace:
        """The space of standardised features (n, d)."""
        if not spanned(*rows.shape):
            return cls(rows, None)
        basis, coordinates = np.linalg.qr(rows.T)
        return cls(np.ascontiguousarray(coordinates.T), basis)

    def to(self, weight: np.ndarray) -> np.ndarray:
        """Weights (classes, r) over the coordinates of weights (classes, d) over the features, as far as the images see them."""
        return weight if self.basis is None else weight @ self.basis

    def back(self, weight: np.ndarray) -> np.ndarray:
        """Weights (classes, d) over the features of weights (classes, r) over the coordinates."""
        return weight if self.basis is None else weight @ self.basis.T


def spanned(images: int, features: int) -> bool:
    """Whether the space that so many images span is enough smaller than that of their features."""
    return FEWER * images <= features


def pays(images: int, features: int, *, card: bool) -> bool:
    """Whether so many images with so many features are better fitted here than from raw features, which may lie on a card."""
    return spanned(images, features) or (not card and images * features <= SMALL)


def short(images: int, features: int) -> bool:
    """Whether a step over so many images with so many features is too short for threads to gain from each other's cores."""
    return images * (images if spanned(images, features) else features) <= SHORT


def objective(
    flat: np.ndarray, coordinates: np.ndarray, here: tuple[np.ndarray, np.ndarray], strength: float, weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """The loss of a head over `coordinates` (n, r), and its gradient: that of logistic.py.

    It is the cross-entropy, weighted by `weights` (n,), + strength / 2 |W|^2; the bias is free. here: the place of each image's label among
    the logits (classes, n), as indices of rows and columns.
    """
    parameters = flat.reshape(-1, coordinates.shape[1] + 1)
    weight = parameters[:, :-1]
    logits = weight @ coordinates.T  # (classes, n): what is taken over the classes is then taken of whole rows, which is faster
    logits += parameters[:, -1:]
    logits -= logits.max(axis=0)
    right = logits[here]
    residual = np.exp(logits, out=logits)
    total = residual.sum(axis=0)
    loss = float(weights @ (np.log(total) - right)) + strength / 2 * float(np.vdot(weight, weight))
    residual /= total
    residual[here] -= 1
    residual *= weights
    gradient = np.empty_like(parameters)
    np.matmul(residual, coordinates, out=gradient[:, :-1])
    gradient[:, :-1] += strength * weight
    gradient[:, -1] = residual.sum(axis=1)
    return loss, gradient.ravel()
