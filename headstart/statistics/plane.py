"""Images in a plane by their features."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

_AXES = 50  # principal components that t-SNE starts from
_STEPS = 500  # of t-SNE; twice as many take twice as long, and keep no more neighbours (docs/decisions.md)


def project(features: np.ndarray, seed: int) -> np.ndarray:
    """Features (n, width) in two dimensions (n, 2): t-SNE (van der Maaten and Hinton, JMLR 2008) of cosine distances, begun from the principal components.

    Neighbours stay neighbours; distances between groups mean little. On one thread, as sums of several come in any order.
    """
    from sklearn.manifold import TSNE

    values = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    with threadpool_limits(1):
        centred = values.astype(np.float64) - values.mean(0, dtype=np.float64)
        left, scale, _ = np.linalg.svd(centred, full_matrices=False)
        axes = (left * scale)[:, :_AXES]
        axes = axes * np.sign(axes[np.abs(axes).argmax(0), range(axes.shape[1])])  # a component may point either way
        if len(axes[0]) < 2:
            axes = np.column_stack([axes, np.zeros(len(axes))])
        start = 1e-4 * axes[:, :2] / max(float(axes[:, 0].std()), 1e-12)
        perplexity = min(30.0, (len(axes) - 1) / 3)
        found = TSNE(init=start, perplexity=perplexity, learning_rate="auto", max_iter=_STEPS, random_state=seed, n_jobs=1)
        return np.asarray(found.fit_transform(axes))
